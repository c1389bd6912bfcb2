"""Counts documents of a corpus version: how many have a lineage, readers and a classification.

Fail mode: a taken-down document is not counted; a version without documents gives zeros, which say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName

_COUNT = text(
    "SELECT count(DISTINCT d.id),"
    " count(DISTINCT d.id) FILTER (WHERE r.lineage <> '{}'),"
    " count(DISTINCT d.id) FILTER (WHERE cardinality(d.acl) > 0),"
    " count(DISTINCT d.id) FILTER (WHERE d.classification <> '')"
    " FROM revision r JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND r.rev = ANY(:revs) AND d.tombstone IS NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCounts:
    """Documents of a version, and how many of them have what governance asks for."""

    documents: int
    with_lineage: int
    with_acl: int
    labelled: int


def count_documents(connection: Connection, corpus: CorpusName, revisions: BitMap) -> DocumentCounts:
    """Count the documents of these revisions."""
    row = connection.execute(_COUNT, {"corpus": corpus, "revs": list(revisions)}).one()
    return DocumentCounts(documents=row[0], with_lineage=row[1], with_acl=row[2], labelled=row[3])
