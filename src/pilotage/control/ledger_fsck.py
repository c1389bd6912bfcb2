"""`ledger fsck`: everything the ledger's tables claim, compared with everything else that can contradict it.

Bytes against leaf hashes and columns, gaps, tiles, checkpoints and their signatures, published checkpoints against the
table, commitments against what opens them, entries that wait too long, state rows against entries, both ways and field
by field. Rule: it names every difference and repairs none. Fail mode: a finding per difference (at most 100 of a kind);
unreadable is a finding too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection, text

from pilotage.adapters.checkpoints import CheckpointFolder
from pilotage.control.ledger_checkpoint import sequence_now
from pilotage.control.ledger_export import keys_of_log
from pilotage.control.ledger_instance import LedgerInstance, epoch_of, log_name, origin_of, publication_of
from pilotage.control.ledger_rows import row_mismatches
from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import NoteError, SignedCheckpoint, VerifierKey
from pilotage.ledger.commitment import is_opened_by
from pilotage.ledger.entry import EntryError, EntryKind, decode_entry
from pilotage.ledger.tile_audit import Fault, tile_faults
from pilotage.ledger.tree import Frontier, leaf_hash
from pilotage.store.ledger_checkpoints import StoredCheckpoint, every_checkpoint
from pilotage.store.ledger_entries import entries_of
from pilotage.store.ledger_reading import Row, disclosed_rows, stored_rows
from pilotage.store.ledger_sequencing import MAX_MERGE_DELAY, database_now, read_head, tile_reader, waiting
from pilotage.store.ledger_state_rows import unmatched

_MOST = 100
_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckReport:
    """What was compared and every difference found, `suppressed` more of the same kinds left out."""

    entries: int
    checkpoints: int
    findings: tuple[Reason, ...]
    suppressed: int
    notices: tuple[Reason, ...]

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing contradicts anything."""
        return not self.findings

    def as_json(self) -> dict[str, object]:
        """Return the result of `pilotage ledger fsck`."""
        return {
            "clean": self.is_clean,
            "entries": self.entries,
            "checkpoints": self.checkpoints,
            "findings": [finding.as_json() for finding in self.findings],
            "suppressed": self.suppressed,
            "notices": [notice.as_json() for notice in self.notices],
        }


@dataclass(slots=True)
class _Walk:
    """What the walk over entries and checkpoints has seen."""

    frontier: Frontier
    notes: Iterator[StoredCheckpoint]
    next_note: StoredCheckpoint | None
    keys: tuple[VerifierKey, ...]
    checkpoints: int = 0
    entries: int = 0


def fsck_ledger(instance: LedgerInstance) -> FsckReport:
    """Check everything; a database that lost published entries is stopped on the spot."""
    publication = publication_of(instance)
    kept: list[Reason] = []
    seen: Counter[str] = Counter()
    stopped = _sequenced(instance)
    with instance.engine.connect() as connection, connection.begin():
        connection.execute(_SNAPSHOT)
        with closing(every_checkpoint(connection)) as notes:
            walk = _Walk(frontier=Frontier(), notes=notes, next_note=next(notes, None), keys=_keys(connection))
            found = chain(
                stopped,
                _entries(connection, walk),
                _unsequenced(connection),
                _tiles(connection),
                _published(connection, publication, instance),
                _disclosures(connection),
                _state_rows(connection, instance),
            )
            for finding in found:
                seen[finding.code] += 1
                if seen[finding.code] <= _MOST:
                    kept.append(finding)
    notice = publication.not_anchored
    return FsckReport(
        entries=walk.entries,
        checkpoints=walk.checkpoints,
        findings=tuple(kept),
        suppressed=seen.total() - len(kept),
        notices=() if notice is None else (notice,),
    )


