"""Which part of a space's requests came from a cohort, and how many there are a day.

Only user traffic of the last 14 days counts. Rule: who is eligible is decided at admission and stands in the record.
Fail mode: None without history, which never makes a candidate's share larger than planned.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from pilotage.store.together import Together

HISTORY: Final = timedelta(days=14)

_SHARE = text(
    "SELECT count(*) AS all_requests, count(*) FILTER (WHERE t.groups && CAST(:groups AS text[])) AS cohort"
    " FROM interaction i JOIN interaction_text t ON t.id = i.id"
    " WHERE i.space = :space AND i.workflow = :workflow AND i.kind = 'user' AND i.at >= :since AND i.at < :now"
)
# Laterally, so that each place is looked up in the index; a join over all of them would read every interaction.
_HISTORY = text("""
SELECT CAST(json_build_object(
  'days', (SELECT json_agg(d ORDER BY d.day) FROM (
    SELECT p.workflow, p.space, counted.day, counted.requests, counted.principals
    FROM jsonb_to_recordset(CAST(:places AS jsonb)) AS p (workflow text, space text) CROSS JOIN LATERAL (
      SELECT date_trunc('day', i.at) AS day, count(*) AS requests,
        count(DISTINCT i.principal) AS principals FROM interaction i
      WHERE i.workflow = p.workflow AND i.space = p.space AND i.kind = 'user'
        AND i.at >= date_trunc('day', CAST(:since AS timestamptz)) + interval '1 day'
        AND i.at < date_trunc('day', CAST(:now AS timestamptz)) GROUP BY 1) counted) d),
  'shares', (SELECT json_agg(s) FROM (
    SELECT c.workflow, c.space, c.groups, counted.requests, counted.cohort
    FROM jsonb_to_recordset(CAST(:cohorts AS jsonb)) AS c (workflow text, space text, groups text[])
    CROSS JOIN LATERAL (
      SELECT count(*) AS requests, count(*) FILTER (WHERE t.groups && c.groups) AS cohort
      FROM interaction i JOIN interaction_text t ON t.id = i.id
      WHERE i.workflow = c.workflow AND i.space = c.space AND i.kind = 'user'
        AND i.at >= :since AND i.at < :now) counted) s)
) AS text)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workflow in a space, and the cohorts whose share of its requests is asked for."""

    workflow: str
    space: str
    cohorts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """User requests of the last 14 days: per whole day, oldest first, days without any left out; and cohorts' shares.

    `principals`: distinct askers of each of these days. A cohort without any request has no share.
    """

    days: tuple[int, ...] = ()
    principals: tuple[int, ...] = ()
    shares: Mapping[tuple[str, ...], float] = field(default_factory=dict)


def cohort_share(
    connection: Connection, space: str, workflow: str, *, now: datetime, groups: tuple[str, ...] = ()
) -> float | None:
    """Return the cohort's share of requests in (0, 1]; None without any request of the cohort in the last 14 days."""
    values = {"space": space, "workflow": workflow, "now": now, "since": now - HISTORY, "groups": list(groups)}
    row = connection.execute(_SHARE, values).one()
    return row.cohort / row.all_requests if row.cohort else None


def read_history(connection: Connection, places: Collection[Place], *, now: datetime) -> dict[tuple[str, str], History]:
    """Return the history of each (workflow, space), in one statement."""
    cohorts = {(one.workflow, one.space, groups) for one in places for groups in one.cohorts}
    values = {
        "places": json.dumps([{"workflow": one.workflow, "space": one.space} for one in places]),
        "cohorts": json.dumps([{"workflow": w, "space": s, "groups": groups} for w, s, groups in sorted(cohorts)]),
        "now": now,
        "since": now - HISTORY,
    }
    read = Together(connection, _HISTORY, values)
    days: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in read.rows("days"):
        days.setdefault((row["workflow"], row["space"]), []).append((row["requests"], row["principals"]))
    shares: dict[tuple[str, str], dict[tuple[str, ...], float]] = {}
    for row in read.rows("shares"):
        if row["cohort"]:
            found = shares.setdefault((row["workflow"], row["space"]), {})
            found[tuple(row["groups"])] = row["cohort"] / row["requests"]
    keys = {(one.workflow, one.space) for one in places}
    return {
        key: History(
            days=tuple(requests for requests, _ in days.get(key, ())),
            principals=tuple(askers for _, askers in days.get(key, ())),
            shares=shares.get(key, {}),
        )
        for key in keys
    }
