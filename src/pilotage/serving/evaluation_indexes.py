"""Retrievers for suites: with an overlay, and over a corpus cut down to some revisions.

The chunks of a corpus version are read and analysed once for all cuts. Rule: overlay and cut have vectors and cells as
the release's own index has, so that what is tested is what serves. Fail mode: errors of the store and of the embedding
model are raised; a suite that cannot look has found nothing out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pyroaring import BitMap
from sqlalchemy import Engine, text

from pilotage.evaluation.overlay import Overlay
from pilotage.release.assemble import CorpusPin
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.build import IndexChunk, build_segment, with_cells
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.settings import Vectors
from pilotage.serving.evaluation_target import Ground
from pilotage.serving.overlay_retriever import OverlayRetriever, overlay_chunks, overlay_text
from pilotage.serving.ports import Retriever
from pilotage.serving.retriever import RetrieverParts
from pilotage.store.embeddings import load_cells
from pilotage.store.index_rows import read_chunks

_VERSION = text("SELECT bitmap FROM corpus_version WHERE corpus = :corpus AND number = :version AND state = 'accepted'")


class SuiteRetrievers:
    """Makes retrievers over the indexes of this process."""

    def __init__(self, parts: RetrieverParts, engine: Engine) -> None:
        self._parts = parts
        self._engine = engine
        self._chunks: dict[tuple[CorpusPin, Vectors | None], tuple[IndexChunk, ...]] = {}
        self._reading = asyncio.Lock()

    async def __call__(self, overlay: Overlay, only: frozenset[int] | None, ground: Ground) -> Retriever:
        """Return a retriever for one overlay and cut."""
        language = self._parts.workspace.corpora[ground.pin.name].language
        laid = None
        if overlay.documents:
            texts = [overlay_text(one) for one in overlay.documents]
            chunks = overlay_chunks(overlay.documents, language, await _embedded(ground, texts))
            laid = await asyncio.to_thread(self._segment, chunks, ground.vectors)
        restricted = None if only is None else await self._cut(ground, only, language)
        return OverlayRetriever(self._parts, overlay, laid=laid, restricted=restricted)

    async def _cut(self, ground: Ground, only: frozenset[int], language: str) -> Segment:
        async with self._reading:
            found = self._chunks.get((ground.pin, ground.vectors))
            if found is None:
                found = await asyncio.to_thread(self._read, ground, language)
                self._chunks[ground.pin, ground.vectors] = found
        return await asyncio.to_thread(self._segment, (chunk for chunk in found if chunk.rev in only), ground.vectors)

    def _segment(self, chunks: Iterable[IndexChunk], vectors: Vectors | None) -> Segment:
        segment = build_segment(chunks, dimension=None if vectors is None else vectors.dimension)
        if vectors is None or vectors.cells is None:
            return segment
        with self._engine.connect() as connection:
            return with_cells(segment, load_cells(connection, vectors.cells))

    def _read(self, ground: Ground, language: str) -> tuple[IndexChunk, ...]:
        pin, model = ground.pin, None if ground.vectors is None else ground.vectors.key
        with self._engine.connect() as connection:
            bitmap = connection.scalar(_VERSION, {"corpus": pin.name, "version": pin.version})
            revs = [] if bitmap is None else list(BitMap.deserialize(bitmap))
            return tuple(read_chunks(connection, pin.name, revs, language=language, model=model))


async def _embedded(ground: Ground, texts: list[str]) -> list[F32] | None:
    if ground.embedder is None:
        return None
    found: list[F32] = []
    for start in range(0, len(texts), ground.batch):
        found += await ground.embedder.passages(texts[start : start + ground.batch])
    return found
