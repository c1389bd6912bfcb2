"""How many tasks wait for a person, remembered for a few seconds so that not every page counts them anew.

Rule: whoever acts has their own count forgotten at once. Fail mode: a count may be 15 s old, the inbox itself never is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

KEPT: Final = timedelta(seconds=15)
_MOST: Final = 10_000


class WaitingCounts:
    """Counts by principal, of this process."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, datetime]] = {}

    def get(self, principal: str, now: datetime) -> int | None:
        """Return the remembered count, or None when it must be counted."""
        found = self._found.get(principal)
        return found[0] if found is not None and now - found[1] < KEPT else None

    def put(self, principal: str, count: int, now: datetime) -> None:
        """Remember a count."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[principal] = (count, now)

    def forget(self, principal: str) -> None:
        """Count anew next time."""
        self._found.pop(principal, None)
