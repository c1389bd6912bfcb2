"""How fast one process applies a revocation after its notification arrived: the real keeper over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from pyroaring import BitMap
from retrieval_data import Corpus
from sqlalchemy import Engine, text

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName, PersonId
from pilotage.corpus.settings import Classification, CorpusSettings, Source, SourceKind
from pilotage.corpus.version import VersionState
from pilotage.retrieval.snapshot import Snapshot
from pilotage.serving.indexes import Indexes
from pilotage.store.corpora import StoredVersion, bump_generation, ensure_corpus, insert_version
from pilotage.store.corpus_documents import Governed, add_documents, govern_documents
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.index_build import IndexFolder
from pilotage.store.migrate import migrate

NAME = CorpusName("bench")
REVOCATIONS = 40
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def revocation_ms(folder: Path, corpus: Corpus, snapshot: Snapshot) -> float:
    """Return the median time from a heard notification to the swapped bitmaps, while a question loop would go on."""
    with EmbeddedServer(folder / "live") as server:
        engine = make_engine(server.url)
        migrate(engine)
        _fill(engine, corpus)
        try:
            return asyncio.run(_measure(engine, folder, corpus, snapshot))
        finally:
            engine.dispose()


async def _measure(engine: Engine, folder: Path, corpus: Corpus, snapshot: Snapshot) -> float:
    settings = CorpusSettings(
        name=NAME,
        source=Source(kind=SourceKind.FOLDER, path="documents"),
        owner=PersonId("owner"),
        steward=PersonId("steward"),
        classification=Classification.INTERNAL,
        region="us",
    )
    indexes = Indexes(engine, {NAME: settings}, IndexFolder(root=folder / "indexes"), opened={NAME: snapshot})
    times = []
    for number in range(REVOCATIONS):
        document, readers = f"d{number:07d}", corpus.readers[number]
        generation = await asyncio.to_thread(_revoke, engine, document, readers[1:])
        start = time.perf_counter()
        indexes.hear(f"{NAME}:{generation}")
        await indexes.catch_up()
        times.append((time.perf_counter() - start) * 1e3)
        current = indexes.snapshot(NAME)
        assert current is not None
        assert current.visibility.generation == generation
        assert number not in current.visibility.principals.get(readers[0], BitMap())
    indexes.close()
    return statistics.median(times)


def _fill(engine: Engine, corpus: Corpus) -> None:
    """Store what decides: every document with its readers, and one accepted version of them all."""
    with engine.begin() as connection:
        ensure_corpus(connection, NAME)
        documents = (_governed(f"d{number:07d}", readers) for number, readers in enumerate(corpus.readers))
        add_documents(connection, NAME, documents)
        insert_version(
            connection,
            StoredVersion(
                corpus=NAME,
                number=1,
                state=VersionState.ACCEPTED,
                parent=None,
                bitmap=BitMap(range(len(corpus.readers))).serialize(),
                digest=digest_of(b""),
                commitments=b"",
                summary={},
                created_by="bench",
                created_at=AT,
                decided_by=None,
                decided_at=None,
                decision_note=None,
            ),
        )
        bump_generation(connection, NAME)
        connection.execute(text("ANALYZE"))  # as autovacuum does after a refresh


def _governed(document: str, readers: tuple[str, ...]) -> Governed:
    return Governed(
        id=document,
        title="",
        uri=None,
        acl=readers,
        acl_source="",
        classification="internal",
        region="us",
        acl_confirmed_at=AT,
    )


def _revoke(engine: Engine, document: str, readers: tuple[str, ...]) -> int:
    with engine.begin() as connection:
        govern_documents(connection, NAME, [_governed(document, readers)])
        return bump_generation(connection, NAME)
