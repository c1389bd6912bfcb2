"""The gates of releases that serve, looked at by the hour and when an acceptance ends, as a step of the reconciler.

Rule: one run for all; the worker asks for it at start-up. Fail mode: a look that fails is tried again for ever, and
tells and moves nothing twice.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.watch_lapses import watch_lapses
from pilotage.store.runs import Again, Outcome, Run, request_run

KIND: Final = "gate_lapses"


def look_at_lapses(instance: Instance, connection: Connection, run: Run) -> Outcome:
    """Look once (`jobs.handlers.Step`)."""
    return Again(at=watch_lapses(connection, instance, due_at=run.due_at))


def schedule_lapses(instance: Instance) -> None:
    """Ask for the look at start-up; asking again changes nothing."""
    with instance.engine.begin() as connection:
        request_run(connection, kind=KIND, key="all", due_at=instance.clock.now())
