"""A clock that tests and the demo move by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SimulatedClock:
    """Starts at a fixed moment and moves only when told."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move forward; a negative step is refused."""
        if by < timedelta(0):
            message = "A clock does not run backwards."
            raise ValueError(message)
        self._now += by
