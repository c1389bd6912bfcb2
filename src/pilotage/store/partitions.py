"""Monthly partitions of interactions: made ahead of time, so that retention drops a table instead of deleting rows.

Rule: months are UTC. A month whose rows already lie in the default partition keeps lying there. Fail mode: without a
month's partition nothing is lost; the default one takes the rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text

_AHEAD: Final = 2


def ensure_months(connection: Connection, now: datetime) -> tuple[str, ...]:
    """Create the partitions of this month and the next two where they are missing; return the names of new ones."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    made = []
    # One process at a time: two would both find the partition missing.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('pilotage interaction partitions'))"))
    for _ in range(_AHEAD + 1):
        following = _next_month(first)
        name = f"interaction_{first:%Y_%m}"
        if not _taken(connection, name, first, following):
            connection.execute(
                text(
                    f"CREATE TABLE {name} PARTITION OF interaction"
                    f" FOR VALUES FROM ('{first.isoformat()}') TO ('{following.isoformat()}')"
                )
            )
            made.append(name)
        first = following
    return tuple(made)


def _next_month(first: datetime) -> datetime:
    """Return the first moment of the month after."""
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _taken(connection: Connection, name: str, first: datetime, following: datetime) -> bool:
    """Tell whether the month has its partition, or rows in the default one, which then keeps them."""
    statement = text(
        "SELECT to_regclass(:name) IS NOT NULL"
        " OR EXISTS (SELECT 1 FROM interaction_default WHERE at >= :first AND at < :following)"
    )
    taken: bool = connection.execute(statement, {"name": name, "first": first, "following": following}).scalar_one()
    return taken
