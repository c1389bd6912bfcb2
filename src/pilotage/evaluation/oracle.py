"""Who may read what, decided a second time and on purpose without cleverness (evaluation.md 4).

Rule: this shares no code with retrieval: plain loops over plain rows, one document at a time. Where both disagree, one
of them is wrong. Fail mode: an unknown document, or one without readers, is readable by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pilotage.core.digest import Digest, digest_of_json


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionFacts:
    """When one revision of a document holds; the days are [from, to), and not past its retention."""

    rev: int
    effective_from: date | None = None
    effective_to: date | None = None
    retained_until: date | None = None

    def is_in_force(self, day: date) -> bool:
        """Tell whether it holds on a day."""
        if self.effective_from is not None and day < self.effective_from:
            return False
        if self.effective_to is not None and day >= self.effective_to:
            return False
        return not (self.retained_until is not None and day > self.retained_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """What decides about one document of a corpus version. `acl` are names such as `group:lending`.

    `is_live`: it was not taken down, and its ACL was not past its age when this was read.
    """

    id: str
    title: str = ""
    acl: frozenset[str]
    is_live: bool = True
    revisions: tuple[RevisionFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """The documents of one corpus version as the store holds them at `generation`, after that many `confirmations`."""

    corpus: str
    version: int
    generation: int
    documents: Mapping[str, DocumentFacts]
    confirmations: int = 0

    def may_read(self, names: frozenset[str], document: str) -> bool:
        """Tell whether somebody with these ACL names may read the document at all."""
        found = self.documents.get(document)
        if found is None or not found.is_live:
            return False
        return any(name in names for name in found.acl)

    def is_in_force(self, document: str, day: date, *, rev: int | None = None) -> bool:
        """Tell whether the version holds a revision of the document (or this one) that is in force on a day."""
        found = self.documents.get(document)
        if found is None:
            return False
        return any(one.is_in_force(day) for one in found.revisions if rev is None or one.rev == rev)

    def readable(self, names: frozenset[str], day: date) -> frozenset[str]:
        """Return every document that these names may read on a day: A(u)."""
        return frozenset(one for one in self.documents if self.may_read(names, one) and self.is_in_force(one, day))

    def readable_revisions(self, names: frozenset[str], day: date) -> frozenset[int]:
        """Return the revisions of A(u) that are in force on a day."""
        return frozenset(
            one.rev
            for document in self.readable(names, day)
            for one in self.documents[document].revisions
            if one.is_in_force(day)
        )


def permission_digest(
    principal: str, region: str | None, readable: frozenset[str], facts: VersionFacts | None
) -> Digest:
    """Return the identity of an asker's permissions: equal ones, equal answers."""
    corpus = "" if facts is None else f"{facts.corpus}@{facts.version}"
    return digest_of_json({"who": principal, "region": region, "corpus": corpus, "readable": sorted(readable)})
