"""The rows the permission oracle decides with: every document of one corpus version, as committed now."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName
from pilotage.evaluation.oracle import DocumentFacts, RevisionFacts, VersionFacts

_VERSION: Final = text(
    "SELECT v.bitmap, c.generation, c.confirmations FROM corpus_version v JOIN corpus c ON c.name = v.corpus"
    " WHERE v.corpus = :corpus AND v.number = :version AND v.state = 'accepted'"
)
_DOCUMENTS: Final = text(
    "SELECT r.rev, d.id, coalesce(nullif(r.title, ''), d.title) AS title, d.acl, d.tombstone IS NULL"
    " AND (CAST(:since AS timestamptz) IS NULL OR d.acl_confirmed_at >= :since) AS is_live,"
    " r.effective_from, r.effective_to, r.retained_until FROM revision r"
    " JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND r.rev = ANY(:revs) ORDER BY r.rev"
)
_COUNTS: Final = text("SELECT generation, confirmations FROM corpus WHERE name = :corpus")


def version_facts(
    connection: Connection, corpus: CorpusName, version: int, confirmed_since: datetime | None = None
) -> VersionFacts:
    """Return the documents of an accepted version; one that is not accepted holds none.

    A document whose ACL was confirmed before `confirmed_since` is not live; None: ACLs count whatever their age.
    """
    row = connection.execute(_VERSION, {"corpus": corpus, "version": version}).first()
    if row is None:
        return VersionFacts(corpus=corpus, version=version, generation=-1, documents={})
    revs = list(BitMap.deserialize(row.bitmap))
    documents: dict[str, DocumentFacts] = {}
    for found in connection.execute(_DOCUMENTS, {"corpus": corpus, "revs": revs, "since": confirmed_since}):
        before = documents.get(found.id)
        revision = RevisionFacts(
            rev=found.rev,
            effective_from=found.effective_from,
            effective_to=found.effective_to,
            retained_until=found.retained_until,
        )
        documents[found.id] = DocumentFacts(
            id=found.id,
            title=found.title,
            acl=frozenset(found.acl),
            is_live=found.is_live,
            revisions=(*(() if before is None else before.revisions), revision),
        )
    return VersionFacts(
        corpus=corpus,
        version=version,
        generation=row.generation,
        documents=documents,
        confirmations=row.confirmations,
    )


def counts_of(connection: Connection, corpus: CorpusName) -> tuple[int, int]:
    """Return the corpus's generation and confirmations as committed now, -1 and 0 without such a corpus."""
    found = connection.execute(_COUNTS, {"corpus": corpus}).first()
    return (-1, 0) if found is None else (found.generation, found.confirmations)
