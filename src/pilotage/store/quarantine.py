"""Who asked that a quarantine end, and the quarantines of single spaces.

Rule: asking twice renews the word; the caller owns the transaction and holds the release's row. Fail mode: None where
there is no quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName
from pilotage.store.tables.releases import quarantine_lift
from pilotage.store.tables.rollouts import space_quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftAsked:
    """One person's word. `may_lift`: whether the person held a role that quarantines when asking."""

    person: PersonId
    may_lift: bool
    at: datetime


def ask_lift(connection: Connection, release: Digest, space: SpaceName | None, asked: LiftAsked) -> None:
    """Write one person's word; the same person asking again renews it."""
    values = {"may_lift": asked.may_lift, "at": asked.at}
    row = insert(quarantine_lift).values(release=release, space=space or "", person=asked.person, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["release", "space", "person"], set_=values))


def lift_asked(connection: Connection, release: Digest, space: SpaceName | None) -> tuple[LiftAsked, ...]:
    """Return everybody's word, oldest first."""
    table = quarantine_lift
    query = select(table).where(table.c.release == release, table.c.space == (space or ""))
    rows = connection.execute(query.order_by(table.c.at, table.c.person)).mappings()
    return tuple(LiftAsked(person=PersonId(row["person"]), may_lift=row["may_lift"], at=row["at"]) for row in rows)


def space_quarantined_at(connection: Connection, space: str, workflow: str, release: str) -> datetime | None:
    """Return since when a release is kept out of a space, the row locked; None when it is not."""
    query = select(space_quarantine.c.at).where(*_here(space, workflow, release)).with_for_update()
    found: datetime | None = connection.scalar(query)
    return found


def quarantined_spaces(connection: Connection, workflow: str, release: str) -> tuple[SpaceName, ...]:
    """Return the spaces a release was rolled back in and is kept out of."""
    table = space_quarantine
    query = select(table.c.space).where(
        table.c.workflow == workflow, table.c.release == release, table.c.lifted_at.is_(None)
    )
    return tuple(map(SpaceName, connection.scalars(query.order_by(table.c.space))))


def end_space_quarantine(connection: Connection, space: str, workflow: str, release: str, at: datetime) -> None:
    """Let a release into a space again."""
    connection.execute(update(space_quarantine).where(*_here(space, workflow, release)).values(lifted_at=at))


def _here(space: str, workflow: str, release: str) -> tuple[ColumnElement[bool], ...]:
    table = space_quarantine
    return (
        table.c.space == space,
        table.c.workflow == workflow,
        table.c.release == release,
        table.c.lifted_at.is_(None),
    )
