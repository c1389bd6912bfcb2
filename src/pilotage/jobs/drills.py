"""Drills by the worker: lost ones are ended, those that run out are repeated, overdue ones are told of.

Rule: the look is one transaction; a drill it asks for is work under a lease, one at a time in a space. Fail mode: a
look that fails is tried again; a drill that fails is recorded as failed and repeated the day after.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.drill_finish import end_lost_drills
from pilotage.control.drill_rollback import DrillRequest, drill_on_schedule
from pilotage.control.drill_schedule import look_at_drills
from pilotage.control.instance import Instance
from pilotage.core.errors import Conflict
from pilotage.core.reason import Refusal
from pilotage.jobs.handlers import LOG
from pilotage.jobs.lease import Lease
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.store.runs import Again, Done, Outcome, Run, request_run

WATCH: Final = "drill_watch"
DRILL: Final = "drill_rollback"
_EVERY: Final = timedelta(minutes=1)


def look(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """End lost drills and ask for those that are due (`jobs.handlers.Step`)."""
    end_lost_drills(connection, instance)
    now = instance.clock.now()
    for due in look_at_drills(connection, instance):
        request_run(connection, kind=DRILL, key=f"{due.space}/{due.workflow}", due_at=now)
    return Again(at=now + _EVERY)


def drill(instance: Instance, lease: Lease) -> Outcome:
    """Hold one drill (`jobs.handlers.Act`); its own row keeps how it went."""
    space, _, workflow = lease.run.key.partition("/")
    request = DrillRequest(workflow=workflow, space=space)
    try:
        done = drill_on_schedule(instance, rollout_ports(), request=request, sleep=time.sleep)
    except Conflict as error:  # its row keeps that it failed: the next is due after a day, not at once
        LOG.warning("The drill of %s in %s was broken off: %s", workflow, space, error.message)
        return Done()
    if isinstance(done, Refusal):
        LOG.warning("The drill of %s in %s is put off: %s", workflow, space, done.reasons[0].text)
    return Done()


def schedule_drills(instance: Instance) -> None:
    """Ask for the look at start-up; asking again changes nothing."""
    with instance.engine.begin() as connection:
        request_run(connection, kind=WATCH, key="all", due_at=instance.clock.now())
