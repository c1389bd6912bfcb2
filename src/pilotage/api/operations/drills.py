"""`/api/v1/workflows/{workflow}/drills`: rehearsals with measured times; the answer comes when one has ended."""

from __future__ import annotations

import time

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.drill_failover import drill_failover
from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.core.reason import Refusal
from pilotage.store.drills import StoredDrill


class RollbackDrilling(Body):
    """Where it is rehearsed, and with which release (the newest sealed one); `full` sends users back and forth."""

    space: str
    release: str | None = None
    full: bool = False


class FailoverDrilling(Body):
    """The space whose loss is rehearsed; users stay at home."""

    space: str


def _rollback(call: Call) -> Result:
    asked: RollbackDrilling = call.fields
    request = DrillRequest(workflow=call.params["workflow"], space=asked.space, release=asked.release, full=asked.full)
    return _report(
        drill_rollback(call.instance, call.services.ports, actor=call.actor, request=request, sleep=time.sleep)
    )


def _failover(call: Call) -> Result:
    return _report(
        drill_failover(
            call.instance,
            call.services.ports,
            actor=call.actor,
            workflow=call.params["workflow"],
            space=call.fields.space,
            sleep=time.sleep,
        )
    )


def _report(done: StoredDrill | Refusal) -> Result:
    return done if isinstance(done, Refusal) else done.as_json()


_DRILLS = "/workflows/{workflow}/drills"
OPERATIONS = (
    Operation(
        method="POST",
        path=f"{_DRILLS}/rollback",
        command="drill rollback",
        summary="Rehearse a rollback in every serving process",
        gives="The drill: passed or failed, its measured times and what speaks against it.",
        run=_rollback,
        takes=RollbackDrilling,
        is_outward=True,
    ),
    Operation(
        method="POST",
        path=f"{_DRILLS}/failover",
        command="drill failover",
        summary="Rehearse the loss of a region",
        gives="The drill: passed or failed, its measured times and what speaks against it.",
        run=_failover,
        takes=FailoverDrilling,
        is_outward=True,
    ),
)
