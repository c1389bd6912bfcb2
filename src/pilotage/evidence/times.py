"""Times as report formats write them.

Rule: a time without a zone is UTC (gates.md, head). Fail mode: None for what is no time, and the evidence then dates
from its receipt.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def file_time(text: str | None) -> datetime | None:
    """Return the UTC moment of an ISO 8601 or RFC 2822 text, or None."""
    if not text or len(text) > 64:
        return None
    moment = _iso(text.strip()) or _rfc2822(text.strip())
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def from_epoch_ms(milliseconds: float | None) -> datetime | None:
    """Return the UTC moment of milliseconds since 1970, or None when that is no date."""
    if milliseconds is None or milliseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest moment given: what a file dates from, so that a wrong clock can only age it."""
    return min((moment for moment in moments if moment is not None), default=None)


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _rfc2822(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
