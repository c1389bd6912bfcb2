"""Which part of a space's requests came from a cohort, and how many there are a day.

Only user traffic of the last 14 days counts. Rule: who is eligible is decided at admission and stands in the record.
Fail mode: None without history, which never makes a candidate's share larger than planned.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

HISTORY: Final = timedelta(days=14)

_SHARE = text(
    "SELECT count(*) AS all_requests, count(*) FILTER (WHERE t.groups && CAST(:groups AS text[])) AS cohort"
    " FROM interaction i JOIN interaction_text t ON t.id = i.id"
    " WHERE i.space = :space AND i.workflow = :workflow AND i.kind = 'user' AND i.at >= :since AND i.at < :now"
)
_DAYS = text(
    "SELECT count(*) AS requests FROM interaction WHERE space = :space AND workflow = :workflow AND kind = 'user'"
    " AND at >= date_trunc('day', CAST(:since AS timestamptz)) + interval '1 day'"
    " AND at < date_trunc('day', CAST(:now AS timestamptz)) GROUP BY date_trunc('day', at)"
    " ORDER BY date_trunc('day', at)"
)


def cohort_share(
    connection: Connection, space: str, workflow: str, *, now: datetime, groups: tuple[str, ...] = ()
) -> float | None:
    """Return the cohort's share of requests in (0, 1]; None without any request of the cohort in the last 14 days."""
    values = {"space": space, "workflow": workflow, "now": now, "since": now - HISTORY, "groups": list(groups)}
    row = connection.execute(_SHARE, values).one()
    return row.cohort / row.all_requests if row.cohort else None


def daily_requests(connection: Connection, space: str, workflow: str, *, now: datetime) -> tuple[int, ...]:
    """Return user requests per whole day of the last 14 days, oldest first; days without any are not listed."""
    values = {"space": space, "workflow": workflow, "now": now, "since": now - HISTORY}
    return tuple(int(count) for count in connection.scalars(_DAYS, values))
