"""The real retriever: one permission decision, ranking inside it, and text through the last wall.

Rule: the allowed set is decided before ranking; text is read by the statement that joins the current ACL, which counts
at the same moment. Limits of an ACL's age are the workspace's, as this process read it. With `recheck` the source is
asked too about every passage, before the prompt and before the answer. Fail mode: a ranked chunk that the wall does not
return is a refusal; when nothing had moved it is a defect, and an incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from psycopg_pool import AsyncConnectionPool

from pilotage.core.clock import Clock
from pilotage.core.ids import CorpusName
from pilotage.corpus.acl import ACL_STALE
from pilotage.corpus.analyser import analyse
from pilotage.corpus.settings import CorpusSettings
from pilotage.corpus.settings import Recheck as AskedAgain
from pilotage.guard.redact import without_tokens
from pilotage.release.assemble import CorpusPin
from pilotage.release.generation import Passage
from pilotage.retrieval.allowed import Asking
from pilotage.retrieval.search import Query, Ranking, rank
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import EXACT_CHUNKS
from pilotage.serving.context import Asker, ByVectors, Embedded, Found, Guarded, Retrieval
from pilotage.serving.indexes import Indexes
from pilotage.serving.ports import Breach, Recheck, Seen
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.source_access import SourceAccess
from pilotage.store.passages import Place, Reader, StoredPassage, fetch_passages
from pilotage.workspace.records import Workspace

_NOT_READY = Refusal(
    code=Code.INDEX_NOT_READY, message="The documents of this release are being loaded. Try again.", retry_after_s=5
)
_STALE = Refusal(code=Code.ACL_STALE, message=ACL_STALE, retry_after_s=60)
_MOVED = Refusal(code=Code.PERMISSION_CHANGED, message="Permissions changed meanwhile. Ask again.", retry_after_s=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverParts:
    """What a retriever is put together from. `access` None: no source has a say of its own, so `recheck` denies all."""

    workspace: Workspace
    indexes: Indexes
    pool: AsyncConnectionPool
    clock: Clock
    access: SourceAccess | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """What the index says, before any text was read."""

    snapshot: Snapshot
    view: View
    ranking: Ranking


class StoreRetriever:
    """`serving.ports.Retriever` over the in-memory indexes and the store."""

    def __init__(self, parts: RetrieverParts) -> None:
        self._workspace = parts.workspace
        self._indexes = parts.indexes
        self._pool = parts.pool
        self._clock = parts.clock
        self._access = parts.access
        self._zone = ZoneInfo(parts.workspace.timezone)

    async def retrieve(self, context: Embedded) -> Retrieval | Refusal | Breach:
        """Return the passages the asker may see now."""
        pin = context.release.content.corpora.get(context.place.space.data_stage)
        settings = None if pin is None else self._workspace.corpora.get(pin.name)
        if pin is None or settings is None or not self._indexes.is_ready(pin.name, pin.version, _vectors(context)):
            return _NOT_READY
        now = self._clock.now()
        ranked = self._rank(context, pin, settings, now)
        if isinstance(ranked, Refusal):
            return ranked
        found = await self._read(context, pin, ranked, now)
        if isinstance(found, Refusal | Breach):
            return found
        denied = await self._denied(context.asker, pin.name, [item.passage.document for item in found])
        found = tuple(item for item in found if item.passage.document not in denied)
        return Retrieval(
            corpus=pin.name,
            corpus_version=pin.version,
            as_of=self._day(context),
            found=found,
            idf=ranked.ranking.idf,
            acl_generation=ranked.snapshot.visibility.generation,
            allowed_count=ranked.view.chunks,
            allowed_fingerprint=ranked.view.allowed.fingerprint,
            allowed_until=ranked.view.allowed.until,
            vectors=_by_vectors(context, ranked),
        )

    def seen(self, context: Guarded) -> Seen | None:
        """Return what the asker may see by the index as it is; None while it is not loaded, or where all is stale."""
        pin = context.release.content.corpora.get(context.place.space.data_stage)
        snapshot = None if pin is None else self._snapshot(pin, _vectors(context))
        if pin is None or snapshot is None:
            return None
        allowed = snapshot.view(self._asking(context, pin, self._clock.now())).allowed
        if allowed.is_stale:
            return None
        return Seen(
            as_of=self._day(context),
            acl_generation=snapshot.visibility.generation,
            allowed_fingerprint=allowed.fingerprint,
        )

    def _rank(self, context: Embedded, pin: CorpusPin, settings: CorpusSettings, now: datetime) -> _Ranked | Refusal:
        vectors = _vectors(context)
        snapshot = self._snapshot(pin, vectors)
        if snapshot is None:
            return _NOT_READY
        rules = context.release.content.retrieval
        view = snapshot.view(self._asking(context, pin, now))
        if view.allowed.is_stale:
            return _STALE
        terms = tuple(analyse(without_tokens(context.question.text), language=settings.language))
        query = Query(
            terms=terms,
            vector=context.vector,
            rrf_k=rules.rrf_k,
            candidates=rules.candidates,
            cells=None if vectors is None else vectors.cells,
        )
        return _Ranked(snapshot=snapshot, view=view, ranking=rank(snapshot, view, query, rules.top_k))

    def _asking(self, context: Guarded, pin: CorpusPin, now: datetime) -> Asking:
        asker = context.asker
        day = self._day(context)
        return Asking(names=asker.acl_names, version=pin.version, day=day, at=now, also=asker.also_visible_to)

    def _day(self, context: Guarded) -> date:
        return context.asked.as_of or context.at.astimezone(self._zone).date()

    def _snapshot(self, pin: CorpusPin, vectors: Vectors | None) -> Snapshot | None:
        return self._indexes.snapshot(pin.name, vectors)

    async def _fetch(
        self, corpus: CorpusName, places: Sequence[Place], reader: Reader
    ) -> tuple[dict[Place, StoredPassage], int | None]:
        """Return the texts that the store shows to the reader now, and the corpus's generation."""
        async with self._pool.connection() as connection:
            return await fetch_passages(connection, corpus, places, reader)

    async def _read(
        self, context: Guarded, pin: CorpusPin, ranked: _Ranked, now: datetime
    ) -> tuple[Found, ...] | Refusal | Breach:
        places = [(hit.rev, hit.ordinal) for hit in ranked.ranking.hits]
        if not places:
            return ()
        reader = self._reader(context.asker, pin.name, pin.version, now)
        texts, generation = await self._fetch(pin.name, places, reader)
        lost = sum(place not in texts for place in places)
        if lost:
            self._indexes.wake()
            has_moved = generation != ranked.snapshot.visibility.generation
            return _MOVED if has_moved else Breach(lost=lost)
        return tuple(
            Found(
                passage=_passage(texts[(hit.rev, hit.ordinal)], hit.rank),
                corpus=pin.name,
                rank=hit.rank,
                score=hit.score,
            )
            for hit in ranked.ranking.hits
        )

    async def still_allowed(self, context: Guarded, retrieval: Retrieval) -> Recheck:
        """Read the store again and name the passages that the asker may no longer see."""
        corpus = CorpusName(retrieval.corpus or "")
        places = [(item.passage.rev, item.passage.ordinal) for item in retrieval.found]
        now = self._clock.now()
        reader = self._reader(context.asker, corpus, retrieval.corpus_version, now)
        texts, generation = await self._fetch(corpus, places, reader)
        lost = tuple(
            item.passage.marker for item in retrieval.found if (item.passage.rev, item.passage.ordinal) not in texts
        )
        if lost:
            self._indexes.wake()
        has_aged = retrieval.allowed_until is not None and now > retrieval.allowed_until
        denied = await self._denied(context.asker, corpus, [item.passage.document for item in retrieval.found])
        lost += tuple(
            item.passage.marker
            for item in retrieval.found
            if item.passage.document in denied and item.passage.marker not in lost
        )
        return Recheck(lost=lost, has_moved=has_aged or bool(denied) or generation != retrieval.acl_generation)

    async def _denied(self, asker: Asker, corpus: CorpusName, documents: Sequence[str]) -> frozenset[str]:
        """Return the documents that their source keeps from the asker; of a corpus that asks none, none."""
        settings = self._workspace.corpora.get(corpus)
        if settings is None or settings.recheck is AskedAgain.OFF:
            return frozenset()
        if self._access is None:
            return frozenset(documents)
        return await self._access.denied(asker.principal.id, asker.acl_names, corpus, documents)

    async def may_see(self, asker: Asker, refs: Sequence[tuple[str, int, int]]) -> bool:
        """Tell whether the asker may see every (corpus, rev, ordinal) now."""
        for corpus in sorted({CorpusName(corpus) for corpus, _, _ in refs}):
            places = [(rev, ordinal) for name, rev, ordinal in refs if name == corpus]
            texts, _ = await self._fetch(corpus, places, self._reader(asker, corpus, None, self._clock.now()))
            if any(place not in texts for place in places):
                return False
            if await self._denied(asker, corpus, [texts[place].document for place in places]):
                return False
        return True

    def _reader(self, asker: Asker, corpus: CorpusName, version: int | None, now: datetime) -> Reader:
        return Reader(
            names=asker.acl_names,
            confirmed_since=self._workspace.acls_confirmed_since(corpus, now),
            also=asker.also_visible_to,
            version=version,
        )


def _vectors(context: Guarded) -> Vectors | None:
    """Return which vectors the index that the release searches holds."""
    return context.release.content.retrieval.vectors_of(context.place.space.data_stage)


def _by_vectors(context: Embedded, ranked: _Ranked) -> ByVectors | None:
    """Return how vectors took part; where nobody sees a chunk that has one, they still were asked."""
    settings, vectors = context.release.content.retrieval.embedding, _vectors(context)
    if settings is None or vectors is None or context.vector is None:
        return None
    is_cut = vectors.cells is not None and ranked.view.chunks > EXACT_CHUNKS
    return ByVectors(
        model=settings.model,
        key=vectors.key,
        cells=vectors.cells if is_cut else None,
        embedded_us=context.embedded_us,
    )


def _passage(stored: StoredPassage, marker: int) -> Passage:
    return Passage(
        marker=marker,
        document=stored.document,
        title=stored.title,
        section=stored.section,
        ordinal=stored.ordinal,
        rev=stored.rev,
        text=stored.text,
        heading=stored.heading,
        uri=stored.uri,
        effective_from=stored.effective_from,
    )
