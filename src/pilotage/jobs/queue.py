"""Procrastinate as wake-up and work queue for leased runs, never as the truth.

A job carries only (kind, key, generation); its run's row decides whether there is anything to do. The functions here
run inside the reconciler's transaction: put back jobs for due rows without a live one, and mark failed those whose
worker has shown no life for two minutes. Fail mode: an empty or wiped queue delays work by one turn.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.jobs.handlers import Registry
from pilotage.store.runs import BATCH, Run, lock_due

QUEUE: Final = "runs"
TASK: Final = "pilotage.run"
SILENCE: Final = timedelta(seconds=120)
KEEP: Final = timedelta(days=7)

# The queue's own functions and triggers name their tables without a schema.
_ENTER = text("SET LOCAL search_path TO procrastinate, public")
_LEAVE = text("SET LOCAL search_path TO DEFAULT")

_LIVE = text("SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :name AND status IN ('todo', 'doing') LIMIT 1")
_PUT = text(
    "SELECT procrastinate_defer_jobs_v1(ARRAY[CAST(ROW(:queue, :task, 0, :lock, :name, :args, NULL)"
    " AS procrastinate_job_to_defer_v1)])"
).bindparams(bindparam("args", type_=JSONB))
_RECOVER = text(
    "UPDATE procrastinate_jobs AS job SET status = 'failed' WHERE status = 'doing' AND NOT EXISTS"
    " (SELECT 1 FROM procrastinate_workers AS worker WHERE worker.id = job.worker_id"
    " AND worker.last_heartbeat >= now() - CAST(:silence AS interval))"
)
_REMOVE = text(
    "DELETE FROM procrastinate_jobs WHERE status NOT IN ('todo', 'doing') AND id IN"
    " (SELECT job_id FROM procrastinate_events GROUP BY job_id HAVING max(at) < now() - CAST(:keep AS interval))"
)


def job_name(run: Run) -> str:
    """Name the job of a run at its generation; there is at most one live job of a name."""
    return f"{run.kind}:{run.key}:{run.generation}"


def put_back(connection: Connection, registry: Registry, now: datetime) -> int:
    """Queue due, free, leased runs that have no live job; return how many. Their rows stay locked until commit."""
    due = lock_due(connection, registry.works.keys(), now, limit=BATCH)
    connection.execute(_ENTER)
    queued = 0
    for run in due:
        name = job_name(run)
        if connection.execute(_LIVE, {"name": name}).first() is None:
            values = {
                "queue": QUEUE,
                "task": TASK,
                "lock": registry.works[run.kind].lock(run),
                "name": name,
                "args": {"kind": run.kind, "key": run.key, "generation": run.generation},
            }
            connection.execute(_PUT, values)
            queued += 1
    connection.execute(_LEAVE)
    return queued


def recover_dead(connection: Connection) -> int:
    """Mark failed the jobs in `doing` whose worker is gone or silent for 120 s; return how many.

    Their lock is free then; what they did not finish comes back through the run's row.
    """
    connection.execute(_ENTER)
    failed = connection.execute(_RECOVER, {"silence": SILENCE}).rowcount
    connection.execute(_LEAVE)
    return failed


def remove_old(connection: Connection) -> int:
    """Delete jobs that ended more than seven days ago; return how many."""
    connection.execute(_ENTER)
    removed = connection.execute(_REMOVE, {"keep": KEEP}).rowcount
    connection.execute(_LEAVE)
    return removed
