"""How long traffic and streams of a release went on after it was taken out, on the database's clock (rollouts.md 8.3).

Rule: a time is never understated: what a process said last counts until it says more, and where nobody counted the
admissions (a release that was stable) the present does. Fail mode: None for streams of which a live process says
nothing; a process that is gone has none.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from pilotage.store.routes import DEAD

SHOWN_FROM_S: Final = 0.5
"""The clock offset from which times are shown with an uncertainty."""

_FLIPPED = text("UPDATE rollout SET flipped_db = clock_timestamp() WHERE id = :id")
_ZERO = text(
    "SELECT greatest(0, extract(epoch FROM CASE WHEN EXISTS (SELECT 1 FROM rollout_wave w WHERE w.rollout = r.id"
    "  AND w.stable = r.release) THEN clock_timestamp() ELSE max(a.last_at) END - r.flipped_db))::float8 FROM rollout r"
    " LEFT JOIN route_admission a ON a.workflow = r.workflow AND a.release = r.release AND a.space = ANY(r.flipped)"
    " WHERE r.id = :id GROUP BY r.id"
)
_STREAMS = text(
    "SELECT CASE WHEN bool_or(is_live AND (streams IS NULL OR streams > 0 OR NOT is_told)) THEN NULL"
    " ELSE coalesce(max(greatest(0, extract(epoch FROM until - flipped_db))), 0)::float8 END FROM ("
    "  SELECT a.streams, r.flipped_db, coalesce(k.at > clock_timestamp() - CAST(:dead AS interval), false) AS is_live,"
    "   k.at > r.flipped_db AND k.generation >= t.generation AS is_told,"
    "   CASE WHEN a.streams > 0 THEN coalesce(k.at, a.streams_at) ELSE a.streams_at END AS until"
    "  FROM rollout r JOIN routing t ON t.workflow = r.workflow AND t.space = ANY(r.flipped)"
    "  JOIN route_admission a ON a.workflow = r.workflow AND a.release = r.release AND a.space = t.space"
    "  LEFT JOIN route_ack k ON k.process = a.process AND k.space = a.space AND k.workflow = a.workflow"
    "  WHERE r.id = :id) said"
)
_OFFSET = text(
    "SELECT max(abs(ms)) / 1000.0 FROM ("
    " SELECT k.clock_offset_ms AS ms FROM route_ack k JOIN rollout r ON k.workflow = r.workflow"
    "  AND k.space = ANY(r.flipped) WHERE r.id = :id AND k.at > clock_timestamp() - CAST(:dead AS interval)"
    " UNION ALL SELECT clock_skew_ms FROM process WHERE seen_at > clock_timestamp() - CAST(:dead AS interval)) clocks"
)


def mark_flip(connection: Connection, identifier: str) -> None:
    """Note the database's time of a flip: what the times to zero are measured from."""
    connection.execute(_FLIPPED, {"id": identifier})


def seconds_to_zero(connection: Connection, identifier: str) -> float:
    """Return the seconds from the flip to the last admission to the candidate in any process, at least 0."""
    found: float | None = connection.execute(_ZERO, {"id": identifier}).scalar_one_or_none()
    return 0.0 if found is None else found


def seconds_to_zero_streams(connection: Connection, identifier: str) -> float | None:
    """Return the seconds from the flip to the end of the last stream in any process; None while one may be open."""
    found: float | None = connection.execute(_STREAMS, {"id": identifier, "dead": DEAD}).scalar_one()
    return found


def clock_offset(connection: Connection, identifier: str) -> float | None:
    """Return by how many seconds the clocks of live processes are off at most; None up to half a second."""
    found = connection.execute(_OFFSET, {"id": identifier, "dead": DEAD}).scalar_one()
    return None if found is None or found <= SHOWN_FROM_S else float(found)
