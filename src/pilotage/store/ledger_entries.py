"""Appending to the ledger, in the transaction of the state change it describes.

The entry is durable at commit and gets its number from the sequencer shortly after (store/ledger_sequencing.py). Rule:
nothing here updates or deletes an entry; disclosures (what opens a commitment) may be deleted, entries never.
Fail mode: a failed append fails the caller's transaction, so no state changes without its entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from sqlalchemy import Connection, text

from pilotage.core.ids import EntryId
from pilotage.ledger.commitment import Disclosure
from pilotage.ledger.entry import EncodedEntry

# For the asynchronous recorder, which speaks psycopg directly: parameters id, kind, subject, bytes.
APPEND_SQL: Final[LiteralString] = "INSERT INTO ledger_entry (id, kind, subject, bytes) VALUES (%s, %s, %s, %s)"

_APPEND = text("INSERT INTO ledger_entry (id, kind, subject, bytes) VALUES (:id, :kind, :subject, :bytes)")
# They are numbered by the time of their row, so each has a microsecond of its own.
_APPEND_MANY = text(
    "INSERT INTO ledger_entry (id, kind, subject, bytes, inserted_at)"
    " SELECT e.id, e.kind, e.subject, e.bytes, t.began + e.place * interval '1 microsecond'"
    " FROM (SELECT clock_timestamp() AS began) AS t, unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]),"
    " CAST(:subjects AS text[]), CAST(:bodies AS bytea[])) WITH ORDINALITY AS e (id, kind, subject, bytes, place)"
)
_DISCLOSE = text("INSERT INTO ledger_disclosure (entry, field, salt, value) VALUES (:entry, :field, :salt, :value)")
_BY_ID = text("SELECT id, seq, kind, subject, bytes FROM ledger_entry WHERE id = :id")
_BY_SUBJECT = text(
    "SELECT id, seq, kind, subject, bytes FROM ledger_entry WHERE subject = :subject"
    " ORDER BY seq NULLS LAST, inserted_at, id"
)
_DISCLOSED = text("SELECT field, salt, value FROM ledger_disclosure WHERE entry = :entry ORDER BY field")
_FORGET = text("DELETE FROM ledger_disclosure WHERE entry = ANY(:entries)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """A row of the ledger. `seq` is None until the sequencer has numbered it."""

    id: EntryId
    seq: int | None
    kind: str
    subject: str
    bytes: bytes


def append(connection: Connection, entry: EncodedEntry, disclosures: Iterable[Disclosure] = ()) -> None:
    """Append one entry, and what opens its commitments, inside the caller's transaction."""
    row = {"id": entry.id, "kind": entry.kind.value, "subject": entry.subject, "bytes": entry.bytes}
    connection.execute(_APPEND, row)
    opened = [{"entry": entry.id, "field": item.field, "salt": item.salt, "value": item.value} for item in disclosures]
    if opened:
        connection.execute(_DISCLOSE, opened)


def append_many(connection: Connection, entries: Sequence[EncodedEntry]) -> None:
    """Append several entries, in this order, inside the caller's transaction."""
    if entries:
        values = {
            "ids": [entry.id for entry in entries],
            "kinds": [entry.kind.value for entry in entries],
            "subjects": [entry.subject for entry in entries],
            "bodies": [entry.bytes for entry in entries],
        }
        connection.execute(_APPEND_MANY, values)


def entry_by_id(connection: Connection, entry: str) -> StoredEntry | None:
    """Return one entry, or None when there is none of this id."""
    row = connection.execute(_BY_ID, {"id": entry}).mappings().one_or_none()
    return None if row is None else StoredEntry(**row)


def entries_of(connection: Connection, subject: str) -> tuple[StoredEntry, ...]:
    """Return every entry about a subject, in ledger order, unnumbered ones last."""
    rows = connection.execute(_BY_SUBJECT, {"subject": subject}).mappings()
    return tuple(StoredEntry(**row) for row in rows)


def disclosures_of_entry(connection: Connection, entry: str) -> tuple[Disclosure, ...]:
    """Return what still opens the commitments of an entry; empty after erasure."""
    rows = connection.execute(_DISCLOSED, {"entry": entry}).mappings()
    return tuple(Disclosure(field=row["field"], salt=bytes(row["salt"]), value=row["value"]) for row in rows)


def forget_disclosures(connection: Connection, entries: Sequence[str]) -> int:
    """Delete salts and values of these entries for good; return how many. The entries keep verifying."""
    return connection.execute(_FORGET, {"entries": list(entries)}).rowcount
