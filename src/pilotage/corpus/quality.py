"""The quality report of a refresh (corpus-and-ledger.md 1.5): what a steward must see before accepting a version.

Collected document by document, in bounded memory: counts and the first ids of each finding, never text. Fail mode: a
finding that exposes data (`confidential` or higher, readable by everyone) blocks acceptance and cannot be overridden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.corpus.acl import EVERYONE
from pilotage.corpus.dates import overlap
from pilotage.corpus.inspection import Inspect
from pilotage.corpus.near_duplicates import Signature, near_pairs, signature_of
from pilotage.corpus.records import DocumentDraft, Rejected
from pilotage.corpus.settings import Classification

MIN_TOKENS = 20
SHRUNK_BELOW = 0.5
MOST_IDS = 50
"""Ids listed per finding; the count is always complete."""


class FindingKind(StrEnum):
    """What the report can say about documents."""

    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    NEARLY_EMPTY = "nearly_empty"
    CONFLICTING_EFFECTIVE_DATES = "conflicting_effective_dates"
    STALE = "stale"
    NOBODY_READABLE = "nobody_readable"
    READABLE_BY_EVERYONE = "readable_by_everyone"
    SHRUNK = "shrunk"
    NEEDS_OCR = "needs_ocr"
    FAILED_PAGES = "failed_pages"
    HIDDEN_TEXT = "hidden_text"
    STRUCTURED_PII = "structured_pii"
    TRIPWIRE = "tripwire"
    CLASSIFICATION_NOT_LOWERED = "classification_not_lowered"


BLOCKING = frozenset({FindingKind.READABLE_BY_EVERYONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A document as the report reads it. `before_chars` is the length of its text in the parent version, if any."""

    draft: DocumentDraft
    text: str
    before_chars: int | None = None
    needs_ocr: tuple[int, ...] = ()
    failed_pages: tuple[int, ...] = ()
    hidden_elements: int = 0


