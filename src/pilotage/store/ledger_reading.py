"""Reading the numbered ledger as a stream: a server-side cursor, so that any size takes the same memory.

Whoever may stop half-way closes the stream (`contextlib.closing`), which frees the cursor. Leaf hashes come from the
stored tiles, not from the bytes: comparing the two is the reader's business. Fail mode: a missing tile reads as an
empty hash, which no leaf has.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from pilotage.ledger.tiles import TILE_WIDTH
from pilotage.ledger.tree import HASH_BYTES
from pilotage.ledger.verify import DisclosedField, LogEntry
from pilotage.store.ledger_sequencing import tile_reader

_ROWS = 2_000
_LOG = text("SELECT seq, bytes FROM ledger_entry WHERE seq < :size ORDER BY seq")
_CHOSEN = text(
    "SELECT seq, bytes FROM ledger_entry"
    " WHERE seq < :size AND (id = ANY(:ids) OR subject = ANY(:subjects)) ORDER BY seq"
)
_UNKNOWN = text(
    "SELECT name FROM unnest(CAST(:ids AS text[])) AS name"
    " WHERE NOT EXISTS (SELECT FROM ledger_entry e WHERE e.id = name)"
    " UNION ALL SELECT name FROM unnest(CAST(:subjects AS text[])) AS name"
    " WHERE NOT EXISTS (SELECT FROM ledger_entry e WHERE e.subject = name)"
)
_DISCLOSED = text(
    "SELECT e.seq, d.field, d.salt, d.value FROM ledger_disclosure AS d JOIN ledger_entry AS e ON e.id = d.entry"
    " WHERE e.seq < :size AND d.entry = ANY(:ids) ORDER BY e.seq, d.field"
)
_ROWS_AS_STORED = text("SELECT seq, id, kind, subject, bytes FROM ledger_entry WHERE seq IS NOT NULL ORDER BY seq")
_KEPT = text(
    "SELECT d.entry, d.field, d.salt, d.value, e.bytes FROM ledger_disclosure AS d"
    " JOIN ledger_entry AS e ON e.id = d.entry ORDER BY d.entry, d.field"
)
_ORIGINS = text("SELECT DISTINCT origin FROM ledger_checkpoint ORDER BY origin")


class Row(NamedTuple):
    """A numbered entry as its row holds it; `leaf` is the hash in the tiles."""

    seq: int
    id: str
    kind: str
    subject: str
    data: bytes
    leaf: bytes


class Kept(NamedTuple):
    """A kept disclosure with the entry it opens."""

    entry: str
    field: str
    salt: bytes
    value: str
    data: bytes


def read_log(connection: Connection, size: int) -> Generator[LogEntry, None, None]:
    """Yield the first `size` entries with the leaf hash the tiles hold for each."""
    read = _LeafHashes(connection)
    with connection.execute(_LOG.execution_options(yield_per=_ROWS), {"size": size}) as rows:
        for row in rows:
            yield LogEntry(row.seq, read(row.seq), row.bytes)


def stored_rows(connection: Connection) -> Generator[Row, None, None]:
    """Yield every numbered entry with its columns and the leaf hash the tiles hold, by seq."""
    read = _LeafHashes(connection)
    with connection.execute(_ROWS_AS_STORED.execution_options(yield_per=_ROWS)) as rows:
        for row in rows:
            yield Row(row.seq, row.id, row.kind, row.subject, row.bytes, read(row.seq))


def disclosed_rows(connection: Connection) -> Generator[Kept, None, None]:
    """Yield every kept salt and value with the bytes of its entry."""
    with connection.execute(_KEPT.execution_options(yield_per=_ROWS)) as rows:
        for row in rows:
            yield Kept(row.entry, row.field, row.salt, row.value, row.bytes)


def read_chosen(
    connection: Connection, size: int, *, ids: Sequence[str], subjects: Sequence[str]
) -> Iterator[LogEntry]:
    """Yield the entries of these ids or about these subjects, by seq, each once."""
    read = _LeafHashes(connection)
    for row in connection.execute(_CHOSEN, {"size": size, "ids": list(ids), "subjects": list(subjects)}):
        yield LogEntry(row.seq, read(row.seq), row.bytes)


def unknown_names(connection: Connection, *, ids: Sequence[str], subjects: Sequence[str]) -> tuple[str, ...]:
    """Return the ids that name no entry and the subjects that no entry is about."""
    return tuple(connection.execute(_UNKNOWN, {"ids": list(ids), "subjects": list(subjects)}).scalars())


def read_disclosed(connection: Connection, size: int, ids: Sequence[str]) -> Generator[DisclosedField, None, None]:
    """Yield what opens the commitments of these entries, by seq."""
    for row in connection.execute(_DISCLOSED, {"size": size, "ids": list(ids)}):
        yield DisclosedField(row.seq, row.field, row.salt, row.value)


def origins_of(connection: Connection) -> tuple[str, ...]:
    """Return every origin this log was ever signed under."""
    return tuple(connection.execute(_ORIGINS).scalars())


class _LeafHashes:
    """The stored hash of leaf after leaf, keeping only the last tile in memory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._index = -1
        self._tile = b""

    def __call__(self, seq: int) -> bytes:
        index, place = divmod(seq, TILE_WIDTH)
        if index != self._index:
            self._index, self._tile = index, tile_reader(self._connection)(0, index)
        return self._tile[place * HASH_BYTES : (place + 1) * HASH_BYTES]
