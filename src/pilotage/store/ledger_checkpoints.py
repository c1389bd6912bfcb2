"""Signed checkpoints in the database: written once, published afterwards.

Rule: within one origin the size never decreases. Fail mode: Conflict for a smaller size, nothing is written.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.errors import Conflict
from pilotage.ledger.checkpoint import SignedCheckpoint, parse_note

_COLUMNS = "size, origin, key_id, root, note, signed_at, published_to"
_NEWEST = text(
    f"SELECT {_COLUMNS} FROM ledger_checkpoint WHERE origin = :origin"  # noqa: S608 - a constant list of columns
    " ORDER BY size DESC, signed_at DESC LIMIT 1"
)
_EVERY = text(f"SELECT {_COLUMNS} FROM ledger_checkpoint ORDER BY size, signed_at, key_id")  # noqa: S608 - as above
_UNPUBLISHED = text(
    f"SELECT {_COLUMNS} FROM ledger_checkpoint"  # noqa: S608 - as above
    " WHERE published_to = '{}' ORDER BY size, signed_at"
)
_ADD = text(
    "INSERT INTO ledger_checkpoint (size, origin, key_id, root, note, signed_at)"
    " VALUES (:size, :origin, :key_id, :root, :note, :at) ON CONFLICT (size, key_id) DO NOTHING"
)
_PUBLISHED = text(
    "UPDATE ledger_checkpoint SET published_to = array_append(published_to, :place)"
    " WHERE size = :size AND key_id = :key_id AND NOT :place = ANY(published_to)"
)
_COUNT = text("SELECT count(*) FROM ledger_checkpoint")
_SET_KEY = text("UPDATE ledger_head SET key_name = :name, key_public = :public")
_SET_NAME = text("UPDATE ledger_head SET name = :name WHERE name IS NULL")
_OPEN_EPOCH = text("UPDATE ledger_head SET epoch = :epoch, stopped = NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """A row: the note as text and what the columns say about it. `published_to` lists the places outside."""

    size: int
    origin: str
    key_id: str
    root: bytes
    note: str
    signed_at: datetime
    published_to: list[str]

    def parsed(self) -> SignedCheckpoint:
        """Return the note; NoteError when the stored text is damaged."""
        return parse_note(self.note.encode())


def newest_checkpoint(connection: Connection, origin: str) -> StoredCheckpoint | None:
    """Return the largest, latest checkpoint of a log."""
    row = connection.execute(_NEWEST, {"origin": origin}).mappings().one_or_none()
    return None if row is None else StoredCheckpoint(**row)


def every_checkpoint(connection: Connection) -> Generator[StoredCheckpoint, None, None]:
    """Yield every checkpoint of every origin, smallest first, as a stream (close it when stopping half-way)."""
    with connection.execute(_EVERY.execution_options(yield_per=1_000)) as rows:
        for row in rows.mappings():
            yield StoredCheckpoint(**row)


def count_checkpoints(connection: Connection) -> int:
    """Return how many checkpoints there are."""
    count: int = connection.execute(_COUNT).scalar_one()
    return count


def unpublished(connection: Connection) -> tuple[StoredCheckpoint, ...]:
    """Return the checkpoints that no place outside the database has yet, smallest first."""
    return tuple(StoredCheckpoint(**row) for row in connection.execute(_UNPUBLISHED).mappings())


def add_checkpoint(connection: Connection, note: SignedCheckpoint, *, at: datetime) -> None:
    """Store a checkpoint (the caller holds the head's lock); Conflict when its log was signed at a larger size."""
    tree = note.checkpoint
    last = newest_checkpoint(connection, tree.origin)
    if last is not None and last.size > tree.size:
        raise Conflict(
            "LEDGER_SHRANK",
            f"Checkpoint {tree.size} of {tree.origin} was not signed: {last.size} entries were signed before.",
            hint="Run `pilotage ledger fsck`.",
        )
    fields = {"size": tree.size, "origin": tree.origin, "key_id": note.signatures[0].key_id.hex()}
    connection.execute(_ADD, {**fields, "root": tree.root, "note": note.note().decode(), "at": at})


def mark_published(connection: Connection, checkpoint: StoredCheckpoint, place: str) -> None:
    """Note where a checkpoint was published."""
    connection.execute(_PUBLISHED, {"size": checkpoint.size, "key_id": checkpoint.key_id, "place": place})


def set_key(connection: Connection, *, name: str, public: bytes) -> None:
    """Make a key of the keyring the log's current one."""
    connection.execute(_SET_KEY, {"name": name, "public": public})


def set_name(connection: Connection, name: str) -> None:
    """Write the name the log is begun under; one that is written stays."""
    connection.execute(_SET_NAME, {"name": name})


def set_epoch(connection: Connection, epoch: int) -> None:
    """Open an epoch: the log goes on under a new origin, and sequencing may go on."""
    connection.execute(_OPEN_EPOCH, {"epoch": epoch})
