"""Windows of a space of a rollout that count for neither arm (rollouts.md 6.6).

Rule: a row excuses nothing until a second person stands in it; the caller owns the transaction and holds the rollout's
row. Fail mode: no row, nothing excused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.store.tables.rollouts import rollout_excuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """One window, from `from_at` until just before `to_at`. `second_by` None: it waits for a second person."""

    id: str
    rollout: str
    wave: int
    from_at: datetime
    to_at: datetime
    incident: str
    reason: str
    first_by: str
    first_at: datetime
    second_by: str | None = None
    second_at: datetime | None = None
    removed: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, at: datetime) -> bool:
        """Tell whether a request of that moment lies in the window."""
        return self.from_at <= at < self.to_at


def excuses_of(connection: Connection, rollout: str) -> tuple[Excuse, ...]:
    """Return every window of a rollout, asked for or excused, by space and time."""
    query = select(rollout_excuse).where(rollout_excuse.c.rollout == rollout)
    query = query.order_by(rollout_excuse.c.wave, rollout_excuse.c.from_at, rollout_excuse.c.id)
    return tuple(Excuse(**row) for row in connection.execute(query).mappings())


def excused_of(connection: Connection, rollout: str, wave: int) -> tuple[Excuse, ...]:
    """Return the windows of a space that two persons excused."""
    return tuple(one for one in excuses_of(connection, rollout) if one.wave == wave and one.second_by is not None)


def put_excuse(connection: Connection, found: Excuse) -> None:
    """Write a window as it is now."""
    values = {name: getattr(found, name) for name in Excuse.__dataclass_fields__}
    row = insert(rollout_excuse).values({**values, "removed": dict(found.removed)})
    keep = {name: row.excluded[name] for name in values if name != "id"}
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=keep))
