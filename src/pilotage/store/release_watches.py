"""Releases that completed and are watched while they serve: one row for each space of their rollout.

Rule: the caller owns the transaction; sums and cursor are written together, under the row's lock. Fail mode: no row, no
watch, and `unwatched` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select, text
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.store.tables.rollouts import release_watch

LEFT, REGRESSION = "left", "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWatch:
    """One row. `ended_why`: LEFT, it serves there no longer, or REGRESSION, taken back by the rollout `rollback`."""

    rollout: str
    wave: int
    workflow: WorkflowName
    space: SpaceName
    release: Digest
    since: datetime
    cursor: int
    counted_from: int
    per_year: float
    sums: Mapping[str, Any] = field(default_factory=dict)
    ended_at: datetime | None = None
    ended_why: str | None = None
    rollback: str | None = None


def put_watch(connection: Connection, found: ReleaseWatch) -> None:
    """Write a watch as it is now."""
    values = {name: getattr(found, name) for name in ReleaseWatch.__dataclass_fields__}
    row = insert(release_watch).values({**values, "sums": dict(found.sums)})
    keep = {name: row.excluded[name] for name in values if name not in {"rollout", "wave"}}
    connection.execute(row.on_conflict_do_update(index_elements=["rollout", "wave"], set_=keep))


def watches_of(connection: Connection, rollout: str, *, lock: bool = False) -> tuple[ReleaseWatch, ...]:
    """Return the watches of a rollout in the order of its spaces, locked until the transaction ends when asked."""
    query = select(release_watch).where(release_watch.c.rollout == rollout).order_by(release_watch.c.wave)
    return tuple(_watch(row) for row in connection.execute(query.with_for_update() if lock else query).mappings())


_SERVING = text(
    "SELECT DISTINCT ON (w.space, w.workflow) w.rollout, w.number, x.ended_at IS NULL AND x.rollout IS NOT NULL AS open"
    " FROM routing g JOIN rollout_wave w ON w.space = g.space AND w.workflow = g.workflow AND w.state = 'done'"
    " JOIN rollout r ON r.id = w.rollout AND r.release = g.stable AND r.state = 'completed'"
    " LEFT JOIN release_watch x ON x.rollout = w.rollout AND x.wave = w.number"
    " WHERE w.started_at IS NOT NULL ORDER BY w.space, w.workflow, r.ended_at DESC"
)


def unwatched(connection: Connection) -> tuple[tuple[str, int], ...]:
    """Return rollout and number of every space whose stable release completed there and that nobody watches."""
    return tuple((row.rollout, row.number) for row in connection.execute(_SERVING) if not row.open)


def open_watches(connection: Connection) -> tuple[str, ...]:
    """Return the rollouts with a watch that goes on."""
    query = select(release_watch.c.rollout).where(release_watch.c.ended_at.is_(None)).distinct()
    return tuple(connection.scalars(query.order_by(release_watch.c.rollout)))


def _watch(row: RowMapping) -> ReleaseWatch:
    typed = {
        "workflow": WorkflowName(row["workflow"]),
        "space": SpaceName(row["space"]),
        "release": Digest(row["release"]),
    }
    return ReleaseWatch(**{**row, **typed})
