"""Mitigations of fairness findings as rows, each with the end of the acceptance that closed it.

Rule: finding and action are written once, owner and day change by command; one whose acceptance ended, or was found
not to hold, may be closed anew. The caller owns the transaction.
Fail mode: None for an id that names none.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, text, update

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.evaluation.mitigation import Closing, Decision, Finding, Mitigation
from pilotage.store.tables.evaluation import mitigation
from pilotage.store.together import StoredRow

WITH_END: Final = (
    "SELECT m.*, least(a.expires, a.withdrawn_at, m.reopened_at) AS until"
    " FROM mitigation m LEFT JOIN risk_acceptance a ON a.id = m.acceptance"
)
"""Rows for `mitigation_from`."""

_ONE = text(f"{WITH_END} WHERE m.id = :id FOR UPDATE OF m")
_LIST = text(f"{WITH_END} WHERE :workflow = '' OR m.workflow = :workflow ORDER BY m.opened_at DESC, m.id DESC")
_OWNED = text(
    f"{WITH_END} WHERE m.owner = :owner AND m.decision IS DISTINCT FROM 'go' ORDER BY m.opened_at DESC, m.id DESC"
)
_ACCEPTED = text(
    f"{WITH_END} WHERE m.decision = 'risk_accepted' AND least(a.expires, a.withdrawn_at, m.reopened_at) > :now"
    " ORDER BY m.opened_at, m.id"
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('mitigation/' || :workflow, 0))")
_LATE = text(
    f"{WITH_END} WHERE m.due < :today AND m.decision IS DISTINCT FROM 'go' AND (m.told_at IS NULL"
    " OR m.told_at < :again) ORDER BY m.opened_at, m.id"
)


def add_mitigation(connection: Connection, one: Mitigation) -> None:
    """Write a new one."""
    found = one.finding
    values = {
        "id": one.id,
        "workflow": one.workflow,
        "release_before": one.release_before,
        "run_before": one.run_before,
        "attribute": found.attribute,
        "metric": found.metric,
        "finding": found.text,
        "value_before": found.value,
        "action": one.action,
        "owner": one.owner,
        "due": one.due,
        "opened_by": one.opened_by,
        "opened_at": one.opened_at,
    }
    connection.execute(mitigation.insert().values(values))


def close_mitigation(connection: Connection, name: str, closing: Closing) -> None:
    """Write how one was closed; the caller holds its row."""
    values = {
        "decision": closing.decision.value,
        "approver": closing.approver,
        "closed_at": closing.at,
        "release_after": closing.release_after,
        "run_after": closing.run_after,
        "value_after": closing.value_after,
        "acceptance": closing.acceptance,
        "reopened_at": None,
    }
    connection.execute(update(mitigation).where(mitigation.c.id == name).values(values))


def change_mitigation(connection: Connection, name: str, *, owner: PersonId, due: date) -> None:
    """Write another owner and day; the caller holds its row."""
    connection.execute(update(mitigation).where(mitigation.c.id == name).values(owner=owner, due=due))


def reopen_mitigation(connection: Connection, name: str, at: datetime) -> None:
    """Write that the acceptance that closed it was found not to hold."""
    connection.execute(update(mitigation).where(mitigation.c.id == name).values(reopened_at=at))


def closed_by_acceptance(connection: Connection, now: datetime) -> tuple[Mitigation, ...]:
    """Return those that an acceptance closes now."""
    rows = connection.execute(_ACCEPTED, {"now": now}).mappings()
    return tuple(mitigation_from(row) for row in rows)


def lock_mitigations(connection: Connection, workflow: WorkflowName) -> None:
    """Let one transaction at a time open a mitigation of a workflow."""
    connection.execute(_LOCK, {"workflow": workflow})


def note_told(connection: Connection, name: str, at: datetime) -> None:
    """Remember that its owner was told that it is overdue."""
    connection.execute(update(mitigation).where(mitigation.c.id == name).values(told_at=at))


def find_mitigation(connection: Connection, name: str) -> Mitigation | None:
    """Return one, its row locked."""
    row = connection.execute(_ONE, {"id": name}).mappings().one_or_none()
    return None if row is None else mitigation_from(row)


def list_mitigations(connection: Connection, workflow: str | None = None) -> tuple[Mitigation, ...]:
    """Return those of a workflow, or all, newest first."""
    rows = connection.execute(_LIST, {"workflow": workflow or ""}).mappings()
    return tuple(mitigation_from(row) for row in rows)


def owned_by(connection: Connection, owner: PersonId) -> tuple[Mitigation, ...]:
    """Return those of an owner without a GO, newest first."""
    rows = connection.execute(_OWNED, {"owner": owner}).mappings()
    return tuple(mitigation_from(row) for row in rows)


def past_their_day(connection: Connection, today: date, *, again: datetime) -> tuple[Mitigation, ...]:
    """Return those whose day is over, without a GO, and of which nobody was told since `again`."""
    rows = connection.execute(_LATE, {"today": today, "again": again}).mappings()
    return tuple(mitigation_from(row) for row in rows)


def mitigation_from(row: StoredRow) -> Mitigation:
    """Return one from its row, of a cursor or of JSON."""
    return Mitigation(
        id=row["id"],
        workflow=WorkflowName(row["workflow"]),
        release_before=Digest(row["release_before"]),
        run_before=row["run_before"],
        finding=Finding(
            attribute=row["attribute"], metric=row["metric"], text=row["finding"], value=row["value_before"]
        ),
        action=row["action"],
        owner=PersonId(row["owner"]),
        due=date.fromisoformat(str(row["due"])),
        opened_by=PersonId(row["opened_by"]),
        opened_at=row["opened_at"],
        closing=None if row["decision"] is None else _closing(row),
    )


def _closing(row: StoredRow) -> Closing:
    return Closing(
        decision=Decision(row["decision"]),
        approver=PersonId(row["approver"]),
        at=row["closed_at"],
        release_after=None if row["release_after"] is None else Digest(row["release_after"]),
        run_after=row["run_after"],
        value_after=row["value_after"],
        acceptance=row["acceptance"],
        until=row["until"],
    )
