"""What scanners write when they found nothing to look at: `null`, `[]` or `{}`, in which no tool can be told.

Rule and fail mode: always EV_EMPTY, never a clean result (gates.md 2.6).
"""

from __future__ import annotations

from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable


def is_nothing(content: Content) -> bool:
    """Tell JSON that holds no value."""
    return isinstance(content, JsonContent) and (content.value is None or content.value in ([], {}))


def read_nothing(source: Source, context: ReadContext) -> Reading:
    """Refuse the file."""
    del context
    raise Unreadable("EV_EMPTY", f"{source.name} is empty JSON: nothing was scanned.", observed=str(source.json)[:8])
