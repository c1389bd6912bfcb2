"""The machine's watch for hard events: records every 5 s, routed releases every 60 s (control/detect_hard_events.py).

Fail mode: a look that fails is tried again, from where the last whole one ended.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.detect_hard_events import detect_in_records, detect_in_releases
from pilotage.control.instance import Instance
from pilotage.store.runs import Again, Outcome, Run, request_run

RECORDS: Final = "hard_events_in_records"
RELEASES: Final = "hard_events_in_releases"
RECORDS_EVERY: Final = timedelta(seconds=5)
RELEASES_EVERY: Final = timedelta(seconds=60)


def look_at_records(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Look through new records, and again in 5 s."""
    detect_in_records(connection, instance)
    return Again(at=instance.clock.now() + RECORDS_EVERY)


def look_at_releases(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Verify routed releases, and again in a minute."""
    detect_in_releases(connection, instance)
    return Again(at=instance.clock.now() + RELEASES_EVERY)


def schedule_hard_watch(instance: Instance) -> None:
    """Ask for the looks at start-up; asking again changes nothing."""
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        for kind in (RECORDS, RELEASES):
            request_run(connection, kind=kind, key="all", due_at=now)
