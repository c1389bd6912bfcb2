"""The verdicts of a rollout in order of time, for pages: what was known when.

Rule: reads only; the bytes of a verdict never change, so a process that looks again reads those of new ones alone. Fail
mode: a database error; at most the newest `most` are returned, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest

REMEMBERED: Final = 4096
"""Verdicts a process keeps the bytes of: the whole history of ten rollouts."""

_HISTORY = text("""
SELECT digest, wave, step, outcome, effect, at, is_decision FROM (
  SELECT digest, wave, step, outcome, effect, at, is_decision FROM rollout_verdict
  WHERE rollout = :rollout ORDER BY at DESC, digest LIMIT :most
) AS newest ORDER BY at, digest
""")
_BODIES = text("SELECT digest, body FROM rollout_verdict WHERE rollout = :rollout AND digest = ANY(:digests)")
_PARTS = text("""
SELECT EXISTS (SELECT FROM rollout_shadow WHERE rollout = :rollout),
  EXISTS (SELECT FROM release_watch WHERE rollout = :rollout),
  EXISTS (SELECT FROM rollout_excuse WHERE rollout = :rollout)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a rollout has beside its steps; most have none of it."""

    phases: bool
    watches: bool
    excuses: bool


class _Bodies:
    """Bytes of verdicts by their digest, those read first forgotten first; threads share it."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._lock = Lock()

    def known(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Return those that are kept."""
        with self._lock:
            return {digest: self._kept[digest] for digest in digests if digest in self._kept}

    def keep(self, more: Mapping[str, bytes]) -> None:
        """Keep more, and let the oldest go."""
        with self._lock:
            self._kept.update(more)
            for digest in list(self._kept)[: max(0, len(self._kept) - REMEMBERED)]:
                del self._kept[digest]


_bodies: Final = _Bodies()


def verdict_history(connection: Connection, rollout: str, *, most: int = 400) -> tuple[PastVerdict, ...]:
    """Return the newest verdicts, oldest first."""
    rows = connection.execute(_HISTORY, {"rollout": rollout, "most": most}).all()
    bodies = _bodies_of(connection, rollout, [row.digest for row in rows])
    return tuple(
        PastVerdict(
            digest=digest,
            wave=wave,
            step=step,
            outcome=outcome,
            effect=effect,
            body=bodies[digest],
            at=at,
            is_decision=is_decision,
        )
        for digest, wave, step, outcome, effect, at, is_decision in rows
        if digest in bodies
    )


def _bodies_of(connection: Connection, rollout: str, digests: list[str]) -> Mapping[str, bytes]:
    known = _bodies.known(digests)
    missing = [digest for digest in digests if digest not in known]
    if not missing:
        return known
    rows = connection.execute(_BODIES, {"rollout": rollout, "digests": missing})
    read = {digest: bytes(body) for digest, body in rows}
    _bodies.keep(read)
    return known | read


def parts_of(connection: Connection, rollout: str) -> Parts:
    """Return which parts a rollout has, so that nobody asks for those it has not."""
    phases, watches, excuses = connection.execute(_PARTS, {"rollout": rollout}).one()
    return Parts(phases=phases, watches=watches, excuses=excuses)


def rollout_version(connection: Connection, rollout: str) -> str | None:
    """Return a text that changes with every row a page about the rollout shows; None for an unknown id.

    Time alone changes a page too: a pair that stays out is lost when it is due.
    """
    found: str | None = connection.execute(_VERSION, {"rollout": rollout}).scalar_one_or_none()
    return found
