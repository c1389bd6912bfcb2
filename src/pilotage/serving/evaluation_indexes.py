"""Retrievers for suites: with an overlay, and over a corpus cut down to some revisions.

The chunks of a corpus version are read and analysed once for all cuts. Fail mode: the store's errors are raised; a
suite that cannot look has found nothing out.
"""

from __future__ import annotations

import asyncio

from pyroaring import BitMap
from sqlalchemy import Engine, text

from pilotage.evaluation.overlay import Overlay
from pilotage.release.assemble import CorpusPin
from pilotage.retrieval.build import IndexChunk, build_segment
from pilotage.retrieval.segment import Segment
from pilotage.serving.overlay_retriever import OverlayRetriever
from pilotage.serving.ports import Retriever
from pilotage.serving.retriever import RetrieverParts
from pilotage.store.index_rows import read_chunks

_VERSION = text("SELECT bitmap FROM corpus_version WHERE corpus = :corpus AND number = :version AND state = 'accepted'")


class SuiteRetrievers:
    """Makes retrievers over the indexes of this process."""

    def __init__(self, parts: RetrieverParts, engine: Engine) -> None:
        self._parts = parts
        self._engine = engine
        self._chunks: dict[tuple[str, int], tuple[IndexChunk, ...]] = {}
        self._reading = asyncio.Lock()

    async def __call__(self, overlay: Overlay, only: frozenset[int] | None, pin: CorpusPin) -> Retriever:
        """Return a retriever for one overlay and cut."""
        language = self._parts.workspace.corpora[pin.name].language
        restricted = None if only is None else await self._cut(pin, only, language)
        return OverlayRetriever(self._parts, overlay, language=language, restricted=restricted)

    async def _cut(self, pin: CorpusPin, only: frozenset[int], language: str) -> Segment:
        async with self._reading:
            found = self._chunks.get((pin.name, pin.version))
            if found is None:
                found = await asyncio.to_thread(self._read, pin, language)
                self._chunks[pin.name, pin.version] = found
        return await asyncio.to_thread(build_segment, [chunk for chunk in found if chunk.rev in only])

    def _read(self, pin: CorpusPin, language: str) -> tuple[IndexChunk, ...]:
        with self._engine.connect() as connection:
            bitmap = connection.scalar(_VERSION, {"corpus": pin.name, "version": pin.version})
            revs = [] if bitmap is None else list(BitMap.deserialize(bitmap))
            return tuple(read_chunks(connection, pin.name, revs, language=language))
