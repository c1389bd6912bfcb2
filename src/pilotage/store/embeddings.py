"""Vectors of chunks, kept once per content and model, and the cells trained on them.

A kept vector is `dimension` float32 numbers, little-endian, of length 1; an empty one says that the model gave this
content no direction, so it is found by its words alone. Rule: nothing is kept of a document that was taken down, also
when that happens while its vectors are on their way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from pyroaring import BitMap
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import CorpusName
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.quantiser import Quantiser
from pilotage.store.releases import get_blob, put_blobs
from pilotage.store.tables.corpora import embedding, vector_cells

_BATCH: Final = 2_000
_OF: Final = "c.corpus = :corpus AND c.rev = ANY(:revs)"
_LACKS: Final = (
    "NOT EXISTS (SELECT FROM embedding e WHERE e.corpus = c.corpus AND e.model = :model"
    " AND e.content_hash = c.content_hash)"
)
_COUNT_MISSING: Final = text(f"SELECT count(DISTINCT c.content_hash) FROM chunk c WHERE {_OF} AND {_LACKS}")  # noqa: S608
_MISSING: Final = text(
    "SELECT DISTINCT ON (c.content_hash) c.content_hash, t.heading, t.body FROM chunk c"  # noqa: S608 - constants
    f" JOIN chunk_text t USING (corpus, content_hash) WHERE {_OF} AND {_LACKS} ORDER BY c.content_hash"
)
# A document that is being taken down waits for us, or we for it: its tombstone comes before its purge.
_LIVE: Final = text(
    "SELECT c.content_hash FROM chunk c JOIN revision r USING (corpus, rev)"
    " JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE c.corpus = :corpus AND c.content_hash = ANY(:hashes) AND d.tombstone IS NULL FOR SHARE OF d"
)
_HELD: Final = text(
    "SELECT count(*) FROM chunk c JOIN embedding e ON e.corpus = c.corpus AND e.content_hash = c.content_hash"  # noqa: S608
    f" AND e.model = :model WHERE {_OF} AND e.vector <> ''"
)
_REJECTED: Final = text(
    "SELECT r.document, c.ordinal FROM chunk c JOIN revision r USING (corpus, rev)"  # noqa: S608 - constants
    " JOIN embedding e ON e.corpus = c.corpus AND e.content_hash = c.content_hash AND e.model = :model"
    f" WHERE {_OF} AND e.vector = '' ORDER BY r.document, c.rev, c.ordinal"
)
_PUBLIC: Final = text(
    "SELECT DISTINCT c.content_hash FROM chunk c JOIN revision r USING (corpus, rev)"  # noqa: S608 - constants
    " JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " JOIN embedding e ON e.corpus = c.corpus AND e.content_hash = c.content_hash AND e.model = :model"
    f" WHERE {_OF} AND e.vector <> '' AND d.tombstone IS NULL AND 'group:everyone' = ANY(d.acl) ORDER BY c.content_hash"
)
_VECTORS: Final = text(
    "SELECT content_hash, vector FROM embedding"
    " WHERE corpus = :corpus AND model = :model AND content_hash = ANY(:hashes)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A content without a vector."""

    content_hash: str
    heading: str
    body: str


def count_missing(connection: Connection, corpus: CorpusName, model: Digest, revs: BitMap) -> int:
    """Return how many contents of these revisions the model has not seen."""
    values = {"corpus": corpus, "model": model, "revs": list(revs)}
    found: int = connection.execute(_COUNT_MISSING, values).scalar_one()
    return found


def missing(connection: Connection, corpus: CorpusName, model: Digest, revs: Sequence[int]) -> tuple[Bare, ...]:
    """Return the contents of these revisions that the model has not seen."""
    rows = connection.execute(_MISSING, {"corpus": corpus, "model": model, "revs": list(revs)})
    return tuple(Bare(content_hash=row.content_hash, heading=row.heading, body=row.body) for row in rows)


