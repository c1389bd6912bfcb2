"""The last transaction of a refresh: revisions become a version, permissions take effect, the ledger says so.

Before it nothing is visible; after it everything is. Same revisions as before: no new version, only the permissions.
Fail mode: what a takedown removed meanwhile is left out; a text that vanished ends the refresh with Conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pyroaring import BitMap
from sqlalchemy import Connection

from pilotage.control.corpus_entries import Deed, record_corpus
from pilotage.control.refresh_history import merge_history
from pilotage.control.refresh_permissions import apply_permissions
from pilotage.control.refresh_staging import Kept, Stager
from pilotage.control.refresh_tools import NewSalt
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import Conflict
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.corpus.diff import AclChange, Held, VersionDiff, diff_revisions
from pilotage.corpus.quality import QualityReport
from pilotage.corpus.records import Rejected
from pilotage.corpus.removal_guard import removal_guard
from pilotage.corpus.settings import CorpusSettings, History
from pilotage.corpus.version import Committed, VersionState, version_bytes, version_digest
from pilotage.ledger.entry import EntryKind
from pilotage.store.corpora import StoredVersion, bump_generation, insert_version, lock_corpus, newest_version
from pilotage.store.corpus_documents import (
    Blocked,
    blocked,
    count_chunks,
    count_textless,
    documents_of,
    missing_revisions,
    remove_revisions,
    revisions_of,
)
from pilotage.store.corpus_evidence import attach_quality_report

Blocks: TypeAlias = Callable[[str, Digest, Blocked], bool]
"""Tells whether a block list keeps a document id or a revision hash out."""

MOST_LISTED = 10_000
"""Ids per list in a version's summary; the diff of two versions is always complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the run gathered beside the revisions."""

    report: QualityReport
    rejected: tuple[Rejected, ...]
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What stands after the transaction. `version` is the new one, or the one that already says the same, or None."""

    version: StoredVersion | None
    is_new: bool
    diff: VersionDiff
    unchanged: int
    chunks: int
    review: tuple[Reason, ...]
    blocking: tuple[Reason, ...]


class Publisher:
    """One refresh's last transaction; the caller begins and commits it."""

    def __init__(self, connection: Connection, settings: CorpusSettings, stager: Stager, deed: Deed) -> None:
        self._connection = connection
        self._settings = settings
        self._stager = stager
        self._deed = deed

    def publish(self, findings: Findings, *, new_salt: NewSalt, blocks: Blocks) -> Published:
        """Make the version unless one says the same, apply permissions, write evidence and ledger entries."""
        number = lock_corpus(self._connection, self._settings.name)
        parent = newest_version(self._connection, self._settings.name, VersionState.ACCEPTED)
        before = BitMap() if parent is None else parent.revisions
        self._leave_out_taken_down(blocks)
        held = self._held(before, new_salt)
        bitmap = BitMap(one.rev for one in held)
        self._check_texts(bitmap & self._stager.staged)
        acl = apply_permissions(self._connection, self._settings, self._stager, self._deed)
        remove_revisions(self._connection, self._settings.name, self._stager.staged - bitmap)
        outcome = self._compare(held, bitmap, before, acl, findings.report)
        same = self._version_saying(bitmap, parent)
        if same is None and (parent is not None or bitmap):
            outcome = self._propose(outcome, held, findings, number=number, parent=parent)
        else:
            outcome = replace(outcome, version=same)
            self._confirm(outcome, findings)
        if outcome.version is not None:
            self._attach(outcome.version, findings)
        if outcome.is_new or acl:
            bump_generation(self._connection, self._settings.name)
        return outcome

    def _leave_out_taken_down(self, blocks: Blocks) -> None:
        """Look at the block list again: what was taken down while documents were read stays out, under any id."""
        now = blocked(self._connection, self._settings.name)
        for document, kept in list(self._stager.kept.items()):
            left = [one for one in kept if not blocks(document, one.hash, now)]
            if left:
                self._stager.kept[document] = left
            else:
                self._stager.forget(document)
        if self._settings.derived_from is not None:
            names = sorted(self._stager.kept)
            originals = documents_of(self._connection, self._settings.derived_from, names)
            for document in names:
                original = originals.get(document)
                if original is None or original.tombstone is not None:
                    self._stager.forget(document)
                else:  # readers it lost while the copy was made
                    copy = self._stager.governed[document]
                    shared = tuple(name for name in copy.acl if name in original.acl)
                    self._stager.governed[document] = replace(copy, acl=shared)

    def _held(self, before: BitMap, new_salt: NewSalt) -> list[Kept]:
        if self._settings.history is History.DATED:
            return merge_history(self._connection, self._settings, self._stager, parent=before, new_salt=new_salt)
        return [one for kept in self._stager.kept.values() for one in kept]

    def _check_texts(self, staged: BitMap) -> None:
        name = self._settings.name
        lost = missing_revisions(self._connection, name, staged)
        if lost:
            message = f"{len(lost)} revisions of {name} were removed by another refresh that began meanwhile."
            raise Conflict("CORPUS_MOVED", message, hint="Nothing was changed; refresh again.")
        missing = count_textless(self._connection, name, staged) if staged else 0
        if missing:
            message = f"{missing} passages of {self._settings.name} lost their text to a takedown during the refresh."
            raise Conflict("CORPUS_MOVED", message, hint="Nothing was changed; refresh again.")

    def _compare(
        self, held: Sequence[Kept], bitmap: BitMap, before: BitMap, acl: dict[str, AclChange], report: QualityReport
    ) -> Published:
        gone = [
            Held(document=old.document, hash=old.hash, meta_hash=old.meta_hash)
            for old in revisions_of(self._connection, self._settings.name, before - bitmap)
        ]
        came = [
            Held(document=one.document, hash=one.hash, meta_hash=one.meta_hash) for one in held if one.rev not in before
        ]
        staying = {one.document for one in held if one.rev in before}
        diff = replace(diff_revisions(gone, came, staying=staying), acl=acl)
        before_documents = staying | {old.document for old in gone}
        # Under `history: dated` what a listing no longer holds is not removed but ended: it vanishes all the same.
        ended = {old.document for old in gone} - self._stager.kept.keys()
        guard = removal_guard(before=len(before_documents), removed=len(ended | set(diff.removed)))
        return Published(
            version=None,
            is_new=False,
            diff=diff,
            unchanged=len({one.document for one in held}) - len(diff.added) - len(diff.changed) - len(diff.metadata),
            chunks=count_chunks(self._connection, self._settings.name, bitmap) if bitmap else 0,
            review=() if guard is None else (guard,),
            blocking=report.blocking,
        )

    def _version_saying(self, bitmap: BitMap, parent: StoredVersion | None) -> StoredVersion | None:
        states = (VersionState.ACCEPTED, VersionState.PROPOSED)
        newest = newest_version(self._connection, self._settings.name, *states)
        return next((one for one in (newest, parent) if one is not None and one.revisions == bitmap), None)

    def _propose(
        self,
        outcome: Published,
        held: Sequence[Kept],
        findings: Findings,
        *,
        number: int,
        parent: StoredVersion | None,
    ) -> Published:
        name = self._settings.name
        commitments = version_bytes(
            name,
            number,
            (
                Committed(document=one.document, effective_from=one.effective_from, commitment=one.commitment)
                for one in held
            ),
        )
        version = StoredVersion(
            corpus=name,
            number=number,
            state=VersionState.PROPOSED,
            parent=None if parent is None else parent.number,
            bitmap=portable(BitMap(one.rev for one in held)),
            digest=version_digest(commitments),
            commitments=commitments,
            summary=_summary(outcome, findings),
            created_by=findings.created_by,
            created_at=self._deed.at,
            decided_by=None,
            decided_at=None,
            decision_note=None,
        )
        insert_version(self._connection, version)
        record_corpus(
            self._connection,
            EntryKind.CORPUS_VERSION_PROPOSED,
            self._deed,
            subject=f"{name}@{number}",
            data={"digest": version.digest, "parent": version.parent, **_counts(outcome, findings)},
        )
        return replace(outcome, version=version, is_new=True)

    def _confirm(self, outcome: Published, findings: Findings) -> None:
        number = None if outcome.version is None else outcome.version.number
        record_corpus(
            self._connection,
            EntryKind.CORPUS_CONFIRMED_UNCHANGED,
            self._deed,
            subject=self._settings.name,
            data={"version": number, **_counts(outcome, findings)},
        )

    def _attach(self, version: StoredVersion, findings: Findings) -> None:
        body = canonical_bytes(findings.report.as_json())
        evidence = new_ulid(self._deed.at)
        subject = f"{version.corpus}@{version.number}"
        claims: dict[str, Json] = {"findings": {kind.value: n for kind, n in findings.report.findings.items()}}
        attach_quality_report(
            self._connection, body, evidence=evidence, subject=subject, claims=claims, at=self._deed.at
        )
        record_corpus(
            self._connection,
            EntryKind.EVIDENCE_ATTACHED,
            self._deed,
            subject=evidence,
            data={"kind": "data_quality", "about": subject, "sha256": digest_of(body)},
        )


