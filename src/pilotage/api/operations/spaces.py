"""`/api/v1/spaces`: health, and bringing askers home."""

from __future__ import annotations

from pilotage.api.operation import Call, Operation, Result
from pilotage.control.fail_back import fail_back
from pilotage.control.space_status import health_json, space_status
from pilotage.core.reason import Refusal


def _status(call: Call) -> Result:
    return {"spaces": space_status(call.instance)}


def _fail_back(call: Call) -> Result:
    done = fail_back(call.instance, actor=call.actor, space=call.params["space"])
    return done if isinstance(done, Refusal) else health_json(call.instance, done)


OPERATIONS = (
    Operation(
        method="GET",
        path="/spaces",
        command="space status",
        summary="Show the health of every routed space",
        gives="Spaces with their state, what stands against them, and the partner that answers for them.",
        run=_status,
    ),
    Operation(
        method="POST",
        path="/spaces/{space}/fail-back",
        command="space fail-back",
        summary="Bring the askers of a healthy space home from its partner",
        gives="The space.",
        run=_fail_back,
    ),
)
