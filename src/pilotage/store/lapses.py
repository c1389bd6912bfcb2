"""What lapsed of the gates behind releases that serve, as rows: each is noticed, told and acted upon once.

Rule: the caller owns the transaction; a row that ended begins anew when it lapses again. Fail mode: no row, no lapse.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.store.tables.gates import gate_lapse

Key = tuple[str, str, str, str, str]
"""Space, workflow, release, gate, and what about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLapse:
    """One row. `about`: '' the gate itself, `risk:<acceptance>` or `never:<criterion>`."""

    space: str
    workflow: str
    release: str
    gate: str
    about: str
    since: datetime
    noticed_at: datetime
    ended_at: datetime | None = None
    acted_at: datetime | None = None

    @property
    def key(self) -> Key:
        """Return what names it."""
        return (self.space, self.workflow, self.release, self.gate, self.about)


def open_lapses(connection: Connection) -> tuple[StoredLapse, ...]:
    """Return what has not ended, in a fixed order, locked."""
    table = gate_lapse
    query = select(table).where(table.c.ended_at.is_(None)).order_by(*table.primary_key.columns)
    return tuple(StoredLapse(**row) for row in connection.execute(query.with_for_update()).mappings())


def put_lapse(connection: Connection, found: StoredLapse) -> None:
    """Write a lapse as it is now."""
    values = {name: getattr(found, name) for name in StoredLapse.__dataclass_fields__}
    row = insert(gate_lapse).values(values)
    connection.execute(row.on_conflict_do_update(index_elements=list(gate_lapse.primary_key.columns), set_=values))


def close_lapse(connection: Connection, found: StoredLapse, at: datetime) -> None:
    """Note that it holds again, or that nothing of it serves there."""
    table = gate_lapse
    same = [table.c[name] == value for name, value in zip(_KEY, found.key, strict=True)]
    connection.execute(update(table).where(*same).values(ended_at=at))


_KEY = ("space", "workflow", "release", "gate", "about")
_CAME_BACK = text(
    "SELECT max(flipped_at) FROM rollout WHERE workflow = :workflow AND target = :release AND :space = ANY(flipped)"
)


def came_back_at(connection: Connection, space: str, workflow: str, release: str) -> datetime | None:
    """Return when a rollback last brought a release back to a space; None: none did."""
    found: datetime | None = connection.scalar(_CAME_BACK, {"space": space, "workflow": workflow, "release": release})
    return found
