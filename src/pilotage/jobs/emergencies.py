"""Emergency changes whose 72 hours are over, as steps of the reconciler: settled in one transaction, at their hour.

Rule: the run is asked for when the second person confirms, and again at start-up. Fail mode: a failing look is counted
on its run and tried again; gates refuse the release from its hour on, whether or not the step has run.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.emergency_change import RUN_KIND
from pilotage.control.end_emergency import end_emergency
from pilotage.control.instance import Instance
from pilotage.store.emergencies import unsettled_emergencies
from pilotage.store.runs import Again, Done, Outcome, Run, request_run

KIND: Final = RUN_KIND


def end_due(instance: Instance, connection: Connection, run: Run) -> Outcome:
    """Settle the emergency the run names, or say when to look again (`jobs.handlers.Step`)."""
    again = end_emergency(connection, instance, run.key)
    return Done() if again is None else Again(at=again)


def schedule_emergencies(instance: Instance) -> None:
    """Ask for the end of every emergency that is not settled, at start-up."""
    with instance.engine.begin() as connection:
        for one in unsettled_emergencies(connection):
            request_run(connection, kind=KIND, key=one.id, due_at=one.expires_at)
