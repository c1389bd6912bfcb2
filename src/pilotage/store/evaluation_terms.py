"""The words of each document of a corpus version, for probes aimed at it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName
from pilotage.store.index_rows import read_chunks

_VERSION: Final = text(
    "SELECT bitmap FROM corpus_version WHERE corpus = :corpus AND number = :version AND state = 'accepted'"
)


def document_terms(
    connection: Connection, corpus: CorpusName, version: int, *, language: str
) -> dict[str, Counter[str]]:
    """Return the analyser terms of each document with their counts."""
    bitmap = connection.scalar(_VERSION, {"corpus": corpus, "version": version})
    revs = [] if bitmap is None else list(BitMap.deserialize(bitmap))
    found: dict[str, Counter[str]] = {}
    for chunk in read_chunks(connection, corpus, revs, language=language):
        found.setdefault(chunk.document, Counter()).update(chunk.tokens)
    return found
