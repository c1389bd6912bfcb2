"""Whether a component's licence is denied, allowed or unknown: SPDX expressions and plain names (gates.md 2.6).

Source: SPDX 2.3 annex D. Rule: `A OR B` passes if one side does, `A AND B` only if both do, `WITH` judges the licence
before it; a bare `X` covers `X-only` and `X-or-later`, which `X+` means. Fail mode: NOASSERTION, NONE, empty or
unparsable is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9][A-Za-z0-9.:-]*\+?)")
_SAYS_NOTHING = frozenset(
    {
        "",
        "noassertion",
        "none",
        "unknown",
        "other",
        "n/a",
        "na",
        "null",
        "see license",
        "see licence",
        "custom",
        "unlicensed",
    }
)
_MAX_TOKENS = 2_000
_BINDS = {"OR": 1, "AND": 2}
_FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), family)
    for pattern, family in (
        (r"affero|\bagpl", "agpl"),
        (r"lesser general|library general|\blgpl", "lgpl"),
        (r"(?<!affero )(?<!lesser )(?<!library )general public|\bgpl", "gpl"),
        (r"server side public|\bsspl", "sspl"),
        (r"business source|\bbusl", "busl"),
        (r"mozilla|\bmpl", "mpl"),
        (r"eclipse public|\bepl", "epl"),
        (r"common development and distribution|\bcddl", "cddl"),
        (r"apache|\basl\b", "apache"),
        (r"\bmit\b", "mit"),
    )
)
_VERSION = re.compile(r"\d+(?:\.\d+)*")


class Standing(StrEnum):
    """What the deny list makes of a licence."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"
    DENIED = "denied"


_RANK: Mapping[Standing, int] = {Standing.ALLOWED: 0, Standing.UNKNOWN: 1, Standing.DENIED: 2}


def all_of(standings: Iterable[Standing]) -> Standing:
    """Return the standing of licences that all apply; nothing at all is UNKNOWN."""
    return max(standings, key=_RANK.__getitem__, default=Standing.UNKNOWN)


def judge_expression(expression: str, denied: frozenset[str]) -> Standing:
    """Return the standing of an SPDX licence expression or a single id. Never raises."""
    if expression.strip().lower() in _SAYS_NOTHING:
        return Standing.UNKNOWN
    tokens = _without_exceptions(_tokens(expression))
    return Standing.UNKNOWN if tokens is None else _evaluate(tokens, _all_forms(denied))


def judge_name(name: str, denied: frozenset[str]) -> Standing:
    """Return the standing of a licence given by its plain name ("GNU Affero General Public License v3").

    A name is denied when it is on the list, or when the family it names has a denied licence of that version, or of any
    version if the name states none.
    """
    if name.strip().lower() in _SAYS_NOTHING:
        return Standing.UNKNOWN
    forms = _all_forms(denied)
    if name.strip().lower() in forms:
        return Standing.DENIED
    version = _VERSION.search(name)
    for pattern, family in _FAMILIES:
        if pattern.search(name) and any(_is_of(one, family, version) for one in forms):
            return Standing.DENIED
    return Standing.ALLOWED


def _is_of(denied: str, family: str, version: re.Match[str] | None) -> bool:
    if denied.partition("-")[0] != family:
        return False
    own = _VERSION.search(denied)
    return version is None or own is None or _short(own[0]) == _short(version[0])


def _short(version: str) -> str:
    return version.removesuffix(".0")


def _all_forms(denied: frozenset[str]) -> frozenset[str]:
    return frozenset(form for one in denied for form in (one.strip().lower(), *_forms(one)))


def _forms(licence: str) -> frozenset[str]:
    """Return the ways to write one licence: what a bare id meant before SPDX split it covers both."""
    name = licence.strip().lower()
    name = f"{name[:-1]}-or-later" if name.endswith("+") else name
    base = name.partition("-with-")[0]
    if base.endswith(("-only", "-or-later")):
        return frozenset({base})
    return frozenset({base, f"{base}-only", f"{base}-or-later"})


def _tokens(expression: str) -> list[str] | None:
    found: list[str] = []
    place = 0
    text = expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or len(found) >= _MAX_TOKENS:
            return None
        found.append(match[1])
        place = match.end()
    return found


def _without_exceptions(tokens: list[str] | None) -> list[str] | None:
    """Drop each `WITH exception` behind a licence; None when one stands elsewhere."""
    kept: list[str] = []
    rest = iter(tokens or ())
    for token in rest:
        if token.upper() != "WITH":
            kept.append(token)
        elif not _is_id(kept[-1] if kept else "") or not _is_id(next(rest, "")):
            return None
    return kept if tokens else None


def _is_id(token: str) -> bool:
    return token.upper() not in {"", "(", ")", "AND", "OR", "WITH"}


def _evaluate(tokens: list[str], denied: frozenset[str]) -> Standing:
    """Evaluate with two stacks (shunting yard), so no nesting can exhaust the interpreter's."""
    values: list[Standing] = []
    operators: list[str] = []
    wants_licence = True
    for token in tokens:
        operator = token.upper()
        if wants_licence != (operator not in _BINDS and operator != ")"):
            return Standing.UNKNOWN
        if operator == "(":
            operators.append(operator)
        elif operator == ")":
            if not _close(values, operators):
                return Standing.UNKNOWN
        elif operator in _BINDS:
            _reduce(values, operators, _BINDS[operator])
            operators.append(operator)
            wants_licence = True
        else:
            values.append(_judge_id(token, denied))
            wants_licence = False
    if wants_licence or "(" in operators:
        return Standing.UNKNOWN
    _reduce(values, operators, 0)
    return values[0]


def _close(values: list[Standing], operators: list[str]) -> bool:
    if "(" not in operators:
        return False
    _reduce(values, operators, 0)
    operators.pop()
    return True


def _reduce(values: list[Standing], operators: list[str], binding: int) -> None:
    while operators and operators[-1] != "(" and _BINDS[operators[-1]] >= binding:
        pair = (values.pop(), values.pop())
        choose = min if operators.pop() == "OR" else max
        values.append(choose(pair, key=_RANK.__getitem__))


def _judge_id(licence: str, denied: frozenset[str]) -> Standing:
    if licence.lower() in _SAYS_NOTHING:
        return Standing.UNKNOWN
    return Standing.DENIED if _forms(licence) & denied else Standing.ALLOWED
