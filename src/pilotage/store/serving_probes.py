"""Rounds of critical questions of a serving process, on the database's clock. Fail mode: a database error."""

from __future__ import annotations

from typing import Final, LiteralString, Protocol

from pilotage.store.serving_pool import Pool


class _Row(Protocol):
    @property
    def space(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def generation(self) -> int: ...


class _Round(Protocol):
    @property
    def release(self) -> str: ...
    @property
    def asked(self) -> int: ...
    @property
    def passed(self) -> int: ...
    @property
    def right_release(self) -> bool: ...


_WRITE: Final[LiteralString] = """
INSERT INTO route_probe (process, space, workflow, generation, release, asked, passed, right_release, at)
VALUES (%(process)s, %(space)s, %(workflow)s, %(generation)s, %(release)s, %(asked)s, %(passed)s, %(right)s,
  clock_timestamp())
ON CONFLICT (process, space, workflow, generation, release) DO UPDATE
  SET asked = EXCLUDED.asked, passed = EXCLUDED.passed,
  right_release = EXCLUDED.right_release, at = EXCLUDED.at
"""


class ProbeWriter:
    """Writes for one process."""

    def __init__(self, pool: Pool, *, process: str) -> None:
        self._pool = pool
        self._process = process

    async def write(self, row: _Row, found: _Round) -> None:
        """Write the newest round of a release in a row's generation."""
        values = {
            "process": self._process,
            "space": row.space,
            "workflow": row.workflow,
            "generation": row.generation,
            "release": found.release,
            "asked": found.asked,
            "passed": found.passed,
            "right": found.right_release,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_WRITE, values)
