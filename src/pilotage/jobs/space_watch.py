"""The looks at every space: health and failover once a second, drift every 15 s.

Fail mode: a look that fails is tried again; what nobody renewed (health for 65 s, drift for 180 s) is unknown, which
lets no traffic up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.watch_drift import watch_drift
from pilotage.control.watch_spaces import watch_spaces
from pilotage.store.runs import Again, Outcome, Run, request_run

HEALTH: Final = "space_watch"
DRIFT: Final = "drift_watch"
HEALTH_EVERY: Final = timedelta(seconds=1)
DRIFT_EVERY: Final = timedelta(seconds=15)


def look_at_health(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Judge the spaces, and again in a second."""
    watch_spaces(connection, instance)
    return Again(at=instance.clock.now() + HEALTH_EVERY)


def look_at_drift(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Compare what processes hold, and again in 15 s."""
    watch_drift(connection, instance)
    return Again(at=instance.clock.now() + DRIFT_EVERY)


def schedule_watch(instance: Instance) -> None:
    """Ask for the looks at start-up; asking again changes nothing."""
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        for kind in (HEALTH, DRIFT):
            request_run(connection, kind=kind, key="all", due_at=now)
