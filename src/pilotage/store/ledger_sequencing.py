"""Numbering the ledger: committed entries get gapless numbers, leaf hashes and tiles, by one sequencer at a time.

The sequencer holds a session advisory lock and a fencing generation in `ledger_head`. One batch is one transaction:
numbers, tiles and size together. Order is numbering order, not clock order. Fail mode: a sequencer that lost its lock
or its generation changes nothing (Conflict); a stopped ledger numbers nothing until a person opens a new epoch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from pilotage.core.errors import Conflict, IntegrityError, Unavailable
from pilotage.ledger import tiles
from pilotage.ledger.tree import leaf_hash

BATCH_ENTRIES = 1_000
LOCK_KEY = 0x70_6C_6F_74_6C_65_64_67  # "plotledg": one advisory lock per database
MAX_MERGE_DELAY = timedelta(seconds=10)
_SESSION_IDLE = "4s"

_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = text("SELECT pg_advisory_unlock(:key)")
_NEXT_GENERATION = text("UPDATE ledger_head SET generation = generation + 1 RETURNING generation")
_HEAD = text("SELECT size, generation, epoch, name, key_name, key_public, stopped FROM ledger_head")
_HEAD_LOCKED = text("SELECT size, generation, epoch, name, key_name, key_public, stopped FROM ledger_head FOR UPDATE")
_STOP = text("UPDATE ledger_head SET stopped = :why WHERE stopped IS NULL")
# In one read: ids, bytes and kinds of the oldest unnumbered entries, in the order they came, so that what one
# transaction wrote keeps its order. Only committed ones are visible here.
_UNNUMBERED = text("SELECT id, kind, bytes FROM ledger_entry WHERE seq IS NULL ORDER BY inserted_at, id LIMIT :limit")
_NUMBER = text(
    "UPDATE ledger_entry AS e SET seq = n.seq"
    " FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS v (id, place)"
    " CROSS JOIN LATERAL (SELECT CAST(:first AS bigint) + v.place - 1 AS seq) AS n"
    " WHERE e.id = v.id AND e.seq IS NULL"
)
_PUT_TILES = text(
    "INSERT INTO ledger_tile (level, index, hashes) VALUES (:level, :index, :hashes)"
    " ON CONFLICT (level, index) DO UPDATE SET hashes = EXCLUDED.hashes"
)
_GROW = text("UPDATE ledger_head SET size = :size WHERE generation = :generation")
_TILE = text("SELECT hashes FROM ledger_tile WHERE level = :level AND index = :index")
_WAITING = text(
    "SELECT count(*) AS entries, coalesce(clock_timestamp() - min(inserted_at), interval '0') AS oldest"
    " FROM ledger_entry WHERE seq IS NULL AND inserted_at <= :before"
)
_NOW = text("SELECT clock_timestamp()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The state of the log. `name` is what it was begun under, None before its first key.

    `stopped` says why nothing is numbered; `key_public` is the current checkpoint key's.
    """

    size: int
    generation: int
    epoch: int
    name: str | None
    key_name: str | None
    key_public: bytes | None
    stopped: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction numbered: how many entries, which kinds, and the size of the tree after it."""

    numbered: int
    size: int
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Committed entries without a number, and the age of the oldest."""

    entries: int
    oldest: timedelta


def read_head(connection: Connection, *, lock: bool = False) -> Head:
    """Return the state of the log; with `lock`, nobody else numbers or signs until the transaction ends."""
    return Head(**connection.execute(_HEAD_LOCKED if lock else _HEAD).mappings().one())


def tile_reader(connection: Connection) -> tiles.ReadTile:
    """Return a reader over the stored tiles that fetches each tile once."""

    def read(level: int, index: int) -> bytes:
        found = connection.execute(_TILE, {"level": level, "index": index}).scalar_one_or_none()
        return b"" if found is None else bytes(found)

    return tiles.cached(read)


def database_now(connection: Connection) -> datetime:
    """Return the database's clock, which stamps entries."""
    moment: datetime = connection.execute(_NOW).scalar_one()
    return moment


def waiting(connection: Connection, *, before: datetime) -> Waiting:
    """Return what was inserted before a moment of the database's clock and is not numbered yet."""
    return Waiting(**connection.execute(_WAITING, {"before": before}).mappings().one())


def stop_sequencing(connection: Connection, why: str) -> None:
    """Stop numbering and signing until a new epoch is opened; the first reason stays."""
    connection.execute(_STOP, {"why": why})


