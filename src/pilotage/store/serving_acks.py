"""Acknowledgements and admission counts of a serving process, in one statement on the database's clock.

Fail mode: a database error; the process is then as one that said nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, LiteralString

import msgspec

from pilotage.store.serving_pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class AckRow:
    """The generation a process serves by, and the releases of the row it has verified."""

    space: str
    workflow: str
    generation: int
    loaded: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRow:
    """Requests sent to a candidate since the process started, and streams of a release that are open."""

    space: str
    workflow: str
    release: str
    admitted: int
    streams: int = 0


# The time of the last admission moves only when the count does, that of the last stream while one is open or just was.
_WRITE: Final[LiteralString] = """
WITH acked AS (
  INSERT INTO route_ack (process, space, workflow, generation, loaded, at, clock_offset_ms)
  SELECT %(process)s, space, workflow, generation, loaded, clock_timestamp(), least(greatest(extract(epoch FROM
    %(now)s::timestamptz - clock_timestamp()) * 1000, -2000000000), 2000000000)::integer
  FROM json_to_recordset(%(acks)s::json) AS r (space text, workflow text, generation bigint, loaded text[])
  ON CONFLICT (process, space, workflow) DO UPDATE SET generation = EXCLUDED.generation, loaded = EXCLUDED.loaded,
    at = EXCLUDED.at, clock_offset_ms = EXCLUDED.clock_offset_ms
)
INSERT INTO route_admission AS a (process, space, workflow, release, admitted, last_at, streams, streams_at)
SELECT %(process)s, space, workflow, release, admitted, clock_timestamp(), streams, clock_timestamp()
FROM json_to_recordset(%(admissions)s::json)
  AS r (space text, workflow text, release text, admitted bigint, streams integer)
ON CONFLICT (process, space, workflow, release) DO UPDATE SET
  last_at = CASE WHEN EXCLUDED.admitted > a.admitted THEN EXCLUDED.last_at ELSE a.last_at END,
  admitted = EXCLUDED.admitted,
  streams_at = CASE WHEN greatest(EXCLUDED.streams, a.streams) > 0 OR a.streams IS NULL
    THEN EXCLUDED.streams_at ELSE a.streams_at END,
  streams = EXCLUDED.streams
"""
_FORGET: Final[LiteralString] = (
    "DELETE FROM route_ack WHERE process = %(process)s OR at < clock_timestamp() - interval '1 day'"
)

_encoder = msgspec.json.Encoder()


class AckWriter:
    """Writes for one process. `now` is its wall clock, read just before a write."""

    def __init__(self, pool: Pool, *, process: str, now: Callable[[], datetime]) -> None:
        self._pool = pool
        self._now = now
        self.process = process

    async def write(self, acks: Sequence[AckRow], admissions: Sequence[AdmissionRow]) -> None:
        """Write acknowledgements and counts."""
        values = {
            "process": self.process,
            "now": self._now(),
            "acks": _encoder.encode([asdict(row) for row in acks]).decode(),
            "admissions": _encoder.encode([asdict(row) for row in admissions]).decode(),
        }
        async with self._pool.connection() as connection:
            await connection.execute(_WRITE, values)

    async def forget(self) -> None:
        """Remove the acknowledgements of this process, and of those long dead; counts stay."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET, {"process": self.process})
