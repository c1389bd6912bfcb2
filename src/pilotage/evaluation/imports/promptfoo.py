"""promptfoo test files (YAML): the native part of their assertions becomes facts, the rest stays unsupported.

Rule: `{{name}}` is replaced by a plain variable and by nothing else; expressions, filters, `file://`, scripts, webhooks
and providers are never evaluated, opened or called. Fail mode: a test without a question it could ask is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from pilotage.core.canonical import CanonicalError, Form, Json, canonical_bytes
from pilotage.core.errors import InvalidFiles
from pilotage.core.located import Problems
from pilotage.core.yaml_source import load_plain_yaml
from pilotage.evaluation.imports.record import (
    Account,
    ImportedCase,
    RowBuilder,
    items,
    table,
    unreadable,
    words,
)
from pilotage.workspace.golden_file import parse_golden

FORM: Final = "promptfoo"
ROW: Final = "pilotage"
_QUESTION_NAMES: Final = ("question", "query", "input", "prompt", "message", "user_input")
_PLAIN: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_CODE: Final = re.compile(r"\{[{%#]")
_REGEX_SPECIAL: Final = re.compile(r"([\\.^$*+?{}\[\]|()])")


def import_promptfoo(data: bytes) -> Account:
    """Read a promptfoo configuration or a list of tests."""
    try:
        root = load_plain_yaml(data, file="import")
    except InvalidFiles as error:
        first = error.problems[0]
        raise unreadable(FORM, f"line {first.line}: {first.what}", first.hint) from None
    config: Mapping[str, Json] = table(root) if isinstance(root, Mapping) else {"tests": root}
    tests = config.get("tests")
    if isinstance(tests, str) or not items(tests):
        what = "it has no tests of its own" if not isinstance(tests, str) else "its tests stand in another file"
        raise unreadable(FORM, what, "Write the tests as a list in this file; other files are never opened.")
    account = Account()
    prompts = [one for one in items(config.get("prompts")) if isinstance(one, str)]
    default = table(config.get("defaultTest"))
    for number, test in enumerate(items(tests), 1):
        _case(table(test), default, prompts, account, number)
    return account


def _case(
    test: Mapping[str, Json], default: Mapping[str, Json], prompts: list[str], account: Account, number: int
) -> None:
    name = words(test.get("description")) or f"test {number}"
    if not test:
        account.skip(name, "It is no mapping; a test that stands in another file is never opened.")
        return
    variables = {**table(default.get("vars")), **table(test.get("vars"))}
    question, reason = _question(variables, prompts)
    if not question:
        account.skip(name, reason)
        return
    row = RowBuilder(question=question, named=words(test.get("description")))
    own = table(table(test.get("metadata")).get(ROW))
    if own.get("question") == question and _is_as_written(test, default) and _is_golden(own):
        account.cases.append(ImportedCase(row=own, named=f"{row.named}\n{own['id']}"))
        return
    for found in (*items(default.get("assert")), *items(test.get("assert"))):
        _assertion(row, table(found), variables)
    for key in ("threshold", "assertScoringFunction", "provider", "options"):
        if key in test:
            row.lossy.append(key)
    account.cases.append(row.finish(FORM))


def _question(variables: Mapping[str, Json], prompts: list[str]) -> tuple[str, str]:
    """Return what is asked, or "" and why there is nothing to ask."""
    texts = {name: value for name, value in variables.items() if isinstance(value, str) and value.strip()}
    chosen = next((texts[name] for name in _QUESTION_NAMES if name in texts), "")
    if not chosen and len(texts) == 1:
        chosen = next(iter(texts.values()))
    if not chosen and len(prompts) == 1 and not prompts[0].startswith("file://"):
        chosen = _PLAIN.sub(lambda found: texts.get(found[1], found[0]), prompts[0])
    if not chosen:
        return "", "It has no variable that is the question: name one `question`."
    if chosen.startswith("file://"):
        return "", "Its question stands in another file, which is never opened."
    if _CODE.search(chosen):
        return "", "Its question is a template with code or a missing variable; write it out."
    return chosen, ""


def _is_as_written(test: Mapping[str, Json], default: Mapping[str, Json]) -> bool:
    """Tell whether nobody changed the assertions of an exported test, so that its row still says the same."""
    return not default.get("assert") and table(test.get("metadata")).get("assert") == test.get("assert")


def _is_golden(own: Mapping[str, Json]) -> bool:
    """Tell whether an exported row still is one case of the golden format; anybody may have written into the file."""
    problems = Problems()
    try:
        line = canonical_bytes(own, form=Form.PLAIN)
    except CanonicalError:
        return False
    cases = parse_golden("import", line, None, file="import", problems=problems).cases
    return not problems.found and len(cases) == 1 and "template" not in own


def _assertion(row: RowBuilder, found: Mapping[str, Json], variables: Mapping[str, Json]) -> None:
    kind = words(found.get("type"))
    if kind == "assert-set":
        if "threshold" in found:
            row.lossy.append("assert-set threshold")
        for one in items(found.get("assert")):
            _assertion(row, table(one), variables)
        return
    bare = kind.removeprefix("not-")
    read = _NATIVE.get(bare)
    value = _filled(found.get("value"), variables)
    if found.get("weight") == 0:
        row.lossy.append(f"{kind} is informative")
        return
    if read is None or value is _UNSAFE or not read(row, value, kind != bare):
        row.cannot(kind or "unknown")
        return
    for key in ("threshold", "metric", "weight", "transform"):
        if key in found:
            row.lossy.append(f"{kind} {key}")


_UNSAFE: Final[Json] = {"unsafe": True}


def _filled(value: Json, variables: Mapping[str, Json]) -> Json:
    """Return a value with plain variables filled in; `_UNSAFE` for a file or anything that is code."""
    if isinstance(value, str):
        text = _PLAIN.sub(lambda found: words(variables.get(found[1])) or found[0], value)
        return _UNSAFE if text.startswith("file://") or _CODE.search(text) else text
    if isinstance(value, list | tuple):
        filled = [_filled(one, variables) for one in value]
        return _UNSAFE if any(one is _UNSAFE for one in filled) else filled
    return value


def _one(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - one signature for every reader
    if not words(value).strip():
        return False
    row.add("forbid" if negated else "facts", {"any": [value]})
    return True


def _cased(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    done = _one(row, value, negated)
    if done:
        row.lossy.append("letter case")
    return done


def _texts(value: Json) -> list[Json]:
    found = list(items(value))
    return found if found and all(words(one).strip() for one in found) else []


def _any(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    found = _texts(value)
    for one in found if negated else []:
        row.add("forbid", {"any": [one]})
    if found and not negated:
        row.add("facts", {"any": found})
    return bool(found)


def _all(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    found = _texts(value)
    if found:
        row.add("forbid" if negated else "facts", {"all": found})
    return bool(found)


def _equals(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    if not _one(row, value, negated):
        return False
    row.lossy.append("equality")
    if not negated:
        row.expect["answer"] = value
    return True


def _pattern(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    if not words(value) or re.search(r"\(\?[=!<]|\\[1-9]", words(value)):
        return False  # RE2 has neither lookaround nor backreference
    row.add("forbid" if negated else "facts", {"pattern": value})
    row.lossy.append("pattern on normal form")
    return True


def _starts(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    text = words(value).strip().casefold()
    if not text:
        return False
    row.add("forbid" if negated else "facts", {"pattern": "^" + _REGEX_SPECIAL.sub(r"\\\1", text)})
    return True


def _refusal(row: RowBuilder, value: Json, negated: bool) -> bool:  # noqa: FBT001 - as above
    del value
    if row.expect.get("refuse", not negated) is negated or (row.expect.get("facts") and not negated):
        return False
    row.expect["refuse"] = not negated
    return True


_NATIVE: Final[Mapping[str, Callable[[RowBuilder, Json, bool], bool]]] = {
    "equals": _equals,
    "contains": _cased,
    "icontains": _one,
    "contains-any": _any,
    "icontains-any": _any,
    "contains-all": _all,
    "icontains-all": _all,
    "starts-with": _starts,
    "regex": _pattern,
    "is-refusal": _refusal,
}
