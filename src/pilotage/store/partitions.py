"""Monthly partitions of interactions: made ahead of time, so that retention drops a table instead of deleting rows.

Rule: months are UTC. A month whose rows already lie in the default partition keeps lying there. Fail mode: without a
month's partition nothing is lost; the default one takes the rows.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import Connection, text

_AHEAD: Final = 2
_MAKE: Final = text("SELECT make_interaction_month(:month)")


def ensure_months(connection: Connection, now: datetime) -> tuple[date, ...]:
    """Create the partitions of this month and the next two where missing; return the first days of those made."""
    month = now.astimezone(UTC).date().replace(day=1)
    made = []
    for _ in range(_AHEAD + 1):
        if connection.execute(_MAKE, {"month": month}).scalar_one():
            made.append(month)
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return tuple(made)
