"""Candidates of golden sets: added, joined by others who ask the same, decided once.

Fail mode: a database error; a candidate that is decided already is not decided again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, select, text, update

from pilotage.core.ids import WorkflowName
from pilotage.evaluation.candidate import Candidate, CandidateState, Origin
from pilotage.store.tables.evaluation import golden_candidate

UNDECIDED: Final = (CandidateState.OPEN, CandidateState.BLOCKED)
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('golden/' || :workflow, 0))")


def lock_golden(connection: Connection, workflow: WorkflowName) -> None:
    """Let one transaction at a time propose and decide candidates of a workflow."""
    connection.execute(_LOCK, {"workflow": workflow})


def add_candidate(connection: Connection, candidate: Candidate) -> None:
    """Insert one candidate."""
    add_candidates(connection, (candidate,))


def add_candidates(connection: Connection, candidates: Sequence[Candidate]) -> None:
    """Insert candidates."""
    if candidates:
        connection.execute(golden_candidate.insert(), [_values(one) for one in candidates])


def _values(candidate: Candidate) -> dict[str, Any]:
    values = {one.name: getattr(candidate, one.name) for one in fields(Candidate)}
    return values | {
        "row": dict(candidate.row),
        "sources": list(candidate.sources),
        "asked_by": list(candidate.asked_by),
    }


def find_candidate(connection: Connection, identifier: str, *, lock: bool = False) -> Candidate | None:
    """Return one candidate, or None."""
    query = select(golden_candidate).where(golden_candidate.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else _candidate(row)


def list_candidates(
    connection: Connection, workflow: WorkflowName | None, states: Sequence[CandidateState]
) -> tuple[Candidate, ...]:
    """Return candidates in these states, oldest first."""
    query = select(golden_candidate).where(golden_candidate.c.state.in_([one.value for one in states]))
    if workflow is not None:
        query = query.where(golden_candidate.c.workflow == workflow)
    query = query.order_by(golden_candidate.c.at, golden_candidate.c.id)
    return tuple(_candidate(row) for row in connection.execute(query).mappings())


def join_candidate(connection: Connection, candidate: Candidate, *, source: str, asked_by: Sequence[str]) -> None:
    """Note that somebody else has the same question; only under `lock_golden`."""
    people = dict.fromkeys((*candidate.asked_by, *asked_by))
    values = {"sources": [*candidate.sources, source], "asked_by": list(people)}
    connection.execute(update(golden_candidate).where(golden_candidate.c.id == candidate.id).values(values))


def unblock_candidate(connection: Connection, candidate: Candidate, *, asker: str) -> Candidate:
    """Open a blocked candidate: a persona that may see the same exists now."""
    row = {**candidate.row, "as": asker}
    values = {"row": row, "state": CandidateState.OPEN.value, "blocked_by": ""}
    connection.execute(update(golden_candidate).where(golden_candidate.c.id == candidate.id).values(values))
    return replace(candidate, row=row, state=CandidateState.OPEN, blocked_by="")


def decide_candidate(  # noqa: PLR0913 - one row's decision
    connection: Connection,
    identifier: str,
    state: CandidateState,
    *,
    by: str,
    at: datetime,
    reason: str,
    golden: str = "",
) -> bool:
    """Write a decision; False when there is one already."""
    own = golden_candidate.c
    query = update(golden_candidate).where(own.id == identifier, own.state.in_([one.value for one in UNDECIDED]))
    done = connection.execute(
        query.values(state=state.value, decided_by=by, decided_at=at, reason=reason, golden=golden)
    )
    return done.rowcount == 1


def _candidate(row: RowMapping) -> Candidate:
    given = dict(row)
    given |= {
        "workflow": WorkflowName(row["workflow"]),
        "state": CandidateState(row["state"]),
        "origin": Origin(row["origin"]),
        "sources": tuple(row["sources"]),
        "asked_by": tuple(row["asked_by"]),
    }
    return Candidate(**given)
