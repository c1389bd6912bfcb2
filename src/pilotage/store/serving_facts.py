"""What a serving process tells its operators of the store: ledger and jobs, for `/metrics`.

Rule: reads only, on the serving path's own connections. Fail mode: psycopg.Error, PoolTimeout or OSError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

_READ: Final[LiteralString] = """
SELECT h.size,
  coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT min(inserted_at) FROM ledger_entry WHERE seq IS NULL)), 0)::float8,
  (SELECT count(*) FROM run WHERE state = 'due' AND due_at < clock_timestamp() - interval '60 s'
    AND (lease_until IS NULL OR lease_until < clock_timestamp()))
FROM ledger_head h
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """Numbered `entries` of the ledger, seconds that the oldest other one waits, and jobs due for over a minute."""

    entries: int
    ledger_lag_s: float
    jobs_late: int


async def store_facts(pool: AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]) -> StoreFacts:
    """Return what holds now."""
    async with pool.connection() as connection:
        row = await (await connection.execute(_READ)).fetchone()
    if row is None:
        return StoreFacts(entries=0, ledger_lag_s=0.0, jobs_late=0)
    entries, lag, late = row
    return StoreFacts(entries=int(str(entries)), ledger_lag_s=max(0.0, float(str(lag))), jobs_late=int(str(late)))
