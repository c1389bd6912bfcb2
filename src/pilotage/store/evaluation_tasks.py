"""Rows of a run's tasks: leased, answered, and done together with what they produced.

Rule: whoever holds the lease may finish the task, once. One driver works at a run at a time, so a new one frees what a
dead one held (`free_leases`) and goes on at once; the lease is the fence. Fail mode: a lost lease writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.digest import Digest
from pilotage.evaluation.generation import ScoringContext
from pilotage.evaluation.run import Arm, Progress, Task, TaskKey
from pilotage.evaluation.stored import context_json, read_context
from pilotage.store.tables.evaluation import evaluation_task

LEASE: Final = timedelta(minutes=3)
"""Longer than the deadline of a request, so a living worker never loses a task."""

_BATCH: Final = 1_000
_KEY: Final = "run = :run AND arm = :arm AND case_id = :case_id AND repeat = :repeat"
_HELD: Final = f"{_KEY} AND state = 'waiting' AND lease_owner = :owner AND lease_until >= clock_timestamp()"

# Picked first, once: a plan may look into a sub-select again for each row, and each look would lock `most` others.
_TAKE: Final = text(
    "WITH picked AS MATERIALIZED (SELECT run, arm, case_id, repeat FROM evaluation_task"
    "  WHERE run = :run AND state = 'waiting' AND due_at <= :now"
    "  AND (lease_until IS NULL OR lease_until < clock_timestamp())"
    "  ORDER BY ordinal LIMIT :most FOR UPDATE SKIP LOCKED)"
    " UPDATE evaluation_task AS t"
    " SET lease_owner = :owner, lease_until = clock_timestamp() + :lease, attempt = t.attempt + 1"
    " FROM picked AS p WHERE (t.run, t.arm, t.case_id, t.repeat) = (p.run, p.arm, p.case_id, p.repeat)"
    " RETURNING t.arm, t.case_id, t.repeat, t.attempt, t.failures, t.ordinal"
)
_FINISH: Final = text(
    "UPDATE evaluation_task SET state = 'done', generation = :generation, context = :context, is_cached = :is_cached,"  # noqa: S608 - constants
    " latency_us = :latency_us, ttft_us = :ttft_us, error = :error, model = :model, fingerprint = :fingerprint,"
    " lease_owner = NULL, lease_until = NULL"
    f" WHERE {_HELD}"
).bindparams(bindparam("context", type_=JSONB))
_RETRY: Final = text(
    "UPDATE evaluation_task SET lease_owner = NULL, lease_until = NULL, due_at = :due_at, error = :error,"  # noqa: S608 - constants
    f" failures = failures + 1 WHERE {_HELD}"
)
_FREE: Final = text(
    "UPDATE evaluation_task SET lease_owner = NULL, lease_until = NULL"
    " WHERE run = :run AND state = 'waiting' AND lease_owner IS NOT NULL"
)
_PROGRESS: Final = text(
    "SELECT count(*) FILTER (WHERE state = 'done') AS done, count(*) AS total,"
    " count(*) FILTER (WHERE is_cached) AS cached, count(*) FILTER (WHERE error IS NOT NULL) AS errors,"
    " count(*) FILTER (WHERE error = 'budget') AS not_asked,"
    " count(*) FILTER (WHERE arm = 'candidate' AND state = 'done' AND error IS NULL) AS answers,"
    " coalesce(sum(greatest(attempt - 1, 0)), 0) AS repeated_calls FROM evaluation_task WHERE run = :run"
)
_ASK_AGAIN: Final = text(
    "UPDATE evaluation_task t SET state = 'waiting', attempt = 0, failures = 0, generation = NULL, error = NULL"
    " WHERE run = :run AND state = 'done' AND error IS NULL AND generation IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM evaluation_generation g WHERE g.digest = t.generation)"
)
_ASK_OLDER: Final = text(
    "UPDATE evaluation_task t SET state = 'waiting', attempt = 0, failures = 0, generation = NULL, error = NULL"
    " WHERE run = :run AND arm = :arm AND state = 'done' AND error IS NULL AND :before > ("
    "SELECT greatest(g.at, (SELECT max(c.at) FROM evaluation_cache c WHERE c.generation = g.digest))"
    " FROM evaluation_generation g WHERE g.digest = t.generation)"
)
_ASK_UNANSWERED: Final = text(
    "UPDATE evaluation_task SET state = 'waiting', attempt = 0, failures = 0, generation = NULL, error = NULL,"
    " due_at = :due_at WHERE run = :run AND state = 'done' AND error IN ('target_error', 'unreached', 'timeout')"
)
_NEXT_DUE: Final = text("SELECT min(due_at) FROM evaluation_task WHERE run = :run AND state = 'waiting'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How a task ended, and what its answer is scored with. A cached answer has no latency.

    `error` is a TargetFailure's value, else None; `model` None where none was asked or named.
    """

    generation: Digest
    context: ScoringContext
    is_cached: bool = False
    latency_us: int | None = None
    ttft_us: int | None = None
    error: str | None = None
    model: str | None = None
    fingerprint: str | None = None


