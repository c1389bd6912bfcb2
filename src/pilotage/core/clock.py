"""Time as a port. Rooms take `now` as a value; only the rim owns a Clock. All times are UTC and aware."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from pilotage.core.errors import UsageError


class Clock(Protocol):
    """Tells the time. The real one stands in `adapters/clock.py`, a simulated one in `testing/clock.py`."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


def read_moment(text: str) -> datetime:
    """Read a moment as a person writes it, in UTC where no zone is said; raise UsageError for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text[:40]!r} is no time."
        raise UsageError("TIME", message, hint="Write it as 2026-11-26 14:00, in UTC.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def to_text(moment: datetime) -> str:
    """Write a moment as ledger entries and JSON do: UTC, milliseconds, `Z`."""
    shown = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return shown.isoformat(timespec="milliseconds")[:23] + "Z"


def from_text(text: str) -> datetime:
    """Read an ISO 8601 moment; one without a zone is refused with ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"{text!r} has no time zone; append Z for UTC."
        raise ValueError(message)
    return moment.astimezone(UTC)
