"""The second half of a takedown: erase the bytes, prove it, and say honestly what could not be proven.

Resumable: each step is marked in the row, and doing one twice changes nothing. One process purges a corpus at a time.
Fail mode: a crash loses the shingles held in memory, so the proof says `unprovable_by_scan`; it never claims a zero.
Text that is still found is `purge_failed`, with the files named, and an incident.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import sleep
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.corpus.takedown import ENDED, MOST_SHINGLES, TakedownState, final_state, sample_shingles, standing_in
from pilotage.corpus.takedown_quotes import quotable
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.corpus_documents import documents_of
from pilotage.store.embedded_backup import forget_backups
from pilotage.store.index_build import index_folder, open_every
from pilotage.store.ledger_entries import append
from pilotage.store.purge import Scan, rewrite_tables, scan_folder
from pilotage.store.takedown_quotes import quoting_interactions, staying_texts
from pilotage.store.takedowns import (
    StoredTakedown,
    all_texts,
    erase,
    find_takedown,
    lock_takedown,
    mark,
    requested_with,
)

PURGE_FAILED: Final = "purge_failed"
"""The cause of the incident when a scan still finds text of an erased document."""
_ACTOR: Final = "system:takedown"
_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtextextended('pilotage/purge', 0))")
_LOOK_S: Final = 0.1
_FREE: Final = text("SELECT pg_advisory_unlock(hashtextextended('pilotage/purge', 0))")


def purge_document(instance: Instance, identifier: str) -> StoredTakedown:
    """Run the purge of a takedown to its end, with everything requested with it; an ended one is returned as it is.

    Twins and derived copies hold the same text: all of it is erased before any file is searched.
    """
    stored = _read(instance, identifier)
    with _alone(instance):
        stored = _read(instance, identifier)
        if stored.state in ENDED or stored.state is TakedownState.HELD:
            return stored
        with instance.engine.connect() as connection:
            group = requested_with(connection, identifier)
        erased = _erase(instance, group)
        group = tuple(one for one in group if one.id in erased)
        for corpus in dict.fromkeys(one.corpus for one in group):
            rewrite_tables(instance.engine, corpus, is_embedded=instance.embedded)
            _rewrite_index(instance, corpus)
        if instance.embedded:
            forget_backups(instance.home)
        for one in group:
            done = erased[one.id]
            _prove(instance, one, done, scan_folder(instance.home, done.shingles))
    return _read(instance, identifier)


def _read(instance: Instance, identifier: str) -> StoredTakedown:
    with instance.engine.connect() as connection:
        stored = find_takedown(connection, identifier)
    if stored is None:
        raise NotFound("TAKEDOWN_UNKNOWN", f"There is no takedown {identifier}.")
    return stored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Erased:
    """What was erased of one document: pieces of its text to search for, and how many rows moved."""

    shingles: tuple[bytes, ...]
    rows: int


@contextmanager
def _alone(instance: Instance) -> Iterator[None]:
    # Asked for again and again: a statement that waits for the lock would be an older transaction itself, whose rows
    # the other purge has to keep.
    with instance.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        while not session.execute(_LOCK).scalar_one():
            sleep(_LOOK_S)
        try:
            yield
        finally:
            session.execute(_FREE)


def _erase(instance: Instance, group: Sequence[StoredTakedown]) -> dict[str, _Erased]:
    """Keep the pieces to search for, then delete the rows of the whole group in one transaction."""
    with instance.engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        locked = [lock_takedown(connection, one.id) for one in group]  # a hold that came first keeps the bytes
        group = [one for one in locked if one is not None and one.state is TakedownState.HIDDEN]
        texts = {one.id: all_texts(connection, one.corpus, one.document) for one in group}
        shingles = _shingles(connection, texts)
        found = quotable(
            (said for own in texts.values() for said in own), staying=staying_texts(connection, erased=texts)
        )
        quoting = quoting_interactions(connection, found)
        erased: dict[str, _Erased] = {}
        for one in group:
            rows = erase(connection, one, found, quoting=() if erased else quoting)  # once is enough
            erased[one.id] = _Erased(shingles=shingles[one.id], rows=rows)
            mark(connection, one, step="erased")
    return erased


def _shingles(connection: Connection, texts: Mapping[str, Iterable[str]]) -> dict[str, tuple[bytes, ...]]:
    """Return the pieces to search for, by takedown: up to 32 that occur in no text that stays."""
    candidates = {name: sample_shingles(own) for name, own in texts.items()}
    pieces = {piece.decode() for sampled in candidates.values() for piece in sampled}
    elsewhere = {piece.encode() for piece in standing_in(pieces, staying_texts(connection, erased=texts))}
    return {
        name: tuple(piece for piece in sampled if piece not in elsewhere)[:MOST_SHINGLES]
        for name, sampled in candidates.items()
    }


def _rewrite_index(instance: Instance, corpus: CorpusName) -> None:
    settings = instance.workspace.corpora.get(corpus)
    folder = index_folder(instance.workspace, instance.home)
    if settings is not None:
        open_every(instance.engine, settings, folder)
    else:  # declared no more: nobody reads its index, and nobody rewrites it
        shutil.rmtree(folder.of(corpus), ignore_errors=True)


def _prove(instance: Instance, stored: StoredTakedown, erased: _Erased, scan: Scan) -> None:
    with instance.engine.connect() as connection:
        twins = documents_of(connection, stored.corpus, stored.also_in).values()
    state = final_state(
        hits=scan.hits,
        shingles=len(erased.shingles),
        is_embedded=instance.embedded,
        has_duplicates=any(twin.tombstone is None for twin in twins),
    )
    now = instance.clock.now()
    proof: dict[str, Json] = {
        "document_id_commit": stored.document_commit,
        "versions_affected": list(stored.versions_affected),
        "rows": erased.rows,
        "files_scanned": scan.files,
        "bytes_scanned": scan.bytes,
        "hits": scan.hits,
        "files_with_hits": list(scan.files_with_hits),
        "shingles": len(erased.shingles),
        "state": str(state),
        "at": to_text(now),
    }
    if not instance.embedded:
        proof["copies_until"] = _copies_until(instance, now)
    with instance.engine.begin() as connection:
        mark(connection, stored, step="proven", state=state, proof=proof, at=now)
        if scan.hits:
            _alarm(connection, instance, stored, scan)
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


def _copies_until(instance: Instance, now: datetime) -> str | None:
    """Return the last day on which a backup may hold the bytes, None where `backup_retention` is not declared."""
    days = instance.workspace.backup_retention_days
    today = now.astimezone(ZoneInfo(instance.workspace.timezone)).date()
    return None if days is None else (today + timedelta(days=min(days, (date.max - today).days))).isoformat()


def _alarm(connection: Connection, instance: Instance, stored: StoredTakedown, scan: Scan) -> None:
    """Open an incident for every workflow that reads the corpus: bytes that should be gone are on the disk."""
    spaces = instance.workspace.spaces.values()
    found: dict[str, tuple[str, ...]] = {}
    for workflow in instance.workspace.workflows.values():
        stages = {stage for stage, corpus in workflow.retrieval.corpora.items() if corpus.name == stored.corpus}
        if stages:
            found[workflow.name] = tuple(sorted(space.name for space in spaces if space.data_stage in stages))
    for reader, places in (found or {stored.corpus: ()}).items():
        trouble = Trouble(
            workflow=reader,
            space=next(iter(places), ""),
            spaces=places,
            release=None,
            cause=PURGE_FAILED,
            severity=Severity.SEV2,
            summary=f"Takedown {stored.id} of {stored.corpus} left text in {', '.join(scan.files_with_hits)}.",
        )
        open_incident(connection, instance, trouble, Deed(actor=_ACTOR, at=instance.clock.now()))