def portable(revisions: BitMap) -> bytes:
    """Return the portable Roaring form, run-compressed: what a version stores."""
    compact = BitMap(revisions)
    compact.run_optimize()
    return compact.serialize()


def _counts(outcome: Published, findings: Findings) -> dict[str, Json]:
    return {
        "added": len(outcome.diff.added),
        "changed": len(outcome.diff.changed),
        "removed": len(outcome.diff.removed),
        "metadata": len(outcome.diff.metadata),
        "unchanged": outcome.unchanged,
        "chunks": outcome.chunks,
        "rejected": len(findings.rejected),
    }


def _summary(outcome: Published, findings: Findings) -> dict[str, Json]:
    diff = outcome.diff
    return {
        "counts": _counts(outcome, findings),
        "added": list(diff.added[:MOST_LISTED]),
        "changed": list(diff.changed[:MOST_LISTED]),
        "removed": list(diff.removed[:MOST_LISTED]),
        "metadata": list(diff.metadata[:MOST_LISTED]),
        "acl": sorted(diff.acl)[:MOST_LISTED],
        "rejected": [one.as_json() for one in findings.rejected[:MOST_LISTED]],
        "quality": findings.report.as_json(),
        "needs_review": [reason.as_json() for reason in outcome.review],
        "blocking": [reason.as_json() for reason in outcome.blocking],
    }
