"""One row per live process: a heartbeat, what it has applied, and how far its clock is from the others'.

Rule: skew is measured against the database's clock at every heartbeat; more than 5 s makes a process unfit. Fail mode:
a process without a heartbeat for 30 s counts as dead; its row goes after a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.reason import Reason

BEAT_EVERY: Final = timedelta(seconds=10)
DEAD_AFTER: Final = timedelta(seconds=30)
FORGET_AFTER: Final = timedelta(days=1)
MAX_SKEW_MS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as its last heartbeat left it. `clock_skew_ms` is its clock minus the database's."""

    id: str
    kind: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    clock_skew_ms: int
    applied: Mapping[str, Any]
    alive: bool


SKEW_MS: Final = (
    "CAST(LEAST(GREATEST(extract(epoch FROM CAST(:now AS timestamptz) - clock_timestamp()) * 1000,"
    " -2000000000), 2000000000) AS integer)"
)
"""SQL: milliseconds by which `:now` is ahead of the database's clock; one that is years off still fits."""

_BEAT = text(
    "INSERT INTO process (id, kind, host, pid, started_at, seen_at, clock_skew_ms, applied)"  # noqa: S608 - constants
    " VALUES (:id, :kind, :host, :pid, :started_at, clock_timestamp(),"
    f" {SKEW_MS}, :applied)"
    " ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at, clock_skew_ms = EXCLUDED.clock_skew_ms,"
    " applied = EXCLUDED.applied RETURNING clock_skew_ms"
).bindparams(bindparam("applied", type_=JSONB))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who sends the heartbeat. `id` is unique per process start."""

    id: str
    kind: str
    host: str
    pid: int
    started_at: datetime


def beat(connection: Connection, who: Identity, *, now: datetime, applied: Mapping[str, Any]) -> int:
    """Write a heartbeat and return this process's clock skew in milliseconds.

    `now` is the wall clock read just before the call; `applied` tells what the process has taken over, such as corpus
    generations, for the figure of how fast revocations reach everybody.
    """
    values = {
        "id": who.id,
        "kind": who.kind,
        "host": who.host,
        "pid": who.pid,
        "started_at": who.started_at,
        "now": now,
        "applied": dict(applied),
    }
    skew: int = connection.execute(_BEAT, values).scalar_one()
    return skew


_ALL = text(
    "SELECT id, kind, host, pid, started_at, seen_at, clock_skew_ms, applied,"
    " seen_at >= clock_timestamp() - CAST(:dead_after AS interval) AS alive FROM process ORDER BY kind, id"
)


def list_processes(connection: Connection) -> tuple[Process, ...]:
    """Return every process that beat within the last day, dead ones marked."""
    return tuple(Process(**row) for row in connection.execute(_ALL, {"dead_after": DEAD_AFTER}).mappings())


def sign_off_process(connection: Connection, process_id: str) -> None:
    """Remove the row of a process that ends properly."""
    connection.execute(text("DELETE FROM process WHERE id = :id"), {"id": process_id})


def forget_dead(connection: Connection) -> int:
    """Remove rows without a heartbeat for a day; return how many."""
    statement = text("DELETE FROM process WHERE seen_at < clock_timestamp() - CAST(:after AS interval)")
    return connection.execute(statement, {"after": FORGET_AFTER}).rowcount


def skew_reason(skew_ms: int, where: str) -> Reason | None:
    """Return why a clock is unfit, or None within 5 s."""
    if abs(skew_ms) <= MAX_SKEW_MS:
        return None
    return Reason(
        code="clock_skew",
        text=f"The clock of {where} is {abs(skew_ms) / 1000:.1f} s {'ahead' if skew_ms > 0 else 'behind'}: set up NTP.",
        where=where,
        observed=f"{skew_ms} ms",
        limit=f"{MAX_SKEW_MS} ms",
    )
