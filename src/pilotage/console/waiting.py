"""How many tasks wait for a person, remembered for a few seconds so that not every page counts them anew.

Rule: a session with other roles has a count of its own; whoever acts has all of theirs forgotten at once. Fail mode: a
count may be 15 s old, the inbox itself never is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role

KEPT: Final = timedelta(seconds=15)
_MOST: Final = 10_000


class WaitingCounts:
    """Counts by principal and roles, of this process."""

    def __init__(self) -> None:
        self._found: dict[str, dict[frozenset[Role], tuple[int, datetime]]] = {}

    def get(self, principal: Principal, now: datetime) -> int | None:
        """Return the remembered count, or None when it must be counted."""
        found = self._found.get(principal.id, {}).get(principal.roles)
        return found[0] if found is not None and now - found[1] < KEPT else None

    def put(self, principal: Principal, count: int, now: datetime) -> None:
        """Remember a count."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found.setdefault(principal.id, {})[principal.roles] = (count, now)

    def forget(self, principal: Principal) -> None:
        """Count anew next time, whatever roles they come with."""
        self._found.pop(principal.id, None)
