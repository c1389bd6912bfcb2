"""Opening an incident, or joining the one that is open about the same thing; pages leave with the same commit.

Rule: one open incident per (workflow, space, release, cause); the roster at that time stands in it. A trigger that
joins never makes it smaller: the worse severity counts, its freeze holds anew, and what was mitigated is open again.
Fail mode: none of its own: it writes in the caller's transaction or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.ids import new_ulid
from pilotage.corpus.text import normalise_line
from pilotage.identity.roles import Role
from pilotage.incident.records import OPEN_AGAIN, IncidentState, Severity
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import StoredIncident, add_line, open_or_join, save_incident
from pilotage.store.ledger_entries import append

MACHINE: Final = "machine"
"""Who is said to have noticed what no person reported."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The incident, and whether people were told of it now: what led to it then tells nobody again."""

    incident: StoredIncident
    is_told: bool


def open_incident(connection: Connection, instance: Instance, trouble: Trouble, deed: Deed) -> StoredIncident:
    """Open or join, write the timeline and the ledger entry, and page for SEV1 and SEV2."""
    return open_and_tell(connection, instance, trouble, deed).incident


def open_and_tell(connection: Connection, instance: Instance, trouble: Trouble, deed: Deed) -> Opened:
    """Open or join as `open_incident` does, and say whether that told people."""
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
        detected_by=deed.person or MACHINE,
        started_at=trouble.started_at or deed.at,
        detected_at=deed.at,
        freezes=trouble.freezes,
    )
    found, is_new = open_or_join(connection, wanted)
    before = found
    if not is_new:
        found = _joined(before, wanted)
        save_incident(connection, found)
    is_back = found.state is not before.state
    line = f"{OPEN_AGAIN}; {trouble.summary}" if is_back else trouble.summary
    write_line(connection, found, deed, line, kind=EntryKind.INCIDENT_OPENED if is_new else EntryKind.INCIDENT_UPDATED)
    is_told = is_new or ((is_back or found.severity < before.severity) and found.severity.pages)
    if is_told:
        tell(connection, instance, replace(found, summary=trouble.summary), deed.at)
    return Opened(incident=found, is_told=is_told)


def _joined(found: StoredIncident, wanted: StoredIncident) -> StoredIncident:
    """Return an open incident with a further trigger in it; a new rollback of it has to be verified too."""
    again = wanted.freezes or wanted.severity < found.severity
    is_back = again and found.state is IncidentState.MITIGATED
    return replace(
        found,
        severity=min(found.severity, wanted.severity),
        spaces=tuple(dict.fromkeys((*found.spaces, *wanted.spaces))),
        rollout=wanted.rollout or found.rollout,
        verdict=wanted.verdict or found.verdict,
        freezes=found.freezes or wanted.freezes,
        freeze_lifted_at=None if wanted.freezes else found.freeze_lifted_at,
        state=IncidentState.OPEN if is_back else found.state,
        mitigated_at=None if is_back else found.mitigated_at,
        acknowledged_at=None if is_back else found.acknowledged_at,
        postmortem=unapproved(found.postmortem) if is_back else found.postmortem,
    )


def unapproved(postmortem: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a post-mortem of what goes on: whoever approved it did not know of that."""
    return None if postmortem is None else {**postmortem, "approved_by": None}


def tell(connection: Connection, instance: Instance, found: StoredIncident, at: datetime) -> None:
    """Page for SEV1 and SEV2, and tell the owner of the others."""
    to = (Notify.PAGE, Notify.WAR_ROOM, Notify.STAKEHOLDERS) if found.severity.pages else (Notify.OWNER,)
    notice = Notice(
        title=f"{found.severity} {found.workflow} in {found.space}: {found.cause}",
        text=found.summary,
        links={"incident": found.id},
        facts={"severity": str(found.severity), "spaces": list(found.spaces), "release": found.release},
        is_drill=found.is_drill,
    )
    send(connection, instance, to, notice, at=at)


def write_line(
    connection: Connection,
    found: StoredIncident,
    deed: Deed,
    text: str,
    *,
    kind: EntryKind = EntryKind.INCIDENT_UPDATED,
) -> None:
    """Append a line to the timeline and its entry, which holds the text as a commitment."""
    number = add_line(connection, found.id, at=deed.at, actor=deed.actor, text=text)
    opened = disclosures_of({"line": normalise_line(text)}, entropy=secrets.token_bytes)
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
            "line": number,
        },
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)


def _roster(instance: Instance) -> tuple[str, ...]:
    """Return who is called: on-call first, then support and operations."""
    roles = (Role.ON_CALL, Role.SUPPORT_ENGINEER, Role.OPERATIONS_LEAD)
    named = [str(person) for role in roles for person in instance.workspace.roster.get(role, ())]
    return tuple(dict.fromkeys(named))
