"""What interaction records say about a release since a moment; read from records, never from the routing table.

Fail mode: a database error. Only user traffic is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

_ANSWERS = text(
    "SELECT count(*), max(i.at + make_interval(secs => coalesce((i.detail->>'t_total')::float8, 0) / 1e6))"
    " FROM interaction i WHERE i.space = :space AND i.workflow = :workflow AND i.release = :release"
    " AND i.kind = 'user' AND i.arm <> 'shadow' AND i.outcome IN ('ok', 'refused', 'policy_blocked')"
    " AND i.at + make_interval(secs => coalesce((i.detail->>'t_total')::float8, 0) / 1e6) > :since"
    " AND i.at > CAST(:since AS timestamptz) - interval '1 hour'"
)
_FAILURES = text(
    "SELECT count(*), count(*) FILTER (WHERE i.outcome LIKE 'error.%' OR i.outcome IN"
    " ('timeout', 'stream_aborted', 'lost', 'shed'))"
    " FROM interaction i WHERE i.space = :space AND i.workflow = :workflow AND i.release = :release"
    " AND i.kind = 'user' AND i.at >= :since"
)


_IMPACT = text(
    "SELECT count(*), count(DISTINCT i.principal) FROM interaction i WHERE i.space = ANY(:spaces)"
    " AND i.workflow = :workflow AND i.release = :release AND i.kind = 'user' AND i.arm <> 'shadow'"
    " AND i.at >= :since AND i.at < :until"
)


def impact_of(
    connection: Connection, spaces: Sequence[str], workflow: str, *, release: str, since: datetime, until: datetime
) -> tuple[int, int]:
    """Return the user requests a release answered in a time, and of how many principals."""
    values = {"spaces": list(spaces), "workflow": workflow, "release": release, "since": since, "until": until}
    requests, principals = connection.execute(_IMPACT, values).one()
    return int(requests), int(principals)


def answers_since(
    connection: Connection, space: str, workflow: str, *, release: str, since: datetime
) -> tuple[int, datetime | None]:
    """Return how many user answers a release gave after a moment, and when the last one ended."""
    values = {"space": space, "workflow": workflow, "release": release, "since": since}
    count, last = connection.execute(_ANSWERS, values).one()
    return int(count), last


def failures_since(
    connection: Connection, space: str, workflow: str, *, release: str, since: datetime
) -> tuple[int, int]:
    """Return requests and errors of a release since a moment."""
    values = {"space": space, "workflow": workflow, "release": release, "since": since}
    n, x = connection.execute(_FAILURES, values).one()
    return int(n), int(x)
