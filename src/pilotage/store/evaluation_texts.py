"""The texts of a corpus version by document, for the leakage check of golden sets."""

from __future__ import annotations

from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName

_VERSION: Final = text(
    "SELECT bitmap FROM corpus_version WHERE corpus = :corpus AND number = :version AND state = 'accepted'"
)
_TEXTS: Final = text(
    "SELECT r.document, string_agg(t.heading || E'\\n' || t.body, E'\\n' ORDER BY c.rev, c.ordinal) AS body"
    " FROM chunk c JOIN revision r USING (corpus, rev) JOIN chunk_text t USING (corpus, content_hash)"
    " WHERE c.corpus = :corpus AND c.rev = ANY(:revs) GROUP BY r.document ORDER BY r.document"
)


def document_texts(connection: Connection, corpus: CorpusName, version: int) -> dict[str, str]:
    """Return the text of every document of an accepted version."""
    bitmap = connection.scalar(_VERSION, {"corpus": corpus, "version": version})
    revs = [] if bitmap is None else list(BitMap.deserialize(bitmap))
    return {row.document: row.body for row in connection.execute(_TEXTS, {"corpus": corpus, "revs": revs})}
