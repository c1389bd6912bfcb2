"""What requests, runs and shadows of a workflow cost, by day: sums for reports.

Rule: reads only. A request counts on the UTC day it was asked, with what its final record says; one whose price nobody
knows counts as `unpriced`, never as free. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.ids import SpaceName
from pilotage.portfolio.spending import Spent

_FINAL: Final = """FROM interaction i
LEFT JOIN LATERAL (SELECT * FROM interaction_closing WHERE interaction = i.id LIMIT 1) AS c ON true
CROSS JOIN LATERAL (
  SELECT CASE WHEN c.interaction IS NULL OR c.detail = '{}' THEN i.detail ELSE c.detail END AS detail) AS f"""
"""Requests, with what the last record of each says as `f`."""

_SPENT = text(
    """
SELECT (i.at AT TIME ZONE 'UTC')::date AS day, i.space, i.release, i.kind, coalesce(c.outcome, i.outcome) AS outcome,
  coalesce((f.detail ->> 't_total')::bigint >= :slow_us, false) AS was_slow, count(*) AS requests,
  coalesce(sum((f.detail ->> 'cost_nano')::bigint), 0)::bigint AS nano,
  count(*) FILTER (WHERE f.detail ->> 'model_used' IS NOT NULL AND f.detail ->> 'cost_nano' IS NULL) AS without_price
@final@
WHERE i.workflow = :workflow AND i.space = ANY(:spaces) AND i.at >= :since AND i.at < :until
GROUP BY 1, 2, 3, 4, 5, 6
""".replace("@final@", _FINAL)
)
_RUNS = text("""
SELECT coalesce(sum(spent_nano), 0)::bigint FROM evaluation_run
WHERE workflow = :workflow AND started_at >= :since AND started_at < :until
""")
_SHADOWS = text("""
SELECT coalesce(sum(k.cost_nano), 0)::bigint
FROM rollout_shadow_cost k JOIN rollout_shadow s ON s.rollout = k.rollout AND s.label = k.label
WHERE s.workflow = :workflow AND k.day >= :first AND k.day < :last
""")
_TOKENS = text(
    """
SELECT workflow, coalesce(sum((f.detail #>> '{usage,prompt_tokens}')::bigint
  + (f.detail #>> '{usage,completion_tokens}')::bigint), 0)::bigint AS tokens
@final@
WHERE i.at >= :since AND i.at < :until GROUP BY 1
""".replace("@final@", _FINAL)
)


def spent(
    connection: Connection,
    workflow: str,
    *,
    spaces: Sequence[SpaceName],
    since: datetime,
    until: datetime,
    slow_us: int,
) -> tuple[Spent, ...]:
    """Return what a workflow's requests cost in these spaces within a time; `slow_us` parts those that took long."""
    values = {"workflow": workflow, "spaces": list(spaces), "since": since, "until": until, "slow_us": slow_us}
    return tuple(Spent(**row) for row in connection.execute(_SPENT, values).mappings())


def spent_on_runs(connection: Connection, workflow: str, *, since: datetime, until: datetime) -> int:
    """Return what evaluation runs under a cost cap paid that began within a time, in 1e-9 of the currency."""
    values = {"workflow": workflow, "since": since, "until": until}
    return int(connection.execute(_RUNS, values).scalar_one())


def spent_on_shadows(connection: Connection, workflow: str, *, first: date, last: date) -> int:
    """Return what shadow and replay answers cost from the first day to before the last."""
    values = {"workflow": workflow, "first": first, "last": last}
    return int(connection.execute(_SHADOWS, values).scalar_one())


def tokens_used(connection: Connection, *, since: datetime, until: datetime) -> Mapping[str, int]:
    """Return the model's tokens of each workflow within a time."""
    rows = connection.execute(_TOKENS, {"since": since, "until": until})
    return {row.workflow: int(row.tokens) for row in rows}
