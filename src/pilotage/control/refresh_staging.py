"""Writes drafts in batches before any version names them, reusing every revision that already says the same.

A revision is reused when document, text, dates, title, chunker and analyser are equal and its text was not purged: so
the same source twice gives the same bitmap, and one percent of change costs one percent. Fail mode: a batch is one
transaction; what a killed run staged is referenced by no version and is cleared by the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from pyroaring import BitMap
from sqlalchemy import Connection, Engine

from pilotage.control.refresh_tools import NewSalt
from pilotage.core.digest import Digest
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.chunker import CHUNKER_ID
from pilotage.corpus.dates import Dated, conflicts
from pilotage.corpus.records import DocumentDraft, Rejected
from pilotage.corpus.settings import Classification, CorpusSettings
from pilotage.corpus.version import commitment
from pilotage.store.corpus_documents import (
    Governed,
    NewRevision,
    StoredDocument,
    StoredRevision,
    add_documents,
    add_revisions,
    documents_of,
    revisions_of_documents,
    take_revision_numbers,
    text_lengths,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A stored revision that the new version will hold."""

    rev: int
    document: str
    hash: Digest
    meta_hash: Digest
    commitment: Digest
    effective_from: date | None
    effective_to: date | None

    def dated(self) -> Dated:
        """Return it as the history rules see it."""
        return Dated(
            key=self.rev,
            hash=self.hash,
            meta=self.meta_hash,
            effective_from=self.effective_from,
            effective_to=self.effective_to,
            stored=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What staging found out about one draft, for the quality report."""

    conflicts: bool
    before_chars: int | None


class Stager:
    """Collects one refresh's revisions and governance facts. `parent` are the revisions of the version it follows."""

    def __init__(
        self, engine: Engine, settings: CorpusSettings, *, parent: BitMap, now: datetime, new_salt: NewSalt
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._parent = parent
        self._now = now
        self._new_salt = new_salt
        self.kept: dict[str, list[Kept]] = {}
        self.staged = BitMap()
        self.governed: dict[str, Governed] = {}
        self.refused: dict[str, Rejected] = {}
        self.before: dict[str, StoredDocument] = {}

    def stage(self, drafts: Sequence[DocumentDraft]) -> list[Staged]:
        """Write one batch; return what is known about each draft, in order."""
        with self._engine.begin() as connection:
            ids = sorted({draft.id for draft in drafts})
            known = documents_of(connection, self._settings.name, ids)
            revisions = revisions_of_documents(connection, self._settings.name, ids)
            for draft in drafts:
                self._govern(draft)
            fresh = [self.governed[document] for document in ids if document not in known]
            add_documents(connection, self._settings.name, fresh)
            self.before.update({id_: document for id_, document in known.items() if id_ not in self.before})
            self.before.update({one.id: _as_stored(one) for one in fresh if one.id not in self.before})
            self._write(connection, drafts, revisions)
            return self._look_back(connection, drafts, revisions)

    def refuse(self, one: Rejected) -> None:
        """Remember who may read an item that gives no revision now; of several of one id the shared readers."""
        earlier = self.refused.get(one.id)
        if one.acl is not None:
            shared = one.acl if earlier is None else set(earlier.acl or ()) & set(one.acl)
            self.refused[one.id] = replace(one, acl=tuple(sorted(shared)))

    def forget(self, document: str) -> None:
        """Leave a document out after all: it was taken down while the refresh ran."""
        self.kept.pop(document, None)
        self.governed.pop(document, None)
        self.refused.pop(document, None)

    def _govern(self, draft: DocumentDraft) -> None:
        """Gather a document's current facts; several dated rows of one document give the narrower ones."""
        found = Governed(
            id=draft.id,
            title=draft.title,
            uri=draft.uri,
            acl=draft.acl,
            acl_source=draft.acl_source,
            classification=draft.classification.value,
            region=draft.region,
            acl_confirmed_at=draft.acl_confirmed_at or self._now,
        )
        earlier = self.governed.get(draft.id)
        if earlier is not None:
            levels = (Classification(earlier.classification), draft.classification)
            found = replace(
                found,
                acl=tuple(sorted(set(earlier.acl) & set(found.acl))),
                classification=max(levels, key=lambda level: level.rank).value,
            )
        self.governed[draft.id] = found

    def _write(
        self, connection: Connection, drafts: Sequence[DocumentDraft], revisions: dict[str, list[StoredRevision]]
    ) -> None:
        missing: list[DocumentDraft] = []
        for draft in drafts:
            kept_until = retained_until(draft.effective_to, self._settings.retention_days)
            olds = (old for old in revisions.get(draft.id, ()) if old.retained_until == kept_until)
            same = next((old for old in olds if _says_the_same(old, draft)), None)
            if same is None:
                missing.append(draft)
            else:
                self.kept.setdefault(draft.id, []).append(kept_from(same))
        if not missing:
            return
        first = take_revision_numbers(connection, self._settings.name, len(missing))
        rows = [self._new_revision(draft, first + index) for index, draft in enumerate(missing)]
        add_revisions(connection, self._settings.name, rows)
        for row in rows:
            self.staged.add(row.rev)
            self.kept.setdefault(row.document, []).append(kept_from_new(row))

    def _new_revision(self, draft: DocumentDraft, rev: int) -> NewRevision:
        salt = self._new_salt(draft.id, draft.revision_hash)
        return NewRevision(
            rev=rev,
            document=draft.id,
            hash=draft.revision_hash,
            meta_hash=draft.meta_hash,
            salt=salt,
            commitment=commitment(draft.revision_hash, salt),
            title=draft.title,
            effective_from=draft.effective_from,
            effective_to=draft.effective_to,
            retained_until=retained_until(draft.effective_to, self._settings.retention_days),
            lineage=draft.lineage,
            chunks=draft.chunks,
        )

    def _look_back(
        self, connection: Connection, drafts: Sequence[DocumentDraft], revisions: dict[str, list[StoredRevision]]
    ) -> list[Staged]:
        parents = {document: [old for old in found if old.rev in self._parent] for document, found in revisions.items()}
        changed = [
            old.rev for draft in drafts for old in parents.get(draft.id, ())[-1:] if old.hash != draft.revision_hash
        ]
        lengths = text_lengths(connection, self._settings.name, changed) if changed else {}
        found = []
        for draft in drafts:
            before = parents.get(draft.id, [])
            fresh = [one.dated() for one in self.kept[draft.id] if one.hash == draft.revision_hash]
            clash = conflicts([kept_from(old).dated() for old in before], fresh)
            chars = lengths.get(before[-1].rev) if before else None
            found.append(Staged(conflicts=clash, before_chars=chars))
        return found


def kept_from(old: StoredRevision) -> Kept:
    """Return a stored revision as part of the new version."""
    return Kept(
        rev=old.rev,
        document=old.document,
        hash=old.hash,
        meta_hash=old.meta_hash,
        commitment=old.commitment,
        effective_from=old.effective_from,
        effective_to=old.effective_to,
    )


def retained_until(effective_to: date | None, retention_days: int | None) -> date | None:
    """Return the last day an ended revision may be asked for; none if it is open or beyond the calendar."""
    if effective_to is None or retention_days is None or retention_days > (date.max - effective_to).days:
        return None
    return effective_to + timedelta(days=retention_days)


def _says_the_same(old: StoredRevision, draft: DocumentDraft) -> bool:
    return (
        not old.purged
        and old.hash == draft.revision_hash
        and old.meta_hash == draft.meta_hash
        and old.lineage.get("chunker") == CHUNKER_ID
        and old.lineage.get("analyser") == ANALYSER_ID
    )


def kept_from_new(row: NewRevision) -> Kept:
    """Return a revision just written as part of the new version."""
    return Kept(
        rev=row.rev,
        document=row.document,
        hash=row.hash,
        meta_hash=row.meta_hash,
        commitment=row.commitment,
        effective_from=row.effective_from,
        effective_to=row.effective_to,
    )


def _as_stored(one: Governed) -> StoredDocument:
    return StoredDocument(
        id=one.id,
        acl=one.acl,
        acl_source=one.acl_source,
        classification=one.classification,
        region=one.region,
        acl_confirmed_at=one.acl_confirmed_at,
        tombstone=None,
    )
