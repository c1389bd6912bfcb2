"""Which part of a space's requests came from a cohort, and how many there are a day (rollouts.md 3.1, 4.1).

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
    " AND at >= :since AND at < :now GROUP BY date_trunc('day', at)"
)


def cohort_share(
    connection: Connection, space: str, workflow: str, *, now: datetime, groups: tuple[str, ...] = ()
) -> float | None:
    """Return the cohort's share of requests in (0, 1]; None without any request of the cohort in the last 14 days."""
    values = {"space": space, "workflow": workflow, "now": now, "since": now - HISTORY, "groups": list(groups)}
    row = connection.execute(_SHARE, values).one()
    return row.cohort / row.all_requests if row.cohort else None


def requests_per_day(connection: Connection, space: str, workflow: str, *, now: datetime) -> float | None:
    """Return the 10th percentile of the last 14 days' requests; None without 14 days of history."""
    values = {"space": space, "workflow": workflow, "now": now, "since": now - HISTORY}
    days = sorted(connection.scalars(_DAYS, values))
    if len(days) < HISTORY.days:
        return None
    place = 0.1 * (len(days) - 1)
    low = int(place)
    return float(days[low] + (place - low) * (days[low + 1] - days[low]))
