"""`/api/v1/spaces`: health, how settings differ, what runs them, and bringing askers home."""

from __future__ import annotations

from pilotage.adapters.targets.rendering import Form
from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.fail_back import fail_back
from pilotage.control.render_space import render_space
from pilotage.control.space_diff import diff_spaces
from pilotage.control.space_status import health_json, space_status
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Action, may


class ComparingSpaces(Body):
    """`against` another space than the one before; `release`: as recorded when it entered."""

    against: str | None = None
    release: str | None = None


def _diff(call: Call) -> Result:
    asked: ComparingSpaces = call.fields
    return diff_spaces(call.instance, space=call.params["space"], against=asked.against, release=asked.release)


class RenderingSpace(Body):
    """What the files are for."""

    target: Form


def _render(call: Call) -> Result:
    # Network ranges and names of Secrets are for those who run the space, and those who audit it.
    refusal = may(call.actor.roles, Action.EDIT_SPACE)
    if refusal is not None and may(call.actor.roles, Action.AUDIT) is not None:
        return refusal
    asked: RenderingSpace = call.fields
    return render_space(call.instance.workspace, space=call.params["space"], target=asked.target).as_json()


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
        method="GET",
        path="/spaces/{space}/rendering",
        command="space render",
        summary="Show the files that run a space on Kubernetes",
        gives="The files by name, and what would keep them from running as declared. No secret is in them.",
        run=_render,
        takes=RenderingSpace,
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
