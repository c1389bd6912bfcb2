"""The serving path's own connections, and the small reads it makes there: pseudonyms and keys.

Statements end after 5 s. Fail mode: psycopg.Error, PoolTimeout or OSError; the step that asked turns it into a refusal.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from pilotage.store.pseudonyms import new_pseudonym

Pool: TypeAlias = "AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]"

POOL_SIZE = 10
WAIT_S = 2.0
_CACHED = 50_000

_FIND: Final[LiteralString] = "SELECT pseudonym FROM principal_pseudonym WHERE principal = %s"
_ADD: Final[LiteralString] = """
INSERT INTO principal_pseudonym (principal, pseudonym) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""


def make_pool(conninfo: str, *, size: int = POOL_SIZE) -> Pool:
    """Return a pool that is not open yet: nothing is connected before `await pool.open()`."""
    return AsyncConnectionPool(
        conninfo,
        min_size=1,
        max_size=size,
        open=False,
        timeout=WAIT_S,
        configure=_configure,
        kwargs={"autocommit": True, "connect_timeout": 5, "application_name": "pilotage-serving"},
        name="serving",
    )


async def _configure(connection: AsyncConnection[tuple[object, ...]]) -> None:
    # By statement and not by start-up option, which connection poolers refuse.
    await connection.execute("SET statement_timeout = 5000; SET timezone = 'UTC'", prepare=False)


class PooledPseudonyms:
    """Pseudonyms with a cache. Erasing a person deletes the row: `forget` must then be called in every process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cache: OrderedDict[str, str] = OrderedDict()

    async def pseudonym_of(self, principal: str) -> str:
        """Return the principal's pseudonym, giving it one on first sight; two processes at once agree on one."""
        found = self._cache.get(principal)
        if found is not None:
            self._cache.move_to_end(principal)
            return found
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FIND, (principal,))).fetchone()
            if row is None:
                await connection.execute(_ADD, (principal, new_pseudonym()))
                row = await (await connection.execute(_FIND, (principal,))).fetchone()
        assert row is not None
        self._cache[principal] = str(row[0])
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return self._cache[principal]

    def forget(self, principal: str) -> None:
        """Drop a principal from the cache."""
        self._cache.pop(principal, None)
