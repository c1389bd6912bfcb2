"""The daily step that makes next months' partitions. Fail mode: the default partition takes what has none."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.store.partitions import ensure_months
from pilotage.store.runs import Again, Outcome, Run, request_run

KIND: Final = "partitions"
_EVERY: Final = timedelta(days=1)


def make_partitions(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Make this month's and the next two months' partitions, and look again tomorrow."""
    now = instance.clock.now()
    ensure_months(connection, now)
    return Again(at=now + _EVERY)


def schedule_partitions(instance: Instance) -> None:
    """Ask for the step at start-up; asking again changes nothing."""
    with instance.engine.begin() as connection:
        request_run(connection, kind=KIND, key="interaction", due_at=instance.clock.now())
