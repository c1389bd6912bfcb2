"""Who asked that a release be revoked: the first of two persons waits here for the second.

Fail mode: asking twice changes nothing; the caller owns the transaction and holds the release's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.store.tables.releases import release_revocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One person's demand. `may_revoke`: whether the person held a role that revokes when asking."""

    person: PersonId
    may_revoke: bool
    reason: str
    at: datetime


def ask_revocation(connection: Connection, release: Digest, asked: Asked) -> None:
    """Write a demand; the same person asking again renews it."""
    values = {"may_revoke": asked.may_revoke, "reason": asked.reason, "at": asked.at}
    row = insert(release_revocation).values(release=release, person=asked.person, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["release", "person"], set_=values))


def revocation_asked(connection: Connection, release: Digest) -> tuple[Asked, ...]:
    """Return the demands, oldest first."""
    query = select(release_revocation).where(release_revocation.c.release == release)
    rows = connection.execute(query.order_by(release_revocation.c.at, release_revocation.c.person)).mappings()
    return tuple(
        Asked(person=PersonId(row["person"]), may_revoke=row["may_revoke"], reason=row["reason"], at=row["at"])
        for row in rows
    )
