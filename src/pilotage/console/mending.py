"""Which field of a form a problem is about: marked in the form, and led to from the list of problems.

Rule: works on our own rendered page, where every text is escaped, so a tag is a tag. Fail mode: a problem that is of no
field, and a field that the form does not show, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from markupsafe import escape

from pilotage.control.typed_text import MOST_CHARACTERS
from pilotage.core.reason import Reason

_WHY: Final = ("reason", "note", "comment")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "BASELINE": ("baseline",),
    "COMMANDER_MISSING": ("commander",),
    "CONFIRMATION": ("confirmed",),
    "DECISION_MISSING": ("decision",),
    "DOCUMENT_MISSING": ("document",),
    "DOCUMENT_UNKNOWN": ("document",),
    "DURATION": ("by",),
    "FILE_MISSING": ("file",),
    "MITIGATION_DUE": ("due",),
    "NOTE_MISSING": ("note",),
    "QUESTION_EMPTY": ("question",),
    "QUESTION_TOO_LONG": ("question",),
    "RATING": ("rating",),
    "REASON": _WHY,
    "REASON_MISSING": _WHY,
    "REASON_NEEDED": _WHY,
    "RELEASE_MISSING": ("release",),
    "ROLE_MISSING": ("role",),
    "SEVERITY_MISSING": ("severity",),
    "SPACE_UNKNOWN": ("space",),
    "TEXT_MISSING": ("change", "text", "question", "answer"),
    "TIME": ("starts_at", "expires_at"),
    "VOTE_COMMENT": ("comment",),
    "ZONE_UNKNOWN": ("zone",),
}
"""By code, the names that the field has in one form or another."""
_LINE: Final = re.compile(r"<!--mend (\d+)-->")
_FORM: Final = re.compile(r"<form\b[^>]*>.*?</form>", re.DOTALL)
_HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
_OF_EACH: Final = frozenset({"token", "key", "read"})
"""Hidden values that are others each time a form is shown."""
_FIELD: Final = re.compile(r"<(?:input|select|textarea)\b[^>]*>")


def mended(page: str, path: str, form: Mapping[str, str], problems: Sequence[Reason]) -> str:
    """Return the page with each field marked that a problem is about, in the form sent to `path`, and a link to it."""
    leads: dict[int, str] = {}
    for place, problem in enumerate(problems):
        for name in _names(problem, form):
            page, identifier = _marked(page, path, name, form)
            if identifier:
                leads[place] = identifier
                break

    def link(found: re.Match[str]) -> str:
        identifier = leads.get(int(found[1]))
        return f' <a href="#{identifier}">To the field</a>' if identifier else ""

    return _LINE.sub(link, page)


def _names(problem: Reason, form: Mapping[str, str]) -> Iterator[str]:
    if problem.code in {"TEXT_TOO_LONG", "FEEDBACK_TOO_LONG"}:
        yield from (name for name in sorted(form, key=lambda one: -len(form[one])) if len(form[name]) > MOST_CHARACTERS)
    yield from _FIELDS.get(problem.code, ())


def _marked(page: str, path: str, name: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Return the page with this field marked, and the field's id; the page as it is and "" when no form shows it."""
    action, named = f'action="{escape(path)}"', f' name="{escape(name)}"'
    for shown in _FORM.finditer(page):
        if action not in shown[0].partition(">")[0] or _is_of_another(shown[0], form):
            continue
        for field in _FIELD.finditer(shown[0]):
            tag = field[0]
            if named not in tag or 'type="hidden"' in tag:
                continue
            if ' aria-describedby="problems' in tag:
                return page, _id_of(tag)
            start = shown.start() + field.start()
            new = _with_marks(tag, name)
            return page[:start] + new + page[start + len(tag) :], _id_of(new)
    return page, ""


def _is_of_another(shown: str, form: Mapping[str, str]) -> bool:
    """Tell whether a form is about something else than what was sent: several may share an address."""
    told = {found[1]: found[2] for found in _HIDDEN.finditer(shown) if found[1] not in _OF_EACH}
    return any(name in form and escape(form[name]) != value for name, value in told.items())


def _id_of(tag: str) -> str:
    found = re.search(r' id="([^"]+)"', tag)
    return "" if found is None else found[1]


def _with_marks(tag: str, name: str) -> str:
    described = re.search(r' aria-describedby="([^"]*)"', tag)
    if described is not None:
        tag = tag.replace(described[0], f' aria-describedby="problems {described[1]}"')
    more = "" if described is not None else ' aria-describedby="problems"'
    identifier = "" if _id_of(tag) else f' id="to-mend-{escape(name)}"'
    invalid = "" if re.search(r' type="(?:radio|checkbox)"', tag) else ' aria-invalid="true"'
    return f"{tag[:-1]}{identifier}{more}{invalid}>"
