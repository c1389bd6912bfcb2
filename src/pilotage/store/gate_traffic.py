"""What gates ask of the traffic: which release answered lately, when a space was last seen, what the ledger lacks.

Rule: set-wise, one statement for all releases; counts only. Fail mode: nothing seen is None or zero, and the fact then
says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from pilotage.store.gate_facts import Answering
from pilotage.store.together import Together

_ANSWERED_WITHIN: Final = timedelta(days=1)
_SEEN_WITHIN: Final = timedelta(days=30)
_SETTLED_AFTER: Final = timedelta(minutes=1)

_TRAFFIC = text("""
SELECT CAST(json_build_object(
  'answering', (SELECT json_agg(a) FROM (
    SELECT i.space, i.workflow, i.release, count(*) FILTER (WHERE i.code IS NULL) AS answered,
      count(*) FILTER (WHERE i.code IS NOT NULL) AS failed, max(i.at) FILTER (WHERE i.code IS NULL) AS last_at
    FROM interaction i JOIN unnest(CAST(:workflows AS text[]), CAST(:releases AS text[])) AS asked (workflow, release)
      ON i.workflow = asked.workflow AND i.release = asked.release
    WHERE i.space = ANY(:spaces) AND i.at >= :answered_since GROUP BY i.space, i.workflow, i.release) a),
  'last', (SELECT json_agg(l) FROM (
    SELECT s.space, w.workflow, newest.at
    FROM unnest(CAST(:spaces AS text[])) AS s (space)
      CROSS JOIN (SELECT DISTINCT workflow FROM unnest(CAST(:workflows AS text[])) AS u (workflow)) w
      CROSS JOIN LATERAL (SELECT i.at FROM interaction i
        WHERE i.workflow = w.workflow AND i.space = s.space AND i.at >= :seen_since ORDER BY i.at DESC LIMIT 1) newest
  ) l),
  'unrecorded', (SELECT json_agg(u) FROM (
    SELECT i.workflow, count(*) AS number FROM interaction i
    WHERE i.workflow = ANY(:workflows) AND i.at >= :settled_since AND i.at < :settled_until
      AND NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.subject = i.id) GROUP BY i.workflow) u)
) AS text)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What came in. `answering` by (space, workflow, release) in 24 h, `last` by (space, workflow) in 30 days.

    `unrecorded` by workflow: interactions of the last day, a minute old or more, without a ledger entry.
    """

    answering: Mapping[tuple[str, str, str], Answering]
    last: Mapping[tuple[str, str], datetime]
    unrecorded: Mapping[str, int]


def read_traffic(
    connection: Connection, releases: Collection[tuple[str, str]], *, spaces: Collection[str], now: datetime
) -> Traffic:
    """Return what these (workflow, release) did in these spaces."""
    settled = now - _SETTLED_AFTER
    values = {
        "workflows": [workflow for workflow, _ in releases],
        "releases": [release for _, release in releases],
        "spaces": list(spaces),
        "answered_since": now - _ANSWERED_WITHIN,
        "seen_since": now - _SEEN_WITHIN,
        "settled_since": settled - _ANSWERED_WITHIN,
        "settled_until": settled,
    }
    read = Together(connection, _TRAFFIC, values)
    return Traffic(
        answering={
            (row["space"], row["workflow"], row["release"]): Answering(
                answered=row["answered"], failed=row["failed"], last_at=row["last_at"]
            )
            for row in read.rows("answering", "last_at")
        },
        last={(row["space"], row["workflow"]): row["at"] for row in read.rows("last", "at")},
        unrecorded={row["workflow"]: row["number"] for row in read.rows("unrecorded")},
    )
