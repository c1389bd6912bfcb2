"""Idempotency keys on the serving path (serving.md 7.6): one row per asker, workflow and key.

A key lives 24 h. A row that is still `running` after the longest request has lost its process and may be taken over.
Keys and bodies stand as keyed hashes, the answer as the redacted reply under a line that names its release. Fail mode:
a database error; without the row there is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

KEPT = timedelta(hours=24)
ABANDONED_AFTER = timedelta(seconds=660)

_CLAIM: Final[LiteralString] = """
INSERT INTO idempotency AS held (principal, workflow, key_hash, body_hash, interaction, state, answer, at)
VALUES (%(principal)s, %(workflow)s, %(key)s, %(body)s, %(interaction)s, 'running', NULL, %(at)s)
ON CONFLICT (principal, workflow, key_hash) DO UPDATE
SET body_hash = EXCLUDED.body_hash, interaction = EXCLUDED.interaction, state = 'running', answer = NULL,
    at = EXCLUDED.at
WHERE held.at < %(kept)s OR (held.state = 'running' AND held.at < %(abandoned)s)
   OR (held.state = 'done' AND held.answer IS NULL AND held.body_hash = EXCLUDED.body_hash)
RETURNING interaction
"""
_HELD: Final[LiteralString] = """
SELECT body_hash, interaction, state, answer FROM idempotency
WHERE principal = %s AND workflow = %s AND key_hash = %s
"""
_DONE: Final[LiteralString] = """
UPDATE idempotency SET state = 'done', answer = %s
WHERE principal = %s AND workflow = %s AND key_hash = %s AND state = 'running'
"""
_FREE: Final[LiteralString] = """
DELETE FROM idempotency WHERE principal = %s AND workflow = %s AND key_hash = %s AND interaction = %s
"""
_FORGET: Final[LiteralString] = """
UPDATE idempotency SET answer = NULL
WHERE principal = %s AND workflow = %s AND key_hash = %s AND state = 'done'
"""
_CITED: Final[LiteralString] = """
SELECT DISTINCT corpus, rev, ordinal FROM interaction_citation WHERE interaction = %s ORDER BY corpus, rev, ordinal
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose key: a pseudonym and a workflow. `key` is the keyed hash of the key."""

    principal: str
    workflow: str
    key: str

    @property
    def where(self) -> tuple[str, str, str]:
        """The primary key of its row."""
        return self.principal, self.workflow, self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An earlier request under the same key. `cited` are the (corpus, rev, ordinal) its answer rests on.

    `release` is the one that answered; None where there is no answer, or none that says so.
    """

    body_hash: str
    interaction: str
    is_done: bool
    answer: str | None
    release: str | None = None
    cited: tuple[tuple[str, int, int], ...] = ()


class IdempotencyStore:
    """Claims, finishes and frees keys; each call is one transaction."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]) -> None:
        self._pool = pool

    async def claim(self, owner: Owner, *, body_hash: str, interaction: str, at: datetime) -> Held | None:
        """Claim the key: None when it is now ours, else what holds it."""
        values = {
            "principal": owner.principal,
            "workflow": owner.workflow,
            "key": owner.key,
            "body": body_hash,
            "interaction": interaction,
            "at": at,
            "kept": at - KEPT,
            "abandoned": at - ABANDONED_AFTER,
        }
        async with self._pool.connection() as connection:
            if await (await connection.execute(_CLAIM, values)).fetchone() is not None:
                return None
            row = await (await connection.execute(_HELD, owner.where)).fetchone()
            if row is None:  # freed between the two statements: the caller tries again later
                return Held(body_hash=body_hash, interaction="", is_done=False, answer=None)
            body, earlier, state, answer = row
            cited = await (await connection.execute(_CITED, (earlier,))).fetchall()
        release, _, kept = str(answer or "").partition("\n")
        return Held(
            body_hash=str(body),
            interaction=str(earlier),
            is_done=state == "done",
            answer=kept or None,
            release=release if kept else None,
            cited=tuple((str(corpus), int(str(rev)), int(str(ordinal))) for corpus, rev, ordinal in cited),
        )

    async def finish(self, owner: Owner, *, answer: str, release: str) -> None:
        """Keep the answer of a release under the key."""
        async with self._pool.connection() as connection:
            await connection.execute(_DONE, (f"{release}\n{answer}", *owner.where))

    async def free(self, owner: Owner, *, interaction: str) -> None:
        """Give the key back after a request that got no answer."""
        async with self._pool.connection() as connection:
            await connection.execute(_FREE, (*owner.where, interaction))

    async def forget_answer(self, owner: Owner) -> None:
        """Drop a kept answer that its asker may not get any more; the key can then be claimed again."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET, owner.where)
