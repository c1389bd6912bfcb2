"""Permits of rate limits: counted in cells of a sixtieth of a window, leased to processes (serving.md 3.2).

Rule: a request counts in the cell in which its permit was leased; all cells that touch the window before now must hold
fewer than the limit. One lease at a time for each limit, on the database's clock. Fail mode: a database error; a
process that dies leaves the permits it held counted until their window is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, LiteralString

import msgspec

from pilotage.core.units import Rate
from pilotage.store.serving_pool import Pool

CELLS: Final = 60
MOST: Final = 100
"""The most permits in one lease."""
_SHARES: Final = 8
"""A process takes at most this part of its share of what is left, so that the others find some."""

_LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended(%(scope)s, 3302))"
_LEASE: Final[LiteralString] = """
WITH moment AS MATERIALIZED (SELECT extract(epoch FROM clock_timestamp())::float8 AS t),
cut AS MATERIALIZED (
  SELECT t, floor(t / %(width)s)::bigint AS cell, floor((t - %(window)s) / %(width)s)::bigint AS first FROM moment
), counted AS MATERIALIZED (
  SELECT cut.t, cut.cell, coalesce(sum(c.used), 0)::bigint AS used, min(c.cell) FILTER (WHERE c.used > 0) AS oldest
  FROM cut LEFT JOIN rate_cell c ON c.scope = %(scope)s AND c.cell >= cut.first GROUP BY cut.t, cut.cell
), servers AS MATERIALIZED (
  SELECT greatest(1, count(DISTINCT process)) AS n FROM route_ack WHERE at > clock_timestamp() - interval '30 seconds'
), granted AS MATERIALIZED (
  SELECT CASE WHEN used >= %(count)s THEN 0
    ELSE greatest(1, least(%(most)s, (%(count)s - used) / (%(shares)s * servers.n))) END AS n FROM counted, servers
), written AS (
  INSERT INTO rate_cell AS held (scope, cell, used, expires_at)
  SELECT %(scope)s, cell, n, to_timestamp((cell + 1) * %(width)s + %(window)s) FROM counted, granted WHERE n > 0
  ON CONFLICT (scope, cell) DO UPDATE SET used = held.used + EXCLUDED.used
)
SELECT n, used, cell, (cell + 1) * %(width)s - t AS ends_in_s,
  (coalesce(oldest, cell) + 1) * %(width)s + %(window)s - t AS frees_in_s
FROM counted, granted
"""
# Rows are locked in one order, so that two processes wait for each other and neither is refused.
_GIVE_BACK: Final[LiteralString] = """
WITH asked AS MATERIALIZED (
  SELECT held.scope, held.cell, r.count
  FROM json_to_recordset(%s::json) AS r (scope text, cell bigint, count bigint) JOIN rate_cell held USING (scope, cell)
  ORDER BY held.scope, held.cell FOR UPDATE OF held
)
UPDATE rate_cell AS held SET used = greatest(held.used - asked.count, 0)
FROM asked WHERE held.scope = asked.scope AND held.cell = asked.cell
"""
_FORGET: Final[LiteralString] = """
WITH over AS MATERIALIZED (
  SELECT scope, cell FROM rate_cell WHERE expires_at < clock_timestamp()
  ORDER BY expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED
)
DELETE FROM rate_cell AS held USING over WHERE held.scope = over.scope AND held.cell = over.cell
"""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """Permits of one cell; none are left when `count` is 0.

    `used` were taken before, by everybody. `ends_in_s`: until the cell ends; `frees_in_s`: until the oldest counted
    cell leaves the window.
    """

    count: int
    used: int
    cell: int
    ends_in_s: float
    frees_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """Permits that a process leased and did not use."""

    scope: str
    cell: int
    count: int


class RateCells:
    """Leases over the serving path's own connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lease(self, scope: str, rate: Rate) -> Leased:
        """Lease permits of a limit; psycopg.Error, PoolTimeout or OSError when the store is away."""
        values = {
            "scope": scope,
            "count": rate.count,
            "window": float(rate.window_s),
            "width": rate.window_s / CELLS,
            "most": MOST,
            "shares": _SHARES,
        }
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_LOCK, values)
            # A statement of its own: it must see what the holder of the lock before committed.
            found = await (await connection.execute(_LEASE, values)).fetchone()
        if found is None:
            message = "The lease of a rate limit returned no row."
            raise OSError(message)
        count, used, cell, ends_in_s, frees_in_s = found
        return Leased(
            count=int(str(count)),
            used=int(str(used)),
            cell=int(str(cell)),
            ends_in_s=float(str(ends_in_s)),
            frees_in_s=float(str(frees_in_s)),
        )

    async def give_back(self, unused: Sequence[Unused]) -> None:
        """Take permits out of their cells again."""
        rows = _encoder.encode([asdict(one) for one in unused]).decode()
        async with self._pool.connection() as connection:
            await connection.execute(_GIVE_BACK, (rows,))

    async def forget(self) -> None:
        """Delete the cells that no window touches any more."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET)
