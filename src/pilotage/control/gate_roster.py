"""Roster and policy as declared now, and noticing when they change.

Rule: a change is attributed to who committed it; where Git does not know, to nobody, and tenure runs from when it was
first seen. Fail mode: a roster never seen gives nobody tenure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.adapters.git import read_history
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.remembered import remembered
from pilotage.gate.binding import policy_digest
from pilotage.gate.records import Delegation, Roster, SeatAt, Tenure
from pilotage.ledger.entry import EntryKind
from pilotage.store.gate_facts import see_engine
from pilotage.store.gate_people import knows, see_policy, see_roster
from pilotage.workspace.gate import Gate
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

EDITOR_SPAN = timedelta(days=30)
_ROSTER_FILES = ("pilotage.yaml",)
_POLICY_FILES = ("gates", "regulations")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoster:
    """The roster as stored: who holds which role and seat."""

    digest: Digest
    body: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPolicy:
    """The gates as stored: the digest of each by its name."""

    digest: Digest
    body: dict[str, Json]


def seen_roster(workspace: Workspace) -> SeenRoster:
    """Return the declared roster with its digest."""
    body: dict[str, Json] = {
        "roles": {role.value: sorted(people) for role, people in sorted(workspace.roster.items()) if people},
        "seats": [
            {"role": seat.role.value, "holder": seat.holder, "alternates": list(seat.alternates)}
            for seat in workspace.seats
        ],
    }
    return SeenRoster(digest=digest_of_json(body), body=body)


def roster_of(workspace: Workspace, tenures: tuple[Tenure, ...], delegations: tuple[Delegation, ...]) -> Roster:
    """Return the declared roster with what is stored of it: who held what since when, and who stands in for whom."""
    return Roster(
        version=seen_roster(workspace).digest,
        tenures=tenures,
        seats=tuple(SeatAt(role=seat.role, holder=seat.holder, alternates=seat.alternates) for seat in workspace.seats),
        reports_to={one.id: one.reports_to for one in workspace.people.values() if one.reports_to is not None},
        delegations=delegations,
    )


_rules_of = remembered(policy_digest)


@remembered
def policy_of(gate: Gate, workflow: Workflow) -> Digest:
    """Return the digest of all that is policy where a gate decides about a workflow."""
    return policy_digest(gate, extra=policy_extra(workflow))


def policy_extra(workflow: Workflow) -> dict[str, Json]:
    """Return what of a workflow is policy: what decides beside the gate's own file."""
    return {
        "risk_tier": workflow.risk_tier.value,
        "code": workflow.code,
        "sla_p95_ms": workflow.sla_p95_ms,
        "latency_p95_ms": workflow.budgets.latency_p95_ms,
        "integrations": len(workflow.integrations),
        "targets": {name: float(value) for name, value in sorted(workflow.targets.items())},
        "critical_paths": [path.id for path in workflow.critical_paths],
    }


def seen_policy(workspace: Workspace) -> SeenPolicy:
    """Return the declared gates with their digest."""
    body: dict[str, Json] = {name: _rules_of(gate) for name, gate in sorted(workspace.gates.items())}
    return SeenPolicy(digest=digest_of_json(body), body=body)


def notice_changes(connection: Connection, instance: Instance, now: datetime) -> bool:
    """Note roster and policy versions not seen before, in the caller's transaction, with their ledger entries.

    Tell whether there were any. Git is asked who made a change only when there is one. A version of Pilotage that took
    the place of another is noted with them.
    """
    notice_engine(connection, now)
    roster, policy = seen_roster(instance.workspace), seen_policy(instance.workspace)
    if knows(connection, roster.digest, policy.digest):
        return False
    new_roster = see_roster(connection, roster.digest, roster.body, by=_editor(instance, _ROSTER_FILES), at=now)
    if new_roster:
        _record(connection, "roster", roster.digest, now)
    new_policy = see_policy(connection, policy.digest, policy.body, by=_editor(instance, _POLICY_FILES), at=now)
    if new_policy:
        _record(connection, "gates", policy.digest, now)
    return new_roster or new_policy


def notice_engine(connection: Connection, now: datetime) -> None:
    """Note when this version of Pilotage took the place of another: what it answers must be evaluated anew."""
    if see_engine(connection, __version__, at=now):
        _record(connection, "engine", digest_of_json({"version": __version__}), now)


def _record(connection: Connection, what: str, digest: Digest, now: datetime) -> None:
    record(
        connection,
        EntryKind.WORKSPACE_CHANGED,
        actor=None,
        at=now,
        subject=f"workspace/{what}",
        data={"what": what, "digest": digest},
    )


def _editor(instance: Instance, files: tuple[str, ...]) -> str:
    history = read_history(instance.root, files)
    if not history.commits or not history.is_clean:
        return "system:workspace"
    newest = max(history.commits, key=lambda commit: commit.at)
    people = {email.lower(): person.id for person in instance.workspace.people.values() for email in person.emails}
    return str(people.get(newest.author_email.lower(), "system:workspace"))
