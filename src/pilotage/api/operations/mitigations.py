"""`/api/v1/mitigations`: what is done about findings of the fairness suite, until they are closed."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.change_mitigation import MitigationChange, change_mitigation
from pilotage.control.mitigate import (
    MitigationRequest,
    close_by_acceptance,
    close_by_run,
    mitigations_of,
    open_mitigation,
)
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal


class Mitigating(Body):
    """The attribute and figure that were found, what is done, by whom, and by which day (2026-12-31)."""

    attribute: str
    metric: str
    action: str
    owner: str
    due: str


class ClosingMitigation(Body):
    """What closes it: a GO on a release that came after, or a risk acceptance that holds."""

    run: str | None = None
    acceptance: str | None = None


class ChangingMitigation(Body):
    """Why it changes, and the new owner, the new day (2026-12-31) or both."""

    reason: str
    owner: str | None = None
    due: str | None = None


class ListingMitigations(Body):
    """One workflow; all without."""

    workflow: str | None = None


def _open(call: Call) -> Result:
    asked: Mitigating = call.fields
    request = MitigationRequest(
        attribute=asked.attribute, metric=asked.metric, action=asked.action, owner=asked.owner, due=asked.due
    )
    done = open_mitigation(call.instance, actor=call.actor, run=call.params["run"], request=request)
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _close(call: Call) -> Result:
    asked: ClosingMitigation = call.fields
    name, run, acceptance = call.params["id"], asked.run, asked.acceptance
    if run is not None and acceptance is None:
        done = close_by_run(call.instance, actor=call.actor, name=name, run=run)
    elif acceptance is not None and run is None:
        done = close_by_acceptance(call.instance, actor=call.actor, name=name, acceptance=acceptance)
    else:
        raise UsageError("MITIGATION_CLOSING", "Give what closes it.", hint="Either `run` or `acceptance`.")
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _change(call: Call) -> Result:
    asked: ChangingMitigation = call.fields
    change = MitigationChange(reason=asked.reason, owner=asked.owner, due=asked.due)
    done = change_mitigation(call.instance, actor=call.actor, name=call.params["id"], change=change)
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _list(call: Call) -> Result:
    return dict(mitigations_of(call.instance, workflow=call.fields.workflow))


OPERATIONS = (
    Operation(
        method="GET",
        path="/mitigations",
        command="mitigation list",
        summary="List mitigations of fairness findings",
        gives="Mitigations, newest first, as they stand now.",
        run=_list,
        takes=ListingMitigations,
    ),
    Operation(
        method="POST",
        path="/evaluations/{run}/mitigations",
        command="mitigation open",
        summary="Open a mitigation of what a fairness run found",
        gives="The mitigation.",
        run=_open,
        takes=Mitigating,
    ),
    Operation(
        method="POST",
        path="/mitigations/{id}/change",
        command="mitigation change",
        summary="Give a mitigation another owner or day",
        gives="The mitigation as it stands now.",
        run=_change,
        takes=ChangingMitigation,
    ),
    Operation(
        method="POST",
        path="/mitigations/{id}/closure",
        command="mitigation close",
        summary="Close a mitigation by a GO on another release, or by a risk acceptance",
        gives="The mitigation with both figures.",
        run=_close,
        takes=ClosingMitigation,
    ),
)
