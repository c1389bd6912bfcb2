"""The second half of a takedown: erase the bytes, prove it, and say honestly what could not be proven.

Resumable: each step is marked in the row, and doing one twice changes nothing. One process purges a corpus at a time.
Fail mode: a crash loses the shingles held in memory, so the proof says `unprovable_by_scan`; it never claims a zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import text

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.corpus.takedown import FINAL, TakedownState, choose_shingles, final_state
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.embedded_backup import forget_backups
from pilotage.store.index_build import IndexFolder, open_index
from pilotage.store.ledger_entries import append
from pilotage.store.purge import Scan, rewrite_tables, scan_folder
from pilotage.store.takedowns import (
    StoredTakedown,
    erase,
    find_takedown,
    mark,
    own_texts,
    stands_elsewhere,
)

_ACTOR: Final = "system:takedown"
_LOCK: Final = text("SELECT pg_advisory_lock(hashtextextended('pilotage/purge/' || :corpus, 0))")
_FREE: Final = text("SELECT pg_advisory_unlock(hashtextextended('pilotage/purge/' || :corpus, 0))")


def purge_document(instance: Instance, identifier: str) -> StoredTakedown:
    """Run the purge of a takedown to its end; one that has ended is returned as it is."""
    with instance.engine.connect() as connection:
        stored = find_takedown(connection, identifier)
    if stored is None:
        raise NotFound("TAKEDOWN_UNKNOWN", f"There is no takedown {identifier}.")
    with _alone(instance, stored.corpus):
        with instance.engine.connect() as connection:
            stored = find_takedown(connection, identifier) or stored
        if stored.state in FINAL or stored.state is TakedownState.HELD:
            return stored
        shingles, rows = _erase(instance, stored)
        rewrite_tables(instance.engine, stored.corpus, is_embedded=instance.embedded)
        segments = _rewrite_index(instance, stored)
        if instance.embedded:
            forget_backups(instance.home)
        scan = scan_folder(instance.home, shingles)
        return _prove(instance, stored, shingles=len(shingles), rows=rows, segments=segments, scan=scan)


@contextmanager
def _alone(instance: Instance, corpus: CorpusName) -> Iterator[None]:
    with instance.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(text("SET statement_timeout = 0"))
        session.execute(_LOCK, {"corpus": corpus})
        try:
            yield
        finally:
            session.execute(_FREE, {"corpus": corpus})
            session.execute(text("RESET statement_timeout"))


def _erase(instance: Instance, stored: StoredTakedown) -> tuple[tuple[bytes, ...], int]:
    with instance.engine.begin() as connection:
        shingles = choose_shingles(
            own_texts(connection, stored.corpus, stored.document),
            stands_elsewhere=lambda piece: stands_elsewhere(connection, stored.corpus, stored.document, piece),
        )
        rows = erase(connection, stored)
        mark(connection, stored, step="erased")
    return shingles, rows


def _rewrite_index(instance: Instance, stored: StoredTakedown) -> int:
    settings = instance.workspace.corpora.get(stored.corpus)
    if settings is None:
        return 0
    folder = IndexFolder(root=instance.home / "indexes")
    return len(open_index(instance.engine, settings, folder, earlier=None).segments)


def _prove(
    instance: Instance, stored: StoredTakedown, *, shingles: int, rows: int, segments: int, scan: Scan
) -> StoredTakedown:
    state = final_state(
        hits=scan.hits,
        shingles=shingles,
        is_embedded=instance.embedded,
        has_duplicates=bool(stored.also_in) and not stored.include_duplicates,
    )
    now = instance.clock.now()
    proof: dict[str, Json] = {
        "document_id_commit": stored.document_commit,
        "versions_affected": list(stored.versions_affected),
        "rows": rows,
        "segments": segments,
        "files_scanned": scan.files,
        "bytes_scanned": scan.bytes,
        "hits": scan.hits,
        "files_with_hits": list(scan.files_with_hits),
        "shingles": shingles,
        "state": str(state),
        "at": to_text(now),
    }
    with instance.engine.begin() as connection:
        mark(connection, stored, step="proven", state=state, proof=proof, at=now)
        append(
            connection,
            encode_entry(
                id=new_ulid(now),
                kind=EntryKind.TAKEDOWN_FAILED if scan.hits else EntryKind.TAKEDOWN_PURGED,
                at=now,
                actor=_ACTOR,
                subject=stored.id,
                data={"corpus": stored.corpus, **proof},
            ),
        )
        return find_takedown(connection, stored.id) or stored