_ANSWERED: Final = tuple(Answered.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneTask:
    """A finished task."""

    key: TaskKey
    answered: Answered
    attempts: int


def add_tasks(connection: Connection, keys: Sequence[TaskKey], *, due_at: datetime) -> None:
    """Insert a run's tasks in the order they are to be asked."""
    for start in range(0, len(keys), _BATCH):
        rows = [
            {
                "run": key.run,
                "arm": key.arm.value,
                "case_id": key.case_id,
                "repeat": key.repeat,
                "ordinal": ordinal,
                "due_at": due_at,
            }
            for ordinal, key in enumerate(keys[start : start + _BATCH], start)
        ]
        connection.execute(evaluation_task.insert(), rows)


def take_tasks(connection: Connection, run: str, *, owner: str, now: datetime, most: int) -> tuple[Task, ...]:
    """Lease due, free tasks in their order."""
    values = {"run": run, "owner": owner, "now": now, "most": most, "lease": LEASE}
    rows = sorted(connection.execute(_TAKE, values), key=lambda row: int(row.ordinal))
    return tuple(
        Task(
            key=TaskKey(run=run, arm=Arm(row.arm), case_id=row.case_id, repeat=row.repeat),
            attempt=row.attempt,
            failures=row.failures,
            owner=owner,
        )
        for row in rows
    )


def finish_task(connection: Connection, task: Task, answered: Answered) -> bool:
    """Mark a leased task as done; False when the lease was lost."""
    values = {name: getattr(answered, name) for name in Answered.__dataclass_fields__}
    values["context"] = context_json(answered.context)
    return connection.execute(_FINISH, {**_token(task), **values}).rowcount == 1


def retry_task(connection: Connection, task: Task, *, due_at: datetime, error: str) -> bool:
    """Give a leased task back for another attempt later; False when the lease was lost."""
    return connection.execute(_RETRY, {**_token(task), "due_at": due_at, "error": error}).rowcount == 1


def free_leases(connection: Connection, run: str) -> int:
    """Free what a driver that is gone had leased; only for whoever holds the run's lock. Return how many."""
    return connection.execute(_FREE, {"run": run}).rowcount


def progress_of(connection: Connection, run: str) -> Progress:
    """Return how far a run is."""
    return Progress(**connection.execute(_PROGRESS, {"run": run}).mappings().one())


def ask_again(connection: Connection, run: str) -> int:
    """Make tasks wait again whose answer is gone (a document in it was taken down); return how many."""
    return connection.execute(_ASK_AGAIN, {"run": run}).rowcount


def ask_older(connection: Connection, run: str, arm: Arm, *, before: datetime) -> int:
    """Make an arm's tasks wait again whose answer is older than `before`, wherever it was given; return how many."""
    return connection.execute(_ASK_OLDER, {"run": run, "arm": arm.value, "before": before}).rowcount


def ask_unanswered(connection: Connection, run: str, *, due_at: datetime) -> int:
    """Make the tasks wait again that ended without an answer, for a run that failed; return how many."""
    return connection.execute(_ASK_UNANSWERED, {"run": run, "due_at": due_at}).rowcount


def next_due(connection: Connection, run: str) -> datetime | None:
    """Return when the next waiting task may be asked, None when all are done."""
    found: datetime | None = connection.execute(_NEXT_DUE, {"run": run}).scalar_one_or_none()
    return found


def done_tasks(connection: Connection, run: str) -> tuple[DoneTask, ...]:
    """Return every finished task in order."""
    query = select(evaluation_task).where(evaluation_task.c.run == run, evaluation_task.c.state == "done")
    return tuple(
        DoneTask(
            key=TaskKey(run=run, arm=Arm(row["arm"]), case_id=row["case_id"], repeat=row["repeat"]),
            answered=Answered(**{**{name: row[name] for name in _ANSWERED}, "context": read_context(row["context"])}),
            attempts=row["attempt"],
        )
        for row in connection.execute(query.order_by(evaluation_task.c.ordinal)).mappings()
    )


def _token(task: Task) -> dict[str, object]:
    key = task.key
    return {"run": key.run, "arm": key.arm.value, "case_id": key.case_id, "repeat": key.repeat, "owner": task.owner}
