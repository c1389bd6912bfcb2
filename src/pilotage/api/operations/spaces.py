"""`/api/v1/spaces`: health, how settings differ, and bringing askers home."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.fail_back import fail_back
from pilotage.control.space_diff import diff_spaces
from pilotage.control.space_status import health_json, space_status
from pilotage.core.reason import Refusal


class ComparingSpaces(Body):
    """`against` another space than the one before; `release`: as recorded when it entered."""

    against: str | None = None
    release: str | None = None


def _diff(call: Call) -> Result:
    asked: ComparingSpaces = call.fields
    return diff_spaces(call.instance, space=call.params["space"], against=asked.against, release=asked.release)


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
        method="GET",
        path="/spaces/{space}/diff",
        command="space diff",
        summary="Show which settings change for a release that enters a space",
        gives="The space before, and every setting that differs, with both values.",
        run=_diff,
        takes=ComparingSpaces,
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