def keep_vectors(connection: Connection, corpus: CorpusName, model: Digest, vectors: Mapping[str, F32 | None]) -> None:
    """Keep unit vectors by content hash, None for a content without a direction; what is there stays."""
    live = set(connection.execute(_LIVE, {"corpus": corpus, "hashes": list(vectors)}).scalars())
    rows = [
        {
            "corpus": corpus,
            "model": model,
            "content_hash": name,
            "vector": b"" if vector is None else vector.astype("<f4").tobytes(),
        }
        for name, vector in vectors.items()
        if name in live
    ]
    if rows:
        connection.execute(insert(embedding).values(rows).on_conflict_do_nothing())


def count_held(connection: Connection, corpus: CorpusName, model: Digest, revs: BitMap) -> int:
    """Return how many chunks of these revisions have a vector."""
    found: int = connection.execute(_HELD, {"corpus": corpus, "model": model, "revs": list(revs)}).scalar_one()
    return found


def rejected(connection: Connection, corpus: CorpusName, model: Digest, revs: BitMap) -> tuple[tuple[str, int], ...]:
    """Return document and ordinal of the chunks that the model gave no direction."""
    rows = connection.execute(_REJECTED, {"corpus": corpus, "model": model, "revs": list(revs)})
    return tuple((row.document, row.ordinal) for row in rows)


def public_contents(connection: Connection, corpus: CorpusName, model: Digest, revs: BitMap) -> tuple[str, ...]:
    """Return the contents with a vector that everybody may read, by hash: in an order that hides what is hidden."""
    return tuple(connection.execute(_PUBLIC, {"corpus": corpus, "model": model, "revs": list(revs)}).scalars())


def read_vectors(
    connection: Connection, corpus: CorpusName, model: Digest, hashes: Sequence[str], *, dimension: int
) -> F32:
    """Return the vectors (n, dimension) of these contents."""
    found = np.zeros((len(hashes), dimension), np.float32)
    for start in range(0, len(hashes), _BATCH):
        batch = hashes[start : start + _BATCH]
        rows = connection.execute(_VECTORS, {"corpus": corpus, "model": model, "hashes": list(batch)})
        places = {name: start + place for place, name in enumerate(batch)}
        for row in rows:
            found[places[row.content_hash]] = np.frombuffer(row.vector, "<f4")
    return found


def newest_cells(connection: Connection, corpus: CorpusName, model: Digest) -> tuple[Digest, int] | None:
    """Return the cells trained last for these vectors, and on how many public chunks."""
    query = select(vector_cells.c.digest, vector_cells.c.public).where(
        vector_cells.c.corpus == corpus, vector_cells.c.model == model
    )
    row = connection.execute(query.order_by(vector_cells.c.at.desc(), vector_cells.c.digest).limit(1)).first()
    return None if row is None else (Digest(row.digest), row.public)


def keep_cells(
    connection: Connection, corpus: CorpusName, model: Digest, cells: Quantiser, *, public: int, at: datetime
) -> None:
    """Keep cells and their bytes; the same ones again are the newest again."""
    put_blobs(connection, {_bare(cells.digest): cells.to_bytes()}, media="application/octet-stream")
    values = {"corpus": corpus, "model": model, "digest": cells.digest, "public": public, "at": at}
    kept = insert(vector_cells).values(values)
    again = {"public": kept.excluded.public, "at": kept.excluded.at}
    connection.execute(kept.on_conflict_do_update(index_elements=["corpus", "model", "digest"], set_=again))


def load_cells(connection: Connection, digest: Digest) -> Quantiser:
    """Return stored cells; raise IntegrityError when they are gone, altered, or something else."""
    try:
        return Quantiser.from_bytes(get_blob(connection, _bare(digest)))
    except ValueError as error:
        message = f"{digest} is stored and holds no cells."
        raise IntegrityError("CELLS_ALTERED", message, hint="Restore a backup.") from error


def _bare(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
