"""Rows of evaluation runs: asked for once, moved from state to state, finished with a result that never changes.

The caller owns the transaction. Fail mode: a move from a state the caller did not expect changes nothing and says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import Cause, EvaluationRun, RunKind, RunState
from pilotage.store.tables.evaluation import evaluation_run, evaluation_void
from pilotage.store.tables.serving import routing

GOING: Final = (RunState.QUEUED, RunState.RUNNING)
_GIVEN_UP: Final = text(
    "SELECT e.id, coalesce(r.last_error, '') AS why FROM evaluation_run e JOIN run r ON r.kind = 'evaluation'"
    " AND r.key = e.id WHERE e.state IN ('queued', 'running') AND r.state = 'failed' ORDER BY e.id FOR UPDATE OF e"
)
_COLUMNS = [evaluation_run.c[name] for name in EvaluationRun.__dataclass_fields__]


def add_run(connection: Connection, run: EvaluationRun) -> None:
    """Insert a run."""
    row: dict[str, object] = {name: getattr(run, name) for name in EvaluationRun.__dataclass_fields__}
    row |= {"space": run.space or "", "golden": list(run.golden)}
    connection.execute(evaluation_run.insert().values(row))


def find_run(connection: Connection, identifier: str, *, lock: bool = False) -> EvaluationRun | None:
    """Return a run, locked for a change of state when asked."""
    query = select(*_COLUMNS).where(evaluation_run.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _run(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A run that is not over and that no worker takes any more, and what its job ended with."""

    run: EvaluationRun
    why: str


def given_up_runs(connection: Connection) -> tuple[GivenUp, ...]:
    """Return the runs whose job was given up, their rows locked."""
    why = {row.id: row.why for row in connection.execute(_GIVEN_UP)}
    rows = connection.execute(select(*_COLUMNS).where(evaluation_run.c.id.in_(why))).mappings() if why else ()
    return tuple(GivenUp(run=run, why=why[run.id]) for run in map(_run, rows))


def runs_of(
    connection: Connection,
    *,
    workflow: WorkflowName | None = None,
    release: Digest | None = None,
    kind: RunKind | None = None,
    limit: int = 100,
) -> tuple[EvaluationRun, ...]:
    """Return runs, newest first."""
    query = select(*_COLUMNS).order_by(evaluation_run.c.requested_at.desc(), evaluation_run.c.id.desc()).limit(limit)
    for column, value in (("workflow", workflow), ("release", release), ("kind", kind)):
        if value is not None:
            query = query.where(evaluation_run.c[column] == str(value))
    return tuple(_run(row) for row in connection.execute(query).mappings())


def runs_of_two(connection: Connection, before: Digest, after: Digest) -> tuple[EvaluationRun, ...]:
    """Return evaluation runs of either release, newest first.

    One for each way a run may differ: whose, whether it asked both, whether it completed, was voided or gates; the
    newest of each.
    """
    column = evaluation_run.c
    newest = (column.requested_at.desc(), column.id.desc())
    kinds = (
        column.release,
        column.baseline.is_not_distinct_from(before),
        column.state == RunState.COMPLETED.value,
        column.voided_at.is_(None),
        column.is_gating,
    )
    place = func.row_number().over(partition_by=kinds, order_by=newest).label("place")
    of_two = (
        select(*_COLUMNS, place)
        .where(column.kind == RunKind.EVALUATION.value, column.release.in_([before, after]))
        .subquery()
    )
    query = (
        select(*(of_two.c[name] for name in EvaluationRun.__dataclass_fields__))
        .where(of_two.c.place == 1)
        .order_by(of_two.c.requested_at.desc(), of_two.c.id.desc())
    )
    return tuple(_run(row) for row in connection.execute(query).mappings())


def gating_attempts(connection: Connection, run: EvaluationRun) -> tuple[EvaluationRun, ...]:
    """Return the completed, unvoided gating attempts of the same question before this run, oldest first."""
    query = (
        select(*_COLUMNS)
        .where(
            evaluation_run.c.kind == run.kind.value,
            evaluation_run.c.release == run.release,
            evaluation_run.c.golden_digest == run.golden_digest,
            evaluation_run.c.baseline.is_not_distinct_from(run.baseline),
            evaluation_run.c.is_gating,
            evaluation_run.c.state == RunState.COMPLETED.value,
            evaluation_run.c.voided_at.is_(None),
            evaluation_run.c.id < run.id,
        )
        .order_by(evaluation_run.c.id)
    )
    return tuple(_run(row) for row in connection.execute(query).mappings())


def gating_uses(connection: Connection, workflow: WorkflowName) -> tuple[tuple[Digest, Digest], ...]:
    """Return golden digest and release of every gating run of a workflow that showed numbers, newest first.

    A run on schedule of what had ended GO when it was asked for is left out: it is no attempt. An upgrade or a changed
    model may have asked for one of a release that passed nothing yet.
    """
    query = (
        select(evaluation_run.c.golden_digest, evaluation_run.c.release)
        .where(
            evaluation_run.c.workflow == workflow,
            evaluation_run.c.kind == RunKind.EVALUATION.value,
            evaluation_run.c.is_gating,
            or_(evaluation_run.c.cause != Cause.SCHEDULE.value, ~_had_passed()),
            evaluation_run.c.state.in_([RunState.COMPLETED.value, RunState.OVER_BUDGET.value]),
        )
        .order_by(evaluation_run.c.requested_at.desc(), evaluation_run.c.id.desc())
    )
    return tuple((Digest(golden), Digest(release)) for golden, release in connection.execute(query))


