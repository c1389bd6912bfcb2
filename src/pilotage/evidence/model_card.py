"""Model cards as JSON, schema 0.0.1 and 0.0.2 (github.com/tensorflow/model-card-toolkit).

Rule: owners, version, use cases, limitations and metrics must each say something. The schema knows no last day, so a
card is valid as long as documents are fresh. Fail mode: what is empty leaves `complete` at 0 and is named; another
schema version is EV_UNSUPPORTED.
"""

from __future__ import annotations

import re

from pilotage.core.canonical import Json
from pilotage.evidence.fresh import window_of
from pilotage.evidence.json_values import as_list, as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

_VERSIONS = frozenset({"", "0.0.1", "0.0.2"})
_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("owners", ("model_details", "owners")),
    ("version", ("model_details", "version")),
    ("use_cases", ("considerations", "use_cases")),
    ("limitations", ("considerations", "limitations")),
    ("metrics", ("quantitative_analysis", "performance_metrics")),
)
_PLACEHOLDER = re.compile(r"\b(?:TODO|TBD|FIXME)\b|lorem ipsum|<\.{3}>", re.IGNORECASE)
_WORD = re.compile(r"\w+")


def is_model_card(content: Content) -> bool:
    """Tell whether the JSON has the details of a model."""
    if not isinstance(content, JsonContent):
        return False
    card = as_map(content.value)
    return "model_details" in card and not card.keys().isdisjoint({"schema_version", "considerations"})


def read_model_card(source: Source, _context: ReadContext) -> Reading:
    """Read a model card as `document.model-card`."""
    card = as_map(source.json)
    if as_text(card.get("schema_version")) not in _VERSIONS:
        raise Unreadable("EV_UNSUPPORTED", "Only model card schema 0.0.1 and 0.0.2 are read.")
    missing = tuple(name for name, path in _PARTS if not _says_something(at(card, *path)))
    texts = _texts(card)
    placeholders = sum(len(_PLACEHOLDER.findall(text)) for text in texts)
    return Reading(
        kind=source.kind,
        reader="model-card",
        claims={
            "complete": float(not missing and not placeholders),
            "missing_sections": len(missing),
            "placeholders": placeholders,
            "words": sum(len(_WORD.findall(text)) for text in texts),
            "valid_days": float(window_of(source.kind).days),
        },
        summary=f"missing: {', '.join(missing)}" if missing else "all required parts are filled in",
        names={"missing_sections": missing},
    )


def _says_something(value: Json) -> bool:
    return any(text.strip() for text in _texts(value)) or _has_number(value)


def _has_number(value: Json) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, int | float) and not isinstance(item, bool):
            return True
        stack.extend(as_map(item).values() or as_list(item))
    return False


def _texts(value: Json) -> list[str]:
    """Return every text below a value, encoded images left out."""
    found: list[str] = []
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        key, item = stack.pop()
        if isinstance(item, str) and key != "image":
            found.append(item)
        stack.extend(as_map(item).items() or (("", child) for child in as_list(item)))
    return found
