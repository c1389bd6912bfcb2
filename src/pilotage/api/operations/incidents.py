"""`/api/v1/incidents`: find, open, change and close them."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.declare_hard_event import declare_hard_event
from pilotage.control.follow_rollback import rollback_json
from pilotage.control.incident_reports import incident_detail, incident_json, incident_list
from pilotage.control.manage_incident import Change, open_by_person, update_incident
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.incident.records import HardKind, IncidentState, Severity


class Finding(Body):
    """Only this workflow's, of this severity, in this state, or not resolved. `page`: the key the page before gave."""

    workflow: str | None = None
    only_open: bool = False
    state: IncidentState | None = None
    severity: Severity | None = None
    page: str | None = None


class Opening(Body):
    """What is wrong and where. `kind`, a hard event, rolls the release back everywhere and needs `confirm`."""

    workflow: str
    space: str
    summary: str
    severity: Severity = Severity.SEV3
    kind: HardKind | None = None
    confirm: bool = False


class Changing(Body):
    """What to change; what is left out stays.

    `post_mortem` holds cause, informed and actions, and may tell summary, impact, detection, went_well, went_badly,
    lucky and golden_cases. `read`, as the incident gave it, binds an approval or a new text to what was read.
    """

    state: IncidentState | None = None
    severity: Severity | None = None
    commander: str | None = None
    lift_freeze: bool = False
    post_mortem: dict[str, Any] | None = None
    approve: bool = False
    note: str = ""
    read: str | None = None


class Closing(Body):
    """A line for the timeline."""

    note: str = ""


def _list(call: Call) -> Result:
    return incident_list(call.instance, **msgspec.structs.asdict(call.fields))


def _show(call: Call) -> Result:
    return incident_detail(call.instance, call.params["incident"])


def _open(call: Call) -> Result:
    asked: Opening = call.fields
    if asked.kind is not None:
        return _declare(call, asked, asked.kind)
    done = open_by_person(
        call.instance,
        actor=call.actor,
        workflow=asked.workflow,
        space=asked.space,
        severity=asked.severity,
        summary=asked.summary,
    )
    return done if isinstance(done, Refusal) else incident_json(done)


def _declare(call: Call, asked: Opening, kind: HardKind) -> Result:
    if not asked.confirm:
        message = f"{kind.value} rolls {asked.workflow} back in every space at once."
        raise UsageError("CONFIRM", message, hint='Send "confirm": true when that is meant.')
    done = declare_hard_event(
        call.instance,
        actor=call.actor,
        kind=kind,
        workflow=asked.workflow,
        reason=asked.summary,
        space=asked.space,
    )
    return done if isinstance(done, Refusal) else {"rollbacks": [rollback_json(one) for one in done]}


def _update(call: Call) -> Result:
    return _changed(call, Change(**msgspec.structs.asdict(call.fields)))


def _close(call: Call) -> Result:
    return _changed(call, Change(state=IncidentState.CLOSED, note=call.fields.note))


def _changed(call: Call, change: Change) -> Result:
    done = update_incident(call.instance, actor=call.actor, incident=call.params["incident"], change=change)
    return done if isinstance(done, Refusal) else incident_json(done)


_INCIDENT = "/incidents/{incident}"
OPERATIONS = (
    Operation(
        method="GET",
        path="/incidents",
        command="incident list",
        summary="List incidents",
        gives="A page of incidents, newest first, with the time to recover over them and the key of the next page.",
        run=_list,
        takes=Finding,
    ),
    Operation(
        method="POST",
        path="/incidents",
        command="incident open",
        summary="Open an incident, or declare a hard event",
        gives="The incident; for a hard event one rollback per space, under way.",
        run=_open,
        takes=Opening,
    ),
    Operation(
        method="GET",
        path=_INCIDENT,
        command="incident show",
        summary="Show one incident with its timeline",
        gives="The incident.",
        run=_show,
    ),
    Operation(
        method="POST",
        path=f"{_INCIDENT}/changes",
        command="incident update",
        summary="Acknowledge an incident, change it, or add to its timeline",
        gives="The incident.",
        run=_update,
        takes=Changing,
    ),
    Operation(
        method="POST",
        path=f"{_INCIDENT}/closure",
        command="incident close",
        summary="Close an incident; SEV1 and SEV2 need an approved post-mortem",
        gives="The incident.",
        run=_close,
        takes=Closing,
    ),
)
