"""The verdicts of a rollout in order of time, for pages: what was known when.

Rule: reads only. Fail mode: a database error; at most the newest `most` are returned, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest

_HISTORY = text("""
SELECT digest, wave, step, outcome, effect, body, at, is_decision FROM (
  SELECT digest, wave, step, outcome, effect, body, at, is_decision FROM rollout_verdict
  WHERE rollout = :rollout ORDER BY at DESC, digest LIMIT :most
) AS newest ORDER BY at, digest
""")
_VERSION = text("""
SELECT concat_ws('/', r.state, r.state_at, r.wave, r.step, r.decision, r.zeroed, r.latched, r.zero_s, r.incident,
  (SELECT max(v.at) FROM rollout_verdict v WHERE v.rollout = r.id),
  (SELECT count(*) FROM rollout_signature s WHERE s.rollout = r.id),
  (SELECT concat_ws('/', i.state, i.severity, md5(i.summary)) FROM incident i WHERE i.id = r.incident),
  (SELECT concat_ws('/', count(*), count(*) FILTER (WHERE p.state <> 'expected'))
    FROM rollout_pair p WHERE p.rollout = r.id AND p.is_counted),
  (SELECT concat_ws('/', count(*), count(s.ended_at)) FROM rollout_shadow s WHERE s.rollout = r.id))
FROM rollout r WHERE r.id = :rollout
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastVerdict:
    """One verdict as it was given; `body` is its canonical JSON."""

    digest: Digest
    wave: int
    step: int
    outcome: str
    effect: str
    body: bytes
    at: datetime
    is_decision: bool


def verdict_history(connection: Connection, rollout: str, *, most: int = 400) -> tuple[PastVerdict, ...]:
    """Return the newest verdicts, oldest first."""
    rows = connection.execute(_HISTORY, {"rollout": rollout, "most": most}).all()
    return tuple(
        PastVerdict(
            digest=digest,
            wave=wave,
            step=step,
            outcome=outcome,
            effect=effect,
            body=bytes(body),
            at=at,
            is_decision=is_decision,
        )
        for digest, wave, step, outcome, effect, body, at, is_decision in rows
    )


def rollout_version(connection: Connection, rollout: str) -> str | None:
    """Return a text that changes with every row a page about the rollout shows; None for an unknown id.

    Time alone changes a page too: a pair that stays out is lost when it is due.
    """
    found: str | None = connection.execute(_VERSION, {"rollout": rollout}).scalar_one_or_none()
    return found
