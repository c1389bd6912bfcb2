"""Looking service keys up on the serving path, with a cache that forgets within a second.

Rule: a revoked key stops within 1 s in every process even when its notification is lost. Fail mode: a database error;
a key that cannot be looked up is an outage, never a bad credential.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, LiteralString

from psycopg.rows import dict_row

from pilotage.identity.service_key import KeyKind, ServiceKey
from pilotage.store.serving_pool import Pool

FRESH_S = 1.0
_CACHED = 10_000
_FIND: Final[LiteralString] = """
SELECT id, secret_sha256, kind, name, owner, spaces, workflows, scopes, groups, ips, delegation, created_by, created_at,
  expires_at, revoked_at
FROM service_key WHERE id = %s
"""
_LISTS = ("spaces", "workflows", "scopes", "groups", "ips")


class PooledKeys:
    """Keys by id. `monotonic` counts seconds."""

    def __init__(self, pool: Pool, *, monotonic: Callable[[], float]) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._cache: OrderedDict[str, tuple[float, ServiceKey | None]] = OrderedDict()

    async def find(self, key: str) -> ServiceKey | None:
        """Return the stored key, at most a second old, or None."""
        now = self._monotonic()
        cached = self._cache.get(key)
        if cached is not None and now - cached[0] < FRESH_S:
            return cached[1]
        async with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = await (await cursor.execute(_FIND, (key,))).fetchone()
        found = None if row is None else _key(row)
        self._cache[key] = (now, found)
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return found

    def forget(self, key: str | None = None) -> None:
        """Drop one key from the cache, or all: a notification came, or the listener had lost its session."""
        if key is None:
            self._cache.clear()
        else:
            self._cache.pop(key, None)


def _key(row: dict[str, Any]) -> ServiceKey:
    lists = {name: tuple(row[name]) for name in _LISTS}
    return ServiceKey(**(row | lists | {"kind": KeyKind(row["kind"]), "secret_sha256": bytes(row["secret_sha256"])}))
