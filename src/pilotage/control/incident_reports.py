"""`pilotage incident list|show`: incidents with their times, and one with its timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.manage_incident import read_as
from pilotage.control.open_incident import MACHINE
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.incident.records import UNRESOLVED, IncidentState, Severity, Times, post_mortem_due, recovery
from pilotage.store.incidents import IncidentFilter, StoredIncident, browse_incidents, find_incident, lines_of
from pilotage.store.rollout_records import impact_of

LISTED: Final = 200
"""Incidents that one answer of `incident list` holds."""


def incident_list(
    instance: Instance,
    *,
    workflow: str | None = None,
    only_open: bool = False,
    state: IncidentState | None = None,
    severity: Severity | None = None,
    page: str | None = None,
) -> dict[str, Json]:
    """Return incidents, newest first, with the key of the next page, and the time to recover over them.

    Drills are shown and not counted.
    """
    states = UNRESOLVED if only_open else None
    if state is not None:
        states = frozenset({state}) & (states or frozenset(IncidentState))
    wanted = IncidentFilter(workflow=workflow, severity=severity, states=states, before=page)
    with instance.engine.connect() as connection:
        listed = browse_incidents(connection, wanted, most=LISTED + 1)
    found = listed[:LISTED]
    real = [one for one in found if not one.is_drill]
    figures = recovery(
        Times(started_at=one.started_at, detected_at=one.detected_at, resolved_at=one.resolved_at) for one in real
    )
    return {
        "incidents": [incident_json(one) for one in found],
        "mttr_minutes": _minutes(figures.mttr_minutes),
        "mttd_minutes": _minutes(figures.mttd_minutes),
        "open": figures.open,
        "by_severity": {one.value: sum(found.severity is one for found in real) for one in Severity},
        "next_page": found[-1].id if len(listed) > len(found) else None,
        "found_by_machine": _share(sum(one.detected_by == MACHINE for one in real), len(real)),
    }


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.4f}" if whole else None


def incident_detail(instance: Instance, identifier: str) -> dict[str, Json]:
    """Return one incident with its timeline and post-mortem; raise NotFound."""
    with instance.engine.connect() as connection:
        return detail_of(connection, named_incident(connection, identifier), instance.clock.now())


def named_incident(connection: Connection, identifier: str) -> StoredIncident:
    """Return the incident of this id; raise NotFound."""
    found = find_incident(connection, identifier)
    if found is None:
        message = f"There is no incident {identifier!r}."
        raise NotFound("INCIDENT_UNKNOWN", message, hint="See `pilotage incident list`.")
    return found


def detail_of(connection: Connection, found: StoredIncident, now: datetime) -> dict[str, Json]:
    """Return an incident with its timeline and post-mortem; a change with `read` is bound to that."""
    lines = lines_of(connection, found.id)
    draft = _draft(connection, found, now) if _is_looked_back(found) else None
    written: dict[str, Json] = {} if found.postmortem is None else dict(found.postmortem)
    return {
        **incident_json(found),
        "timeline": [
            {"number": line.number, "at": to_text(line.at), "actor": line.actor, "text": line.text} for line in lines
        ],
        "postmortem": written or None,
        "read": read_as(found.postmortem),
        "draft": draft,
    }


def _is_looked_back(one: StoredIncident) -> bool:
    return not one.is_drill and (one.severity.pages or (one.freezes and one.rollout is not None))


def _draft(connection: Connection, one: StoredIncident, now: datetime) -> dict[str, Json]:
    """Return what the records say for the post-mortem; cause, lessons and actions are for its author."""
    until = one.mitigated_at or one.resolved_at or now
    requests, principals = (0, 0)
    if one.release is not None:
        requests, principals = impact_of(
            connection, one.spaces, one.workflow, release=one.release, since=one.started_at, until=until
        )
    return {
        "summary": one.summary,
        "requests": requests,
        "principals": principals,
        "detected_by": one.detected_by,
        "minutes_to_detect": _minutes((one.detected_at - one.started_at).total_seconds() / 60),
        "minutes_to_mitigate": _minutes((until - one.detected_at).total_seconds() / 60),
        "is_mitigated": until is not now,
    }


def incident_json(one: StoredIncident) -> dict[str, Json]:
    """Return the fields of an incident."""
    return {
        "incident": one.id,
        "workflow": one.workflow,
        "spaces": list(one.spaces),
        "release": one.release,
        "cause": one.cause,
        "severity": one.severity.value,
        "state": one.state.value,
        "summary": one.summary,
        "rollout": one.rollout,
        "drill": one.is_drill,
        "commander": one.commander,
        "responders": list(one.responders),
        "started_at": to_text(one.started_at),
        "detected_at": to_text(one.detected_at),
        "acknowledged_at": _time(one.acknowledged_at),
        "mitigated_at": _time(one.mitigated_at),
        "resolved_at": _time(one.resolved_at),
        "closed_at": _time(one.closed_at),
        "post_mortem_due": _time(post_mortem_due(one.detected_at) if _is_looked_back(one) else None),
        "freezes": one.freezes and one.freeze_lifted_at is None,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def _minutes(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
