"""Drill rows: what was rehearsed, when, and how long it counts. Fail mode: None for an id that names nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from pilotage.core.digest import Digest
from pilotage.store.tables.rollouts import drill
from pilotage.store.tables.serving import routing


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrill:
    """One drill. `state`: running, passed or failed; `space_digest`: the settings it is bound to."""

    id: str
    kind: str
    workflow: str
    space: str
    release: Digest
    space_digest: str
    state: str
    started_by: str
    started_at: datetime
    finished_at: datetime | None = None
    valid_until: datetime | None = None
    incident: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the documented record, its report included."""
        named = {"drill": self.id, "state": self.state, "workflow": self.workflow, "space": self.space}
        return {**named, "incident": self.incident, **self.report}


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDrill:
    """When a workflow was drilled in a space last, and until when a passed drill counts; None: none passed."""

    workflow: str
    space: str
    started_at: datetime
    until: datetime | None


def add_drill(connection: Connection, stored: StoredDrill) -> None:
    """Insert a drill."""
    connection.execute(drill.insert().values(_values(stored)))


def save_drill(connection: Connection, stored: StoredDrill) -> None:
    """Write how a drill went."""
    connection.execute(update(drill).where(drill.c.id == stored.id).values(_values(stored)))


def find_drill(connection: Connection, identifier: str, *, lock: bool = False) -> StoredDrill | None:
    """Return a drill by its id, locked when asked."""
    query = select(drill).where(drill.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else StoredDrill(**row)


def valid_drills(
    connection: Connection, workflow: str, *, now: datetime, kind: str = "rollback"
) -> tuple[StoredDrill, ...]:
    """Return the passed drills of a workflow whose time has not run out, newest first."""
    query = select(drill).where(
        drill.c.workflow == workflow,
        drill.c.kind == kind,
        drill.c.state == "passed",
        drill.c.valid_until > now,
    )
    rows = connection.execute(query.order_by(drill.c.started_at.desc())).mappings()
    return tuple(StoredDrill(**row) for row in rows)


def drills_in(connection: Connection, workflow: str, space: str, *, kind: str) -> tuple[StoredDrill, ...]:
    """Return the drills of a workflow in a space, newest first."""
    query = select(drill).where(drill.c.workflow == workflow, drill.c.space == space, drill.c.kind == kind)
    rows = connection.execute(query.order_by(drill.c.started_at.desc(), drill.c.id.desc())).mappings()
    return tuple(StoredDrill(**row) for row in rows)


def last_drills(connection: Connection) -> tuple[LastDrill, ...]:
    """Return the last rollback drill of each workflow in each space where a release of it serves."""
    passed = func.max(drill.c.valid_until).filter(drill.c.state == "passed")
    query = (
        select(drill.c.workflow, drill.c.space, func.max(drill.c.started_at).label("started_at"), passed.label("until"))
        .join(routing, (routing.c.workflow == drill.c.workflow) & (routing.c.space == drill.c.space))
        .where(drill.c.kind == "rollback", routing.c.stable.is_not(None))
        .group_by(drill.c.workflow, drill.c.space)
        .order_by(drill.c.workflow, drill.c.space)
    )
    return tuple(LastDrill(**row) for row in connection.execute(query).mappings())


def running_drills(connection: Connection, *, before: datetime, lock: bool = False) -> tuple[StoredDrill, ...]:
    """Return drills that began before a moment and have not ended, oldest first; locked when asked."""
    query = select(drill).where(drill.c.state == "running", drill.c.started_at < before).order_by(drill.c.started_at)
    rows = connection.execute(query.with_for_update(skip_locked=True) if lock else query).mappings()
    return tuple(StoredDrill(**row) for row in rows)


def _values(stored: StoredDrill) -> dict[str, Any]:
    values = {name: getattr(stored, name) for name in StoredDrill.__dataclass_fields__}
    return {**values, "report": dict(stored.report)}


def find_drill_incident(connection: Connection, identifier: str) -> str | None:
    """Return the incident a drill opened, or None."""
    found: str | None = connection.scalar(select(drill.c.incident).where(drill.c.id == identifier))
    return found
