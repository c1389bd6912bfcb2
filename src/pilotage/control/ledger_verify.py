"""`ledger verify` on the live database, and the proof of one entry.

The same pure verification an export gets, over the table as a stream. Rule: this instance judges itself here, so the
result says under which keys; the word of an outsider is `verify --export` with a key got elsewhere. Fail mode: FAILED
with the first failing seq or size; an entry that is not numbered or not signed yet has no proof, and says so.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.ledger_export import keys_of_log
from pilotage.control.ledger_instance import LedgerInstance, log_name, origin_of, publication_of
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import NoteError
from pilotage.ledger.entry import EntryError
from pilotage.ledger.proof import InclusionProof
from pilotage.ledger.verify import Trust, Verdict, Verification, verify_log
from pilotage.store.ledger_checkpoints import every_checkpoint, newest_checkpoint
from pilotage.store.ledger_entries import entry_by_id
from pilotage.store.ledger_reading import read_log
from pilotage.store.ledger_sequencing import read_head, tile_reader

_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProven:
    """The entry exists but cannot be proven yet: it waits for its number, or for a checkpoint."""

    entry: str
    why: str


def verify_ledger(instance: LedgerInstance) -> Verification | Refusal:
    """Sign the tree as it is now, then verify everything in the database from the first entry on."""
    written = write_checkpoint(instance)
    if isinstance(written, Refusal):
        return written
    size = written.entries
    with instance.engine.connect() as connection, connection.begin():
        connection.execute(_SNAPSHOT)
        try:
            result = _verify(connection, size)
        except (NoteError, EntryError) as error:
            # A stored checkpoint or key entry that no longer parses was changed: the ledger does not verify.
            failure = Reason(code=error.code, text=str(error))
            return Verification(verdict=Verdict.FAILED, entries=0, root=b"", checkpoints=0, failure=failure)
    notice = publication_of(instance).not_anchored
    return result if notice is None else replace(result, notices=(*result.notices, notice))


def _verify(connection: Connection, size: int) -> Verification:
    trust = Trust(given=keys_of_log(connection))
    with closing(every_checkpoint(connection)) as rows, closing(read_log(connection, size)) as entries:
        notes = (row.parsed() for row in rows if row.size <= size)
        return verify_log(entries, checkpoints=notes, trust=trust)


def prove_entry(instance: LedgerInstance, entry: str) -> InclusionProof | NotProven:
    """Return the proof that an entry stands under the newest checkpoint; NotFound for an unknown id.

    Signs nothing: `explain` may ask at any time, also where the key is not at hand.
    """
    with instance.engine.connect() as connection, connection.begin():
        stored = entry_by_id(connection, entry)
        if stored is None:
            raise NotFound("LEDGER_ENTRY_UNKNOWN", f"There is no ledger entry {entry}.")
        if stored.seq is None:
            return NotProven(entry=entry, why="It is durable and waits for its number (at most 10 s).")
        head = read_head(connection)
        newest = newest_checkpoint(connection, origin_of(log_name(instance, head), head.epoch))
        if newest is None or newest.size <= stored.seq:
            return NotProven(entry=entry, why=f"It has number {stored.seq} and waits for a checkpoint (60 s).")
        path = tiles.inclusion_proof(tile_reader(connection), stored.seq, newest.size)
        return InclusionProof(seq=stored.seq, data=stored.bytes, path=path, note=newest.parsed())
