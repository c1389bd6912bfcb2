"""How a release does that completed: what was counted against late regressions in each space, for status and page.

Rule: reads only, and judges as the watch itself does. Fail mode: sums of a newer version show no tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pilotage.analysis.verdict import Tested
from pilotage.control.watch_completed import late_verdict
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.store.release_watches import ReleaseWatch, watches_of
from pilotage.store.rollouts import StoredRollout


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchView:
    """One space. `requests` None: its sums do not read here."""

    row: ReleaseWatch
    requests: int | None = None
    tests: Mapping[str, Tested] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return it as status shows it."""
        return {
            "space": self.row.space,
            "since": to_text(self.row.since),
            "ended_at": None if self.row.ended_at is None else to_text(self.row.ended_at),
            "ended_why": self.row.ended_why,
            "rollback": self.row.rollback,
            "requests": self.requests,
            "tests": {name: test.as_json() for name, test in self.tests.items()},
        }


def view_watches(connection: Connection, stored: StoredRollout) -> tuple[WatchView, ...]:
    """Return every space of a rollout that completed; nothing for one that did not."""
    return tuple(_view(stored, row) for row in watches_of(connection, stored.id))


def _view(stored: StoredRollout, row: ReleaseWatch) -> WatchView:
    try:
        tests = late_verdict(stored, row).tests
    except ValueError:
        return WatchView(row=row)
    return WatchView(row=row, requests=int(row.sums["requests"]), tests=tests)
