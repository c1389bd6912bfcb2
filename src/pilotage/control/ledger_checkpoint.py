"""Number what is committed, sign the tree, publish the checkpoint; notice a database restored from an old backup.

Rule: before anything is numbered or signed by a new sequencer, the newest published checkpoint is compared with the
table. Fail mode: a published tree the table does not have stops the ledger (Refusal) until a person opens a new epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.adapters.checkpoints import CheckpointFolder
from pilotage.control.ledger_instance import (
    LedgerInstance,
    current_key,
    epoch_of,
    log_name,
    origin_of,
    publication_of,
)
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import Checkpoint, SignedCheckpoint, signed
from pilotage.ledger.tree import EMPTY_ROOT
from pilotage.store.ledger_checkpoints import add_checkpoint, mark_published, newest_checkpoint, unpublished
from pilotage.store.ledger_sequencing import Head, number_all, read_head, stop_sequencing, tile_reader

RESTORE_DETECTED = "LEDGER_RESTORE_DETECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointWritten:
    """The newest checkpoint. `is_new`: signed by this call. `notices` say what it does not protect from."""

    note: SignedCheckpoint
    is_new: bool
    published_to: tuple[str, ...]
    notices: tuple[Reason, ...]

    @property
    def entries(self) -> int:
        """Return how many entries it covers."""
        return self.note.checkpoint.size

    @property
    def root(self) -> Digest:
        """Return the root as a digest."""
        return Digest(f"sha256:{self.note.checkpoint.root.hex()}")

    def as_json(self) -> dict[str, object]:
        """Return the result of `pilotage ledger checkpoint`."""
        return {
            "entries": self.entries,
            "root": self.root,
            "origin": self.note.checkpoint.origin,
            "note": self.note.note().decode(),
            "published_to": list(self.published_to),
            "notices": [notice.as_json() for notice in self.notices],
        }


def sequence_now(instance: LedgerInstance, *, wait_s: float = 10.0) -> int | Refusal:
    """Give every committed entry its number, with or without a running worker; return the size of the tree.

    Refusal when the ledger is stopped. Unavailable when another sequencer holds on for `wait_s` without numbering.
    """
    refusal = check_restore(instance)
    if refusal is not None:
        return refusal
    return number_all(instance.engine, wait_s=wait_s)


def write_checkpoint(instance: LedgerInstance) -> CheckpointWritten | Refusal:
    """Sign and publish everything committed so far, numbering it first; an unchanged tree is not signed again."""
    refusal = prepare_ledger_key(instance)
    if refusal is not None:
        return refusal
    size = sequence_now(instance)
    if isinstance(size, Refusal):
        return size
    return sign_tree(instance)


def prepare_ledger_key(instance: LedgerInstance) -> Refusal | None:
    """Make sure, at start, that the log can be signed: create its very first key, or find the one it has.

    Refusal when the ledger is stopped; Unavailable, with the ways out, when its key is lost.
    """
    with instance.engine.begin() as connection:
        refusal = _stopped(connection, instance, publication_of(instance))
        if refusal is None:
            current_key(instance, connection, read_head(connection))
    return refusal


def sign_tree(instance: LedgerInstance) -> CheckpointWritten | Refusal:
    """Sign and publish the tree as it is numbered now.

    The restore check and the signature happen under one lock of the head: nothing is signed over a restored table.
    Unavailable when the key is missing or the folder cannot be written (the checkpoint then stays, unpublished).
    """
    publication = publication_of(instance)
    with instance.engine.begin() as connection:
        refusal = _stopped(connection, instance, publication)
        if refusal is None:
            before = newest_checkpoint(connection, _origin(instance, connection))
            note = _sign(connection, instance)
    if refusal is not None:
        return refusal
    publish_pending(instance)
    notice = publication.not_anchored
    with instance.engine.begin() as connection:
        stored = newest_checkpoint(connection, note.checkpoint.origin)
    return CheckpointWritten(
        note=note,
        is_new=before is None or before.note.encode() != note.note(),
        published_to=() if stored is None else tuple(stored.published_to),
        notices=() if notice is None else (notice,),
    )


def publish_pending(instance: LedgerInstance) -> int:
    """Publish every checkpoint no place outside the database has yet, smallest first; return how many."""
    publication = publication_of(instance)
    with instance.engine.begin() as connection:
        rows = unpublished(connection)
    for row in rows:
        place = publication.publish(row.parsed())
        with instance.engine.begin() as connection:
            mark_published(connection, row, place)
    return len(rows)


def check_restore(instance: LedgerInstance) -> Refusal | None:
    """Compare the newest published checkpoint with the table; stop the ledger and refuse when it has lost entries."""
    with instance.engine.begin() as connection:
        return _stopped(connection, instance, publication_of(instance))


def _stopped(connection: Connection, instance: LedgerInstance, publication: CheckpointFolder) -> Refusal | None:
    head = read_head(connection, lock=True)
    if head.stopped is None:
        found = _lost_tree(connection, head, publication, log_name(instance, head))
        if found is None:
            return None
        stop_sequencing(connection, found)
        head = read_head(connection)
    text = f"The ledger is stopped: {head.stopped} Nothing is numbered or signed until `pilotage ledger new-epoch`."
    return Refusal(reasons=(Reason(code=RESTORE_DETECTED, text=text, observed=str(head.size)),))


def _lost_tree(connection: Connection, head: Head, publication: CheckpointFolder, name: str) -> str | None:
    epochs = [epoch for origin in publication.origins() if (epoch := epoch_of(name, origin)) is not None]
    if epochs and max(epochs) > head.epoch:
        return f"epoch {max(epochs)} was published, the database stands at epoch {head.epoch}: it was restored."
    published = publication.newest(origin_of(name, head.epoch))
    if published is None:
        return None
    tree = published.checkpoint
    if tree.size > head.size:
        return f"{tree.size} entries were published, the database holds {head.size}: it was restored from a backup."
    root = tiles.root(tile_reader(connection), tree.size) if tree.size else EMPTY_ROOT
    if root != tree.root:
        return f"the published tree of {tree.size} entries is not the database's: it was restored or rewritten."
    return None


def _origin(instance: LedgerInstance, connection: Connection) -> str:
    head = read_head(connection)
    return origin_of(log_name(instance, head), head.epoch)


def _sign(connection: Connection, instance: LedgerInstance) -> SignedCheckpoint:
    head = read_head(connection)
    key = current_key(instance, connection, head)
    tree = Checkpoint(origin=key.verifier.name, size=head.size, root=tiles.root(tile_reader(connection), head.size))
    note = signed(tree, key.verifier, instance.keyring.sign(key.name, tree.text()))
    add_checkpoint(connection, note, at=instance.clock.now())
    return note
