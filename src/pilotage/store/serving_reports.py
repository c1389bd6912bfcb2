"""What a serving process reports of the spaces it serves, in one statement on the database's clock.

Fail mode: a database
error; the process is then as one that said nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, LiteralString

import msgspec

from pilotage.store.serving_pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One space as this process found it."""

    space: str
    failures: int
    successes: int
    reasons: Sequence[Mapping[str, str]] = ()
    holds: Mapping[str, Any] = field(default_factory=dict)


_WRITE: Final[LiteralString] = """
INSERT INTO space_report (process, space, at, failures, successes, reasons, holds)
SELECT %(process)s, space, clock_timestamp(), failures, successes, reasons, holds
FROM json_to_recordset(%(rows)s::json) AS r (space text, failures int, successes int, reasons jsonb, holds jsonb)
ON CONFLICT (process, space) DO UPDATE SET at = EXCLUDED.at, failures = EXCLUDED.failures,
  successes = EXCLUDED.successes, reasons = EXCLUDED.reasons, holds = EXCLUDED.holds
"""
_FORGET: Final[LiteralString] = "DELETE FROM space_report WHERE process = %(process)s"

_encoder = msgspec.json.Encoder()


class ReportWriter:
    """Writes for one process."""

    def __init__(self, pool: Pool, *, process: str) -> None:
        self._pool = pool
        self._process = process

    async def write(self, rows: Sequence[ReportRow]) -> None:
        """Write what was found, one row a space."""
        values = {"process": self._process, "rows": _encoder.encode([asdict(row) for row in rows]).decode()}
        async with self._pool.connection() as connection:
            await connection.execute(_WRITE, values)

    async def forget(self) -> None:
        """Remove what this process said: it serves nobody any more."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET, {"process": self._process})