def _sequenced(instance: LedgerInstance) -> tuple[Reason, ...]:
    # Without a worker entries wait for the next command, which is no fault; with one that hangs they still wait below.
    try:
        size = sequence_now(instance, wait_s=1.0)
    except IntegrityError as error:
        return (Reason(code=error.code, text=str(error)),)
    except Unavailable:
        return ()
    return size.reasons if isinstance(size, Refusal) else ()


def _keys(connection: Connection) -> tuple[VerifierKey, ...]:
    try:
        return keys_of_log(connection)
    except (EntryError, NoteError):
        return ()  # the walk over the entries finds the damaged one and names it


def _entries(connection: Connection, walk: _Walk) -> Iterator[Reason]:
    head = read_head(connection)
    yield from _checkpoints(walk)
    with closing(stored_rows(connection)) as rows:
        for row in rows:
            if row.seq != walk.frontier.size:
                said = f"Entry {walk.frontier.size} is missing: {row.seq} follows."
                yield Reason(code="FSCK_GAP", text=said, where=f"seq {walk.frontier.size}")
                return
            leaf = leaf_hash(row.data)
            if leaf != row.leaf:
                yield _changed(connection, row, head.size)
            yield from _columns(row)
            walk.frontier.append(leaf)
            walk.entries += 1
            yield from _checkpoints(walk)
    yield from _ends(walk, head.size)


def _ends(walk: _Walk, size: int) -> Iterator[Reason]:
    if walk.frontier.size != size:
        said = f"The head says {size} entries are numbered; there are {walk.frontier.size}."
        yield Reason(code="FSCK_HEAD", text=said, where="ledger_head")
    if walk.next_note is not None:
        said = f"Checkpoint {walk.next_note.size} signs more entries than there are ({walk.frontier.size})."
        yield Reason(code="FSCK_CHECKPOINT", text=said, where=f"size {walk.next_note.size}")


