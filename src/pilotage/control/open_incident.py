"""Opening an incident, or joining the one that is open about the same thing; pages leave with the same commit.

Rule: one open incident per (workflow, space, release, cause); the roster at that time stands in it. Fail mode: none of
its own: it writes in the caller's transaction or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.ids import new_ulid
from pilotage.identity.roles import Role
from pilotage.incident.records import IncidentState, Severity
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import StoredIncident, add_line, open_or_join
from pilotage.store.ledger_entries import append


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong, where. `cause` is the stable name that joins triggers; `summary` the sentence people read."""

    workflow: str
    space: str
    spaces: tuple[str, ...]
    release: str | None
    cause: str
    severity: Severity
    summary: str
    rollout: str | None = None
    verdict: str | None = None
    started_at: datetime | None = None
    freezes: bool = False
    is_drill: bool = False


def open_incident(connection: Connection, instance: Instance, trouble: Trouble, deed: Deed) -> StoredIncident:
    """Open or join, write the timeline and the ledger entry, and page for SEV1 and SEV2."""
    wanted = StoredIncident(
        id=new_ulid(deed.at),
        workflow=trouble.workflow,
        space=trouble.space,
        spaces=trouble.spaces,
        release=trouble.release,
        cause=trouble.cause,
        severity=trouble.severity,
        state=IncidentState.OPEN,
        summary=trouble.summary,
        rollout=trouble.rollout,
        verdict=trouble.verdict,
        is_drill=trouble.is_drill,
        responders=_roster(instance),
        detected_by=deed.person or "machine",
        started_at=trouble.started_at or deed.at,
        detected_at=deed.at,
        freezes=trouble.freezes,
    )
    found, is_new = open_or_join(connection, wanted)
    add_line(connection, found.id, at=deed.at, actor=deed.actor, text=trouble.summary)
    record_incident(connection, found, EntryKind.INCIDENT_OPENED if is_new else EntryKind.INCIDENT_UPDATED, deed)
    if is_new:
        to = (Notify.PAGE, Notify.STAKEHOLDERS) if trouble.severity.pages else (Notify.OWNER,)
        notice = Notice(
            title=f"{trouble.severity} {trouble.workflow} in {trouble.space}: {trouble.cause}",
            text=trouble.summary,
            links={"incident": found.id},
            facts={"spaces": list(trouble.spaces), "release": trouble.release},
            is_drill=trouble.is_drill,
        )
        send(connection, instance, to, notice, at=deed.at)
    return found


def record_incident(connection: Connection, found: StoredIncident, kind: EntryKind, deed: Deed) -> None:
    """Append one entry about an incident, without anybody's words."""
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=kind,
        at=deed.at,
        actor=deed.actor,
        subject=found.id,
        space=found.space,
        data={
            "workflow": found.workflow,
            "release": found.release,
            "cause": found.cause,
            "severity": found.severity.value,
            "state": found.state.value,
            "rollout": found.rollout,
            "verdict": found.verdict,
            "drill": found.is_drill,
        },
    )
    append(connection, entry)


def _roster(instance: Instance) -> tuple[str, ...]:
    """Return who is called: on-call first, then support and operations."""
    roles = (Role.ON_CALL, Role.SUPPORT_ENGINEER, Role.OPERATIONS_LEAD)
    named = [str(person) for role in roles for person in instance.workspace.roster.get(role, ())]
    return tuple(dict.fromkeys(named))