def take_leadership(connection: Connection) -> int | None:
    """Try to become the sequencer on this session; return its fencing generation, or None while another one is.

    The session is closed by the server when it stays idle for 4 s, so that a frozen holder cannot block a takeover.
    """
    if not connection.execute(_TRY_LOCK, {"key": LOCK_KEY}).scalar_one():
        connection.commit()
        return None
    generation: int = connection.execute(_NEXT_GENERATION).scalar_one()
    for setting in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET {setting} = '{_SESSION_IDLE}'"))
    connection.commit()
    return generation


def give_up_leadership(connection: Connection) -> None:
    """Release the lock and return the session to the pool as it was.

    A session that died has lost the lock already, and one that cannot be put right leaves the pool: what was numbered
    stays numbered, and the error that killed it is the one to report.
    """
    try:
        connection.rollback()
        for setting in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"RESET {setting}"))
        connection.execute(_UNLOCK, {"key": LOCK_KEY})
        connection.commit()
    except SQLAlchemyError:
        connection.invalidate()


def number_batch(connection: Connection, generation: int, *, limit: int = BATCH_ENTRIES) -> Batch:
    """Give up to `limit` committed entries their numbers, in one transaction, and commit it.

    Raises Conflict when another sequencer took over (`generation` is stale): nothing was written.
    """
    with connection.begin():
        head = read_head(connection, lock=True)
        if head.generation != generation:
            raise _fenced(generation, head.generation)
        if head.stopped is not None:
            return Batch(numbered=0, size=head.size, kinds=frozenset())
        rows = connection.execute(_UNNUMBERED, {"limit": limit}).all()
        if not rows:
            return Batch(numbered=0, size=head.size, kinds=frozenset())
        _number(connection, head, [row.id for row in rows])
        size = _grow(connection, head, [leaf_hash(row.bytes) for row in rows])
        return Batch(numbered=len(rows), size=size, kinds=frozenset(row.kind for row in rows))


def number_all(engine: Engine, *, wait_s: float = 10.0) -> int:
    """Give every entry committed before this call its number; return the size of the tree.

    Works with and without a running worker: where another process is the sequencer, waits for it. Unavailable after
    `wait_s` seconds.
    """
    deadline = time.monotonic() + wait_s
    with engine.connect() as connection:
        called_at = database_now(connection)
        connection.commit()
        while True:
            generation = take_leadership(connection)
            if generation is not None:
                try:
                    return _drain(connection, generation)
                finally:
                    give_up_leadership(connection)
            with connection.begin():
                head, rest = read_head(connection), waiting(connection, before=called_at)
            if rest.entries == 0 or head.stopped is not None:
                return head.size
            if time.monotonic() > deadline:
                raise Unavailable(
                    "LEDGER_NOT_NUMBERED",
                    f"{rest.entries} ledger entries wait for their number, the oldest for {rest.oldest}.",
                    hint="Another process holds the sequencer's lock; look at the log of `pilotage worker`.",
                )
            time.sleep(0.05)


def _drain(connection: Connection, generation: int) -> int:
    while True:
        batch = number_batch(connection, generation)
        if batch.numbered < BATCH_ENTRIES:
            return batch.size


def _number(connection: Connection, head: Head, ids: Sequence[str]) -> None:
    numbered = connection.execute(_NUMBER, {"ids": list(ids), "first": head.size}).rowcount
    if numbered != len(ids):
        raise IntegrityError(
            "LEDGER_NUMBERING",
            f"{numbered} of {len(ids)} ledger entries took their number after seq {head.size}; none was kept.",
            hint="Run `pilotage ledger fsck`.",
        )


def _grow(connection: Connection, head: Head, leaves: Sequence[bytes]) -> int:
    grown = tiles.extend(head.size, tile_reader(connection), leaves)
    rows = [{"level": level, "index": index, "hashes": hashes} for (level, index), hashes in grown.items()]
    connection.execute(_PUT_TILES, rows)
    size = head.size + len(leaves)
    connection.execute(_GROW, {"size": size, "generation": head.generation})
    return size


def _fenced(mine: int, current: int) -> Conflict:
    return Conflict(
        "LEDGER_FENCED",
        f"This sequencer (generation {mine}) was replaced by generation {current} and wrote nothing.",
        hint="Nothing to do: the other process goes on.",
    )