def _had_passed() -> ColumnElement[bool]:
    """Tell whether the release of a run had ended GO on the same cases before; its baseline may be another by now."""
    earlier = evaluation_run.alias("earlier")
    return exists().where(
        earlier.c.release == evaluation_run.c.release,
        earlier.c.kind == evaluation_run.c.kind,
        earlier.c.golden_digest == evaluation_run.c.golden_digest,
        earlier.c.is_gating,
        earlier.c.state == RunState.COMPLETED.value,
        earlier.c.verdict == Verdict.GO.value,
        earlier.c.voided_at.is_(None),
        earlier.c.finished_at < evaluation_run.c.requested_at,
    )


def move_run(
    connection: Connection,
    identifier: str,
    state: RunState,
    *,
    expected: Collection[RunState],
    note: str = "",
    at: datetime,
) -> bool:
    """Move a run to another state; False when it was in none of the expected ones."""
    values: dict[str, object] = {"state": state.value, "note": note}
    if state is RunState.RUNNING:
        values["started_at"] = func.coalesce(evaluation_run.c.started_at, at)
        values["finished_at"] = None
    else:
        values["finished_at"] = at if state.is_over else None
    statement = update(evaluation_run).where(
        evaluation_run.c.id == identifier, evaluation_run.c.state.in_([one.value for one in expected])
    )
    return connection.execute(statement.values(values)).rowcount == 1


def complete_run(
    connection: Connection,
    identifier: str,
    *,
    verdict: str | None,
    result: bytes,
    measured: Mapping[str, Json],
    at: datetime,
) -> bool:
    """Finish a running run with its result; False when it does not run any more. None: it passed its cost cap."""
    statement = update(evaluation_run).where(
        evaluation_run.c.id == identifier, evaluation_run.c.state == RunState.RUNNING.value
    )
    values = {
        "state": (RunState.OVER_BUDGET if verdict is None else RunState.COMPLETED).value,
        "verdict": verdict,
        "result": result,
        "result_sha256": digest_of(result),
        "measured": dict(measured),
        "finished_at": at,
    }
    return connection.execute(statement.values(values)).rowcount == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """The bytes of a completed run's result, and what was measured beside it."""

    body: bytes
    measured: Mapping[str, Json]


def result_of(connection: Connection, identifier: str) -> StoredResult | None:
    """Return a completed run's result; raise IntegrityError when its bytes were altered."""
    query = select(evaluation_run.c.result, evaluation_run.c.result_sha256, evaluation_run.c.measured)
    row = connection.execute(query.where(evaluation_run.c.id == identifier)).first()
    if row is None or row.result is None:
        return None
    body = bytes(row.result)
    if digest_of(body) != row.result_sha256:
        message = f"The result of run {identifier} was altered in the store."
        raise IntegrityError("RUN_ALTERED", message, hint="Restore a backup, or run the evaluation again.")
    return StoredResult(body=body, measured=row.measured)


def asked_days(connection: Connection, release: Digest, *, most: int = 100) -> tuple[date, ...]:
    """Return the days for which runs asked a release, as either arm, latest first."""
    columns = evaluation_run.c
    query = (
        select(columns.as_of)
        .where(or_(columns.release == release, columns.baseline == release, columns.oldest == release))
        .distinct()
        .order_by(columns.as_of.desc())
        .limit(most)
    )
    return tuple(connection.execute(query).scalars())


def last_completed(connection: Connection, workflow: WorkflowName) -> datetime | None:
    """Return when the newest evaluation run of a workflow was completed."""
    query = select(func.max(evaluation_run.c.finished_at)).where(
        evaluation_run.c.workflow == workflow,
        evaluation_run.c.kind == RunKind.EVALUATION.value,
        evaluation_run.c.state == RunState.COMPLETED.value,
    )
    found: datetime | None = connection.scalar(query)
    return found


def stable_release(connection: Connection, space: SpaceName, workflow: WorkflowName) -> Digest | None:
    """Return the release that serves a workflow in a space now."""
    query = select(routing.c.stable).where(routing.c.space == space, routing.c.workflow == workflow)
    found = connection.scalar(query)
    return None if found is None else Digest(found)


def take_out_of_gating(connection: Connection, identifier: str) -> None:
    """Make a run one that gates nothing: no evidence, and no attempt."""
    connection.execute(update(evaluation_run).where(evaluation_run.c.id == identifier).values(is_gating=False))


def attach_evidence_id(connection: Connection, identifier: str, evidence: str) -> None:
    """Remember which evidence item a run became."""
    connection.execute(update(evaluation_run).where(evaluation_run.c.id == identifier).values(evidence=evidence))


def add_void(connection: Connection, identifier: str, *, person: str, reason: str, at: datetime) -> int:
    """Note that a person wants the run voided; return how many different people now do."""
    row = {"run": identifier, "person": person, "reason": reason, "at": at}
    connection.execute(insert(evaluation_void).values(row).on_conflict_do_nothing())
    return int(connection.scalar(select(func.count()).where(evaluation_void.c.run == identifier)) or 0)


def mark_voided(connection: Connection, identifier: str, *, at: datetime) -> None:
    """Mark a run as voided: it no longer counts as an attempt, and never as evidence."""
    connection.execute(update(evaluation_run).where(evaluation_run.c.id == identifier).values(voided_at=at))


def _run(row: RowMapping) -> EvaluationRun:
    values = dict(row)
    values |= {
        "kind": RunKind(row["kind"]),
        "workflow": WorkflowName(row["workflow"]),
        "space": SpaceName(row["space"]) if row["space"] else None,
        "golden": tuple(row["golden"]),
        "cause": Cause(row["cause"]),
        "state": RunState(row["state"]),
    }
    return EvaluationRun(**values)
