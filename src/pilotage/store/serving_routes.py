"""Reading the routing table on the serving path: every row, the states of the releases they name, and notifications.

Fail mode: a database error; the process keeps its table until it is too old, then answers nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg.rows import dict_row

from pilotage.store.serving_pool import Pool

_ROWS: Final[LiteralString] = """
SELECT r.space, r.workflow, r.generation, r.stable, r.candidate, r.fraction_ppm, r.cohort, r.pins, r.salt, r.paused,
  r.closed, r.down, r.failover, r.shadow, r.shadow_ppm, r.rollout,
  ARRAY(SELECT q.release FROM space_quarantine q WHERE q.space = r.space AND q.workflow = r.workflow AND q.hard
    AND q.lifted_at IS NULL ORDER BY q.release) AS cut,
  EXISTS (SELECT FROM drift f WHERE f.process = %(process)s AND f.space = r.space AND f.workflow = r.workflow
    AND f.evicts AND f.release IN (r.stable, r.candidate)) AS evicted,
  EXISTS (SELECT FROM rollout x WHERE x.workflow = r.workflow AND r.space = ANY(x.flipped)
    AND x.state IN ('rolling_back', 'validating'))
  OR EXISTS (SELECT FROM drill d WHERE d.workflow = r.workflow AND d.space = r.space AND d.state = 'running'
    AND d.report->>'phase' = 'validating') AS is_probed,
  r.drill->>'release' AS drill, r.drill->>'failover' AS drill_failover,
  coalesce(s.state, '') AS stable_state, coalesce(c.state, '') AS candidate_state,
  coalesce(w.state, '') AS shadow_state
FROM routing r
LEFT JOIN release s ON s.digest = r.stable
LEFT JOIN release c ON c.digest = r.candidate
LEFT JOIN release w ON w.digest = r.shadow
ORDER BY r.space, r.workflow
"""

WITHDRAWN_STATES = frozenset({"quarantined", "revoked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRoute:
    """One row as it stands in the store. `split` holds salt, fraction_ppm, cohort and pins, undecoded."""

    space: str
    workflow: str
    generation: int
    stable: str | None
    candidate: str | None
    paused: bool
    closed: str | None = None
    is_probed: bool = False
    drill: str | None = None
    drill_failover: str | None = None
    down: bool = False
    failover: str | None = None
    evicted: bool = False
    cut: tuple[str, ...] = ()
    shadow: str | None = None
    shadow_ppm: int = 0
    rollout: str | None = None
    split: Mapping[str, object]
    withdrawn: frozenset[str]


class RouteReader:
    """Reads the table for one process."""

    def __init__(self, pool: Pool, *, process: str = "") -> None:
        self._pool = pool
        self._process = process

    async def read(self) -> tuple[StoredRoute, ...]:
        """Return every row, in one statement."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = await (await cursor.execute(_ROWS, {"process": self._process})).fetchall()
        return tuple(_route(row) for row in rows)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _route(row: Mapping[str, object]) -> StoredRoute:
    stable, candidate, shadow = row["stable"], row["candidate"], row["shadow"]
    states = ((stable, row["stable_state"]), (candidate, row["candidate_state"]), (shadow, row["shadow_state"]))
    return StoredRoute(
        space=str(row["space"]),
        workflow=str(row["workflow"]),
        generation=int(str(row["generation"])),
        stable=None if stable is None else str(stable),
        candidate=None if candidate is None else str(candidate),
        paused=bool(row["paused"]),
        is_probed=bool(row["is_probed"]),
        drill=None if row["drill"] is None else str(row["drill"]),
        drill_failover=None if row["drill_failover"] is None else str(row["drill_failover"]),
        down=bool(row["down"]),
        evicted=bool(row["evicted"]),
        cut=tuple(str(digest) for digest in _listed(row["cut"])),
        failover=None if row["failover"] is None else str(row["failover"]),
        shadow=None if shadow is None else str(shadow),
        shadow_ppm=int(str(row["shadow_ppm"])),
        rollout=None if row["rollout"] is None else str(row["rollout"]),
        closed=None if row["closed"] is None else str(row["closed"]),
        split={name: row[name] for name in ("salt", "fraction_ppm", "cohort", "pins")},
        withdrawn=frozenset(str(digest) for digest, state in states if digest and state in WITHDRAWN_STATES),
    )