def _changed(connection: Connection, row: Row, size: int) -> Reason:
    index, place = divmod(row.seq, tiles.TILE_WIDTH)
    read = tile_reader(connection)
    tile = read(0, index)
    whole = len(tile) == tiles.TILE_WIDTH * 32 and size > tiles.TILE_WIDTH
    above = read(1, index // tiles.TILE_WIDTH)[(index % tiles.TILE_WIDTH) * 32 :][:32]
    culprit = f"bytes of entry {row.seq} ({row.id})"
    if whole and tiles.perfect_root(tile) != above:
        culprit = f"leaf hash {place} of tile 0/{index}"
    said = f"Entry {row.seq} ({row.id}) does not have its leaf hash: the {culprit} changed."
    return Reason(code="FSCK_ENTRY", text=said, where=f"seq {row.seq}")


def _columns(row: Row) -> Iterator[Reason]:
    try:
        entry = decode_entry(row.data)
    except EntryError as error:
        yield Reason(code="FSCK_ENTRY", text=f"Entry {row.seq} ({row.id}): {error}", where=f"seq {row.seq}")
        return
    columns = {"id": (row.id, entry.id), "kind": (row.kind, entry.kind), "subject": (row.subject, entry.subject)}
    for name, (column, entered) in columns.items():
        if column != entered:
            said = f"Entry {row.seq}: the column {name} says {column!r}, the entry {entered!r}."
            yield Reason(code="FSCK_COLUMN", text=said, where=f"seq {row.seq}")


def _checkpoints(walk: _Walk) -> Iterator[Reason]:
    while walk.next_note is not None and walk.next_note.size <= walk.frontier.size:
        walk.checkpoints += 1
        problem = _checkpoint_problem(walk.next_note, walk)
        if problem:
            said = f"Checkpoint {walk.next_note.size} (key {walk.next_note.key_id}): {problem}"
            yield Reason(code="FSCK_CHECKPOINT", text=said, where=f"size {walk.next_note.size}")
        walk.next_note = next(walk.notes, None)


def _checkpoint_problem(row: StoredCheckpoint, walk: _Walk) -> str:
    try:
        note: SignedCheckpoint = row.parsed()
    except NoteError as error:
        return str(error)
    tree = note.checkpoint
    ids = {signature.key_id.hex() for signature in note.signatures}
    if (tree.size, tree.origin, tree.root) != (row.size, row.origin, row.root) or row.key_id not in ids:
        return "its columns and its note differ."
    if tree.root != walk.frontier.root():
        return "it signs another root than its entries have."
    if not any(note.is_signed_by(key) for key in walk.keys):
        return "no key of this log signed it."
    return ""


def _unsequenced(connection: Connection) -> Iterator[Reason]:
    rest = waiting(connection, before=database_now(connection) - MAX_MERGE_DELAY)
    if rest.entries:
        said = f"{rest.entries} entries wait for their number, the oldest for {rest.oldest.total_seconds():.0f} s."
        yield Reason(code="FSCK_UNNUMBERED", text=said, observed=str(rest.entries), limit="10 s")


def _tiles(connection: Connection) -> Iterator[Reason]:
    for fault in tile_faults(tile_reader(connection), read_head(connection).size):
        yield _tile_reason(fault)


def _tile_reason(fault: Fault) -> Reason:
    what = "has the wrong length" if fault.place < 0 else f"hash {fault.place} is not the root of the tile below"
    where = f"tile {fault.level}/{fault.index}"
    return Reason(code="FSCK_TILE", text=f"Ledger {where}: {what}.", where=where)


def _published(connection: Connection, publication: CheckpointFolder, instance: LedgerInstance) -> Iterator[Reason]:
    head = read_head(connection)
    name = log_name(instance, head)
    read = tile_reader(connection)
    for origin in publication.origins():
        epoch = epoch_of(name, origin)
        if epoch is None:
            continue
        # What an earlier epoch signed beyond the opening of the next was lost in a restore; that entry records it.
        known = _opened_at(connection, origin_of(name, epoch + 1)) if epoch < head.epoch else None
        try:
            for note in publication.every(origin):
                if known is None or note.checkpoint.size <= known:
                    yield from _published_problem(note, read, head.size)
        except IntegrityError as error:
            yield Reason(code="FSCK_PUBLISHED", text=str(error), where=origin)


def _opened_at(connection: Connection, origin: str) -> int:
    opened = [entry for entry in entries_of(connection, origin) if entry.kind == EntryKind.LEDGER_EPOCH_OPENED]
    sizes = [decode_entry(entry.bytes).data.get("size") for entry in opened]
    return min((size for size in sizes if isinstance(size, int)), default=0)


def _published_problem(note: SignedCheckpoint, read: tiles.ReadTile, size: int) -> Iterator[Reason]:
    tree = note.checkpoint
    if tree.size > size or tiles.root(read, tree.size) != tree.root:
        said = f"The published checkpoint {tree.size} of {tree.origin} is not a tree of this database."
        yield Reason(code="FSCK_PUBLISHED", text=said, where=f"size {tree.size}")


def _disclosures(connection: Connection) -> Iterator[Reason]:
    for row in disclosed_rows(connection):
        try:
            committed = decode_entry(row.data).commit.get(row.field, "")
        except EntryError:
            continue  # named by the walk over the entries
        if not is_opened_by(committed, salt=row.salt, value=row.value):
            said = f"The kept value of {row.field!r} of entry {row.entry} does not open its commitment."
            yield Reason(code="FSCK_DISCLOSURE", text=said, where=row.entry)


def _state_rows(connection: Connection, instance: LedgerInstance) -> Iterator[Reason]:
    named: set[str | None] = set()
    for row in unmatched(connection):
        named.add(row.subject)
        said = "has no ledger entry" if row.entry_missing else "stands in the ledger but not in the table"
        yield Reason(code="LEDGER_MISMATCH", text=f"{row.table} {row.subject} {said}.", where=row.subject)
    for reason in row_mismatches(instance.engine, instance.clock.now()):
        if reason.where not in named:
            yield reason
