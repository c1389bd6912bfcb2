"""Counts documents of a corpus version: how many say where they came from, and who may read them.

Fail mode: a taken-down document is not counted; a version without documents gives zeros, which say nothing; a count
that does not end within the time of the connection's statements gives None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from psycopg.errors import QueryCanceled
from pyroaring import BitMap
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from pilotage.core.ids import CorpusName

T = TypeVar("T")
_COUNT = text(
    "SELECT count(DISTINCT d.id),"
    " count(DISTINCT d.id) FILTER (WHERE r.lineage ->> 'uri' <> ''),"
    " count(DISTINCT d.id) FILTER (WHERE cardinality(d.acl) > 0)"
    " FROM revision r JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND r.rev = ANY(:revs) AND d.tombstone IS NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCounts:
    """Documents of a version, and how many of them have the address they came from, and readers."""

    documents: int
    with_uri: int
    with_acl: int


def in_time(connection: Connection, read: Callable[[], T]) -> T | None:
    """Return what `read` finds through the connection, None when it took too long; the connection stays of use."""
    try:
        with connection.begin_nested():
            return read()
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        return None


def count_documents(connection: Connection, corpus: CorpusName, revisions: BitMap) -> DocumentCounts:
    """Count the documents of these revisions."""
    row = connection.execute(_COUNT, {"corpus": corpus, "revs": list(revisions)}).one()
    return DocumentCounts(documents=row[0], with_uri=row[1], with_acl=row[2])