@dataclass(slots=True)
class QualityCollector:
    """Gathers one refresh's findings; `report()` closes it. `stale_before` None: the corpus has no cadence."""

    inspect: Inspect
    stale_before: datetime | None
    documents: int = 0
    chunks: int = 0
    tokens: int = 0
    _counts: Counter[FindingKind] = field(default_factory=Counter)
    _ids: dict[FindingKind, list[str]] = field(default_factory=dict)
    _pii: Counter[str] = field(default_factory=Counter)
    _rejected: Counter[str] = field(default_factory=Counter)
    _by_hash: dict[str, str] = field(default_factory=dict)
    _by_title: dict[str, list[DocumentDraft]] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    _signatures: list[Signature] = field(default_factory=list)

    def add(self, seen: Seen) -> None:
        """Look at one document that enters the version."""
        draft = seen.draft
        tokens = sum(chunk.tokens for chunk in draft.chunks)
        self.documents += 1
        self.chunks += len(draft.chunks)
        self.tokens += tokens
        self._look_at_text(seen, tokens)
        self._look_at_readers(draft)
        self._look_at_dates(draft)
        inspected = self.inspect(seen.text)
        self._pii.update(inspected.pii)
        for kind, found in (
            (FindingKind.NEEDS_OCR, seen.needs_ocr),
            (FindingKind.FAILED_PAGES, seen.failed_pages),
            (FindingKind.HIDDEN_TEXT, seen.hidden_elements),
            (FindingKind.STRUCTURED_PII, inspected.pii),
            (FindingKind.TRIPWIRE, inspected.tripwires),
            (FindingKind.CLASSIFICATION_NOT_LOWERED, "classification_not_lowered" in draft.notes),
        ):
            if found:
                self.find(kind, draft.id)

    def find(self, kind: FindingKind, document: str) -> None:
        """Record a finding about a document."""
        self._counts[kind] += 1
        ids = self._ids.setdefault(kind, [])
        if len(ids) < MOST_IDS:
            ids.append(document)

    def reject(self, rejected: Rejected) -> None:
        """Count a rejection under its reason, without the part that differs from item to item."""
        self._rejected[rejected.reason.split(":", 1)[0][:80]] += 1

    def report(self) -> QualityReport:
        """Compare all documents with each other and return the report."""
        for first, second, _ in near_pairs(self._names, self._signatures):
            self.find(FindingKind.NEAR_DUPLICATE, f"{first} = {second}")
        return QualityReport(
            documents=self.documents,
            chunks=self.chunks,
            tokens=self.tokens,
            findings={kind: self._counts[kind] for kind in FindingKind if self._counts[kind]},
            ids={kind: tuple(self._ids[kind]) for kind in FindingKind if kind in self._ids},
            pii=dict(sorted(self._pii.items())),
            rejected=dict(sorted(self._rejected.items())),
        )

    def _look_at_text(self, seen: Seen, tokens: int) -> None:
        draft = seen.draft
        if tokens < MIN_TOKENS:
            self.find(FindingKind.NEARLY_EMPTY, draft.id)
        if seen.before_chars is not None and len(seen.text) < seen.before_chars * SHRUNK_BELOW:
            self.find(FindingKind.SHRUNK, draft.id)
        first = self._by_hash.setdefault(draft.revision_hash, draft.id)
        if first != draft.id:
            self.find(FindingKind.EXACT_DUPLICATE, f"{first} = {draft.id}")
            return
        signature = signature_of(seen.text)
        if signature is not None:
            self._names.append(draft.id)
            self._signatures.append(signature)

    def _look_at_readers(self, draft: DocumentDraft) -> None:
        if not draft.acl:
            self.find(FindingKind.NOBODY_READABLE, draft.id)
        elif EVERYONE in draft.acl and draft.classification.rank >= Classification.CONFIDENTIAL.rank:
            self.find(FindingKind.READABLE_BY_EVERYONE, draft.id)

    def _look_at_dates(self, draft: DocumentDraft) -> None:
        if self.stale_before is not None and draft.modified is not None and draft.modified < self.stale_before:
            self.find(FindingKind.STALE, draft.id)
        if not draft.title or (draft.effective_from is None and draft.effective_to is None):
            return
        span = (draft.effective_from, draft.effective_to)
        same_title = self._by_title.setdefault(draft.title, [])
        if any(
            other.revision_hash != draft.revision_hash
            and overlap((other.effective_from, other.effective_to), span)
            and other.id != draft.id
            for other in same_title
        ):
            self.find(FindingKind.CONFLICTING_EFFECTIVE_DATES, draft.id)
        if len(same_title) < MOST_IDS:
            same_title.append(draft)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """Counts, findings with their first ids, PII per type and rejections by reason."""

    documents: int
    chunks: int
    tokens: int
    findings: Mapping[FindingKind, int]
    ids: Mapping[FindingKind, tuple[str, ...]]
    pii: Mapping[str, int]
    rejected: Mapping[str, int]

    @property
    def blocking(self) -> tuple[Reason, ...]:
        """Return why the version may not be accepted, whoever asks."""
        return tuple(
            Reason(
                code=kind.value.upper(),
                text=f"{self.findings[kind]} documents are confidential or higher and readable by everyone; "
                "narrow their ACL or lower the corpus's classification, then refresh.",
                where=", ".join(self.ids[kind][:5]),
                observed=str(self.findings[kind]),
                limit="0",
            )
            for kind in FindingKind
            if kind in BLOCKING and kind in self.findings
        )

    def as_json(self) -> dict[str, Json]:
        """Return the evidence body: no text, no names of readers."""
        return {
            "v": 1,
            "kind": "data_quality",
            "documents": self.documents,
            "chunks": self.chunks,
            "tokens": self.tokens,
            "findings": {
                kind.value: {"count": count, "ids": list(self.ids.get(kind, ())), "blocking": kind in BLOCKING}
                for kind, count in self.findings.items()
            },
            "pii": dict(self.pii),
            "rejected": dict(self.rejected),
        }


def stale_limit(now: datetime, period: timedelta) -> datetime:
    """Return the moment before which an unmodified document is stale: two cadences ago."""
    return now - 2 * period
