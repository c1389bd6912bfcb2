"""What the index is built from: one consistent read of a corpus's documents, revisions, versions and chunks.

The caller's transaction must be REPEATABLE READ, so that bitmaps and generation belong to one moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from sys import intern
from typing import Any, Final

import numpy as np
from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.corpus.analyser import analyse
from pilotage.corpus.settings import Classification
from pilotage.retrieval.allowed import DocumentRow, RevisionRow, Visibility, make_visibility
from pilotage.retrieval.build import IndexChunk
from pilotage.retrieval.standing import Standing, make_standing

_GENERATION: Final = text("SELECT generation FROM corpus WHERE name = :corpus")
_VERSIONS: Final = text("SELECT number, bitmap FROM corpus_version WHERE corpus = :corpus AND state = 'accepted'")
_DOCUMENTS: Final = text(
    "SELECT id, acl, classification, region, tombstone IS NULL AS live FROM document WHERE corpus = :corpus"
)
_REVISIONS: Final = text(
    "SELECT r.rev, r.document, r.effective_from, r.effective_to, r.retained_until FROM revision r"
    " WHERE r.corpus = :corpus AND r.rev = ANY(:revs)"
)
_CHUNKS: Final = text(
    "SELECT c.rev, c.ordinal, r.document, coalesce(r.effective_from::text, '') AS effective_from, t.heading, t.body"
    " FROM chunk c JOIN revision r USING (corpus, rev) JOIN chunk_text t USING (corpus, content_hash)"
    " WHERE c.corpus = :corpus AND c.rev = ANY(:revs) ORDER BY c.rev, c.ordinal"
)
_CHUNKS_WITH_VECTORS: Final = text(
    "SELECT c.rev, c.ordinal, r.document, coalesce(r.effective_from::text, '') AS effective_from, t.heading, t.body,"
    " nullif(e.vector, '') AS vector"
    " FROM chunk c JOIN revision r USING (corpus, rev) JOIN chunk_text t USING (corpus, content_hash)"
    " LEFT JOIN embedding e ON e.corpus = c.corpus AND e.model = :model AND e.content_hash = c.content_hash"
    " WHERE c.corpus = :corpus AND c.rev = ANY(:revs) ORDER BY c.rev, c.ordinal"
)
CONFIRMED: Final = """
SELECT d.acl_confirmed_at, array_agg(r.rev) FROM document d JOIN revision r ON r.corpus = d.corpus AND r.document = d.id
 WHERE d.corpus = {corpus} GROUP BY d.acl_confirmed_at
"""
_CONFIRMED: Final = text(CONFIRMED.format(corpus=":corpus"))
_CONFIRMATIONS: Final = text("SELECT confirmations FROM corpus WHERE name = :corpus")
_LIVE: Final = text(
    "SELECT r.rev FROM revision r JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND d.tombstone IS NULL AND r.salt IS NOT NULL"
)
_COUNT: Final = text("SELECT count(*) FROM chunk WHERE corpus = :corpus AND rev = ANY(:revs)")
_BATCH: Final = 2_000


def generation_of(connection: Connection, corpus: CorpusName) -> int | None:
    """Return the corpus's generation: it moves with every ACL, tombstone and version change. None: no such corpus."""
    found: int | None = connection.execute(_GENERATION, {"corpus": corpus}).scalar_one_or_none()
    return found


def accepted_versions(connection: Connection, corpus: CorpusName) -> dict[int, BitMap]:
    """Return the revisions of each accepted version."""
    rows = connection.execute(_VERSIONS, {"corpus": corpus})
    return {row.number: BitMap.deserialize(row.bitmap) for row in rows}


def live_revisions(connection: Connection, corpus: CorpusName) -> BitMap:
    """Return the revisions whose document was not taken down, and whose text was not purged."""
    return BitMap(connection.execute(_LIVE, {"corpus": corpus}).scalars())


def count_chunks_of(connection: Connection, corpus: CorpusName, revs: BitMap) -> int:
    """Return how many chunks these revisions have."""
    found: int = connection.execute(_COUNT, {"corpus": corpus, "revs": list(revs)}).scalar_one()
    return found


def read_visibility(
    connection: Connection, corpus: CorpusName, versions: dict[int, BitMap], *, acl_max_age: timedelta | None
) -> Visibility:
    """Return the bitmaps of this moment."""
    documents = [document_row(row) for row in connection.execute(_DOCUMENTS, {"corpus": corpus})]
    everything = BitMap.union(*versions.values()) if versions else BitMap()
    rows = connection.execute(_REVISIONS, {"corpus": corpus, "revs": list(everything)})
    return make_visibility(
        generation_of(connection, corpus) or 0,
        documents=documents,
        revisions=[
            RevisionRow(
                rev=row.rev,
                document=row.document,
                effective_from=_day(row.effective_from),
                effective_to=_day(row.effective_to),
                retained_until=_day(row.retained_until),
            )
            for row in rows
        ],
        versions=versions,
        standing=None if acl_max_age is None else _standing(connection, corpus, acl_max_age),
    )


def _standing(connection: Connection, corpus: CorpusName, max_age: timedelta) -> Standing:
    confirmations = connection.execute(_CONFIRMATIONS, {"corpus": corpus}).scalar_one_or_none()
    confirmed = bitmaps_by_moment(connection.execute(_CONFIRMED, {"corpus": corpus}))
    return make_standing(confirmations or 0, confirmed, max_age)


def bitmaps_by_moment(rows: Iterable[Sequence[Any]]) -> dict[datetime, BitMap]:
    """Return revisions by the moment their ACL was confirmed, from the rows of `CONFIRMED`."""
    return {moment: BitMap(revs) for moment, revs in rows}


def document_row(row: Sequence[Any]) -> DocumentRow:
    """Return the facts of (id, acl, classification, region, whether it is live)."""
    identifier, acl, classification, region, is_live = row
    return DocumentRow(
        id=identifier,
        acl=tuple(map(intern, acl)),
        classification=Classification(classification),
        region=intern(region),
        is_live=is_live,
    )


def _day(value: date | None) -> int | None:
    return None if value is None else value.toordinal()


def read_chunks(
    connection: Connection, corpus: CorpusName, revs: Sequence[int], *, language: str, model: Digest | None = None
) -> Iterator[IndexChunk]:
    """Yield the analysed chunks of these revisions, in order, with a model's vectors where it is named.

    Memory is bounded by one batch of revisions.
    """
    values = {"corpus": corpus} | ({} if model is None else {"model": model})
    for start in range(0, len(revs), _BATCH):
        batch = list(revs[start : start + _BATCH])
        for row in connection.execute(_CHUNKS if model is None else _CHUNKS_WITH_VECTORS, {**values, "revs": batch}):
            vector = None if model is None or row.vector is None else np.frombuffer(row.vector, "<f4")
            yield IndexChunk(
                rev=row.rev,
                ordinal=row.ordinal,
                document=row.document,
                effective_from=row.effective_from,
                tokens=analyse(f"{row.heading}\n{row.body}", language=language),
                vector=vector,
            )
