"""Which revisions the new version holds under `history: dated`: earlier ones stay, each ended by the next.

A revision whose end moved is another revision (versions never change): it is written with the same text and chunks.
Fail mode: purged revisions and taken-down documents never come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from pyroaring import BitMap
from sqlalchemy import Connection

from pilotage.control.refresh_staging import Kept, Stager, kept_from, kept_from_new, retained_until
from pilotage.control.refresh_tools import NewSalt
from pilotage.core.digest import Digest
from pilotage.corpus.dates import Dated, end_at, keep_history
from pilotage.corpus.settings import CorpusSettings
from pilotage.corpus.text import meta_hash
from pilotage.corpus.version import commitment
from pilotage.store.corpus_documents import (
    NewRevision,
    StoredRevision,
    add_revisions,
    clone_chunks,
    revisions_of,
    revisions_of_documents,
    take_revision_numbers,
)


def merge_history(
    connection: Connection, settings: CorpusSettings, stager: Stager, *, parent: BitMap, new_salt: NewSalt
) -> list[Kept]:
    """Return every revision of the new version, writing those whose end moved."""
    before: dict[str, list[StoredRevision]] = {}
    for old in revisions_of(connection, settings.name, parent):
        if not old.purged:
            before.setdefault(old.document, []).append(old)
    day = _listing_day(stager)
    # Another `retention` is another last day: such a revision is written anew, as one whose end moved.
    outdated = {
        old.rev
        for olds in before.values()
        for old in olds
        if old.retained_until != retained_until(old.effective_to, settings.retention_days)
    }
    held: list[Kept] = []
    moved: list[Dated] = []
    for document in sorted(before.keys() | stager.kept.keys()):
        earlier = [kept_from(one).dated() for one in before.get(document, ())]
        fresh = [one.dated() for one in stager.kept.get(document, ())]
        if fresh:
            line: Sequence[Dated] = keep_history(earlier, fresh)
        else:
            line = end_at(earlier, day) if day is not None else ()
        line = [replace(one, stored=one.stored and one.key not in outdated) for one in line]
        known = {one.rev: one for one in (*map(kept_from, before.get(document, ())), *stager.kept.get(document, ()))}
        held.extend(known[one.key] for one in line if one.stored)
        moved.extend(one for one in line if not one.stored)
    held.extend(_write_moved(connection, settings, moved, stager, new_salt))
    return held


def _listing_day(stager: Stager) -> date | None:
    """Return the one day from which the whole listing is in force, or None.

    Only such a consolidated text says when a document it no longer holds ended; otherwise the document is removed.
    """
    days = {one.effective_from for kept in stager.kept.values() for one in kept}
    return days.pop() if len(days) == 1 else None


def _write_moved(
    connection: Connection, settings: CorpusSettings, moved: list[Dated], stager: Stager, new_salt: NewSalt
) -> list[Kept]:
    sources = {old.rev: old for old in revisions_of(connection, settings.name, sorted({one.key for one in moved}))}
    siblings = revisions_of_documents(connection, settings.name, sorted({old.document for old in sources.values()}))
    found: list[Kept] = []
    for one in moved:
        source = sources[one.key]
        meta = meta_hash(
            title=source.title,
            uri=_uri(source),
            effective_from=one.effective_from,
            effective_to=one.effective_to,
        )
        until = retained_until(one.effective_to, settings.retention_days)
        wanted = (one.hash, meta, until, False)
        same = [
            old
            for old in siblings[source.document]
            if (old.hash, old.meta_hash, old.retained_until, old.purged) == wanted
        ]
        if same:
            found.append(kept_from(same[0]))
            continue
        row = _twin(source, one, meta, rev=take_revision_numbers(connection, settings.name, 1), new_salt=new_salt)
        row = replace(row, retained_until=until)
        add_revisions(connection, settings.name, [row])
        clone_chunks(connection, settings.name, source=source.rev, rev=row.rev)
        stager.staged.add(row.rev)
        found.append(kept_from_new(row))
    return found


def _twin(source: StoredRevision, one: Dated, meta: Digest, *, rev: int, new_salt: NewSalt) -> NewRevision:
    """Return the same revision with another end. It has a salt of its own: equal texts must not look equal."""
    salt = new_salt(source.document, one.hash)
    return NewRevision(
        rev=rev,
        document=source.document,
        hash=one.hash,
        meta_hash=meta,
        salt=salt,
        commitment=commitment(one.hash, salt),
        title=source.title,
        effective_from=one.effective_from,
        effective_to=one.effective_to,
        retained_until=None,
        lineage=source.lineage,
    )


def _uri(source: StoredRevision) -> str | None:
    uri = source.lineage.get("uri")
    return uri if isinstance(uri, str) else None
