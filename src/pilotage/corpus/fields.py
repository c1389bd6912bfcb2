"""Foreign JSONL rows as documents: `fields:` of corpus.yaml (corpus-and-ledger.md 1.1, INTERFACE 2).

Our key names a row key (`id: section`) or a template (`id: "{part}/{section}"`). Our keys that are not mapped are read
under their own name, unless a mapping already uses that row key for something else; all other row keys are ignored.
Fail mode: a row without id or text, null included, or with a date or classification that cannot be read, is a
`FieldProblem`: rejected, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pilotage.core.canonical import Json
from pilotage.corpus.settings import Classification
from pilotage.corpus.text import normalise, normalise_line

ROW_KEYS = ("id", "title", "text", "section", "acl", "classification", "region", "effective_date", "expiry_date", "uri")
MAX_ID_LENGTH = 512
MAX_REGION_LENGTH = 100
_PLACE = re.compile(r"\{([^{}]*)\}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T.*")
_ABSENT = object()


class FieldProblem(ValueError):
    """Why a row cannot become a document, in words for the person who owns the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A source row under our keys, its texts in normal form. The ACL stands apart: `row_acl`, `acl.readers_of`."""

    id: str
    title: str
    text: str
    section: str
    classification: Classification | None
    region: str | None
    effective_from: date | None
    effective_to: date | None
    uri: str | None


def mapping_problems(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with a `fields:` mapping, by our key. The workspace parser reports it with file and line."""
    problems: dict[str, str] = {}
    for key, source in fields.items():
        if key not in ROW_KEYS:
            problems[key] = f"is not a document field; write one of {', '.join(ROW_KEYS)}"
        elif _is_template(source) and (not all(_PLACE.findall(source)) or re.search(r"[{}]", _PLACE.sub("", source))):
            problems[key] = "is not a template; write row keys in braces, as in '{part}/{section}'"
        elif not source:
            problems[key] = "names no row key"
    return problems


def map_row(row: Mapping[str, Json], fields: Mapping[str, str]) -> Row:
    """Read one row; raise FieldProblem with the reason when it cannot become a document."""
    document = row_id(row, fields)
    text = _optional_text(_value(row, fields, "text"), "text")
    if text is None:
        raise FieldProblem("it has no text")
    first = parse_date(_text_of(row, fields, "effective_date"), "effective_date")
    last = parse_date(_text_of(row, fields, "expiry_date"), "expiry_date")
    check_dates(first, last)
    return Row(
        id=document,
        title=normalise_line(_text_of(row, fields, "title") or ""),
        text=normalise(text),
        section=normalise_line(_text_of(row, fields, "section") or ""),
        classification=parse_classification(_text_of(row, fields, "classification")),
        region=parse_region(_text_of(row, fields, "region")),
        effective_from=first,
        effective_to=last,
        uri=normalise_line(_text_of(row, fields, "uri") or "") or None,
    )


def row_id(row: Mapping[str, Json], fields: Mapping[str, str]) -> str:
    """Return the row's document id; raise FieldProblem when it has none."""
    return _document_id(_value(row, fields, "id"))


def has_acl(row: Mapping[str, Json], fields: Mapping[str, str]) -> bool:
    """Tell whether the row has an ACL of its own; null is one, and means nobody."""
    return _value(row, fields, "acl") is not _ABSENT


def row_acl(row: Mapping[str, Json], fields: Mapping[str, str]) -> Json:
    """Return the row's own ACL as given, or None when it has none or null."""
    acl = _value(row, fields, "acl")
    return None if acl is _ABSENT else acl  # type: ignore[return-value]


def parse_date(text: str | None, key: str) -> date | None:
    """Read an ISO date or the date of an ISO moment; raise FieldProblem."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text[:10] if _MOMENT.fullmatch(text) else text)
    except ValueError:
        message = f"its {key} {text[:40]!r} is no date; write YYYY-MM-DD"
        raise FieldProblem(message) from None


def parse_classification(text: str | None) -> Classification | None:
    """Read a classification; raise FieldProblem naming the four."""
    if text is None:
        return None
    try:
        return Classification(text.strip().lower())
    except ValueError:
        message = f"its classification {text[:40]!r} is none of {', '.join(Classification)}"
        raise FieldProblem(message) from None


def parse_region(text: str | None) -> str | None:
    """Read a region; None when there is none, FieldProblem when it cannot be one."""
    region = normalise_line(text or "")
    if len(region) > MAX_REGION_LENGTH:
        message = f"its region is longer than {MAX_REGION_LENGTH} characters"
        raise FieldProblem(message)
    return region or None


def check_id(document: str) -> str:
    """Return the id; raise FieldProblem when it is longer than an index can hold."""
    if len(document) > MAX_ID_LENGTH:
        message = f"its id is longer than {MAX_ID_LENGTH} characters"
        raise FieldProblem(message)
    return document


def check_dates(first: date | None, last: date | None) -> None:
    """Raise FieldProblem unless the interval holds at least one day."""
    if first is not None and last is not None and first >= last:
        message = f"its effective date is not before its expiry date: {first}, {last}"
        raise FieldProblem(message)


def _value(row: Mapping[str, Json], fields: Mapping[str, str], key: str) -> object:
    source = fields.get(key)
    if source is None:
        # `id: section` uses the row's `section` up: it is not also the heading of the text.
        return _ABSENT if key in fields.values() else row.get(key, _ABSENT)
    return _fill(source, row) if _is_template(source) else row.get(source, _ABSENT)


def _text_of(row: Mapping[str, Json], fields: Mapping[str, str], key: str) -> str | None:
    return _optional_text(_value(row, fields, key), key)


def _is_template(source: str) -> bool:
    return "{" in source or "}" in source


def _fill(template: str, row: Mapping[str, Json]) -> object:
    """Fill a template; one missing or null part makes the whole value absent, so no two rows fall together on ''."""
    filled = template
    for name in _PLACE.findall(template):
        part = _scalar(row.get(name))
        if part is None:
            return _ABSENT
        filled = filled.replace("{" + name + "}", part)
    return filled


def _scalar(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _document_id(value: object) -> str:
    text = _scalar(value)
    document = normalise_line(text) if text is not None else ""
    if not document:
        raise FieldProblem("it has no id")
    return check_id(document)


def _optional_text(value: object, key: str) -> str | None:
    if value is _ABSENT or value is None:
        return None
    text = _scalar(value)
    if text is None and value != "":
        message = f"its {key} is not text"
        raise FieldProblem(message)
    return text
