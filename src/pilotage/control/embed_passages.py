"""The vectors of the corpus versions that a release is sealed on, and the cells they are cut into.

Rule: each content is embedded once per model and kept at once, so that a sealing that broke off goes on where it stood;
cells are trained on chunks that everybody may read. Fail mode: Unavailable when the model does not answer; a model
that gives no content a direction of the declared dimension is a Refusal, and nothing it said is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyroaring import BitMap

from pilotage.adapters.embeddings.registry import build_embedder
from pilotage.control.instance import Instance
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.embedder import Embedder
from pilotage.retrieval.quantiser import cells_for, sample_of, trained_on
from pilotage.retrieval.settings import Embedding, VectorMode
from pilotage.store.corpora import StoredVersion
from pilotage.store.embeddings import (
    Bare,
    count_held,
    count_missing,
    keep_cells,
    keep_vectors,
    missing,
    newest_cells,
    public_contents,
    read_vectors,
    rejected,
)
from pilotage.store.index_rows import live_revisions
from pilotage.workspace.workflow import Workflow

Progress = Callable[[str, int, int], None]
"""Told the corpus, how many of its contents are embedded, and how many there were to embed."""

_REVISIONS: Final = 2_000
_AT_ONCE: Final = 4
_NAMED: Final = 20
_MOVED: Final = 2
"""Cells are trained anew once the public chunks are twice, or half, as many as they were trained on."""


def _silent(_corpus: str, _done: int, _total: int) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTools:
    """What embedding is done with; `embedder` None: the model that the workflow declares."""

    embedder: Embedder | None = None
    progress: Progress = _silent


def embed_passages(
    instance: Instance, workflow: Workflow, versions: Mapping[DataStage, StoredVersion], tools: EmbedTools
) -> tuple[Reason, ...] | Refusal:
    """Compute what is missing for these versions, cells included; return what people should know of it."""
    settings = workflow.retrieval.embedding
    if settings is None:
        return ()
    notes: list[Reason] = []
    for stage, version in versions.items():
        with instance.engine.connect() as connection:
            revs = version.revisions & live_revisions(connection, version.corpus)
        pending = _Pending(instance=instance, settings=settings, version=version, revs=revs, tools=tools)
        refusal = _embed(pending, workflow)
        if refusal is not None:
            return refusal
        notes += pending.notes()
        if workflow.retrieval.vectors is VectorMode.APPROXIMATE and stage not in workflow.retrieval.cells:
            pending.train()
    return tuple(notes)


def _embed(pending: _Pending, workflow: Workflow) -> Refusal | None:
    total = pending.count()
    if not total:
        return None
    given = pending.tools.embedder
    embedder = given or build_embedder(pending.settings, root=pending.instance.root, egress=workflow.guard.egress)

    async def run() -> Refusal | None:
        try:
            return await pending.embed(embedder, total)
        finally:
            if given is None:
                await embedder.close()

    return asyncio.run(run())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """One corpus version whose contents are to be embedded. `revs` are its revisions that nobody took down."""

    instance: Instance
    settings: Embedding
    version: StoredVersion
    revs: BitMap
    tools: EmbedTools

    def count(self) -> int:
        """Return how many contents have no vector yet."""
        with self.instance.engine.connect() as connection:
            return count_missing(connection, self.version.corpus, self.settings.key, self.revs)

    async def embed(self, embedder: Embedder, total: int) -> Refusal | None:
        """Embed what is missing, a few batches at a time; each is kept before the next is asked for."""
        done, page, revs = 0, self.settings.batch * _AT_ONCE, list(self.revs)
        self.tools.progress(self.version.corpus, done, total)
        for start in range(0, len(revs), _REVISIONS):
            bare = self._missing(revs[start : start + _REVISIONS])
            for first in range(0, len(bare), page):
                some = bare[first : first + page]
                answer = await self._ask(embedder, some)
                if not self._is_usable(answer):
                    return self._unusable(answer)
                with self.instance.engine.begin() as connection:
                    keep_vectors(connection, self.version.corpus, self.settings.key, answer.vectors)
                if answer.failure is not None:
                    raise answer.failure
                done += len(some)
                self.tools.progress(self.version.corpus, done, total)
        return None

    def _missing(self, revs: Sequence[int]) -> tuple[Bare, ...]:
        with self.instance.engine.connect() as connection:
            return missing(connection, self.version.corpus, self.settings.key, revs)

    async def _ask(self, embedder: Embedder, bare: Sequence[Bare]) -> _Answer:
        size = self.settings.batch
        batches = [bare[start : start + size] for start in range(0, len(bare), size)]
        texts = ([f"{one.heading}\n{one.body}" for one in batch] for batch in batches)
        found = await asyncio.gather(*(embedder.passages(some) for some in texts), return_exceptions=True)
        answer = _Answer()
        for batch, said in zip(batches, found, strict=True):
            if isinstance(said, BaseException):
                answer.failure = answer.failure or said
                continue
            for one, raw in zip(batch, said, strict=True):
                answer.vectors[one.content_hash] = unit_vector(raw, self.settings.dimension)
                answer.lengths.add(len(raw))
        return answer

    def _is_usable(self, answer: _Answer) -> bool:
        """Tell whether this model is what was declared: a passage now and then may have no direction, not every one."""
        if not answer.vectors or any(vector is not None for vector in answer.vectors.values()):
            return True
        with self.instance.engine.connect() as connection:
            return count_held(connection, self.version.corpus, self.settings.key, self.revs) > 0

    def _unusable(self, answer: _Answer) -> Refusal:
        lengths = ", ".join(map(str, sorted(answer.lengths)))
        what = (
            f"None of {len(answer.vectors)} passages of {self.version.corpus} got a direction of"
            f" {self.settings.dimension} numbers from {self.settings.model!r}: its vectors have {lengths}."
            " Correct dimension or model."
        )
        where = "retrieval.yaml: embedding.dimension"
        reason = Reason(
            code="SEAL_VECTORS_UNUSABLE", text=what, where=where, observed=lengths, limit=str(self.settings.dimension)
        )
        return Refusal(reasons=(reason,))

    def notes(self) -> tuple[Reason, ...]:
        """Return which chunks have no vector: they are found by their words alone."""
        with self.instance.engine.connect() as connection:
            found = rejected(connection, self.version.corpus, self.settings.key, self.revs)
        if not found:
            return ()
        names = ", ".join(f"{document}#{ordinal}" for document, ordinal in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        what = (
            f"{len(found)} chunks of {self.version.corpus} have no usable vector and are found by words: {names}{more}."
        )
        return (Reason(code="VECTORS_REJECTED", text=what, where=self.version.corpus, observed=str(len(found))),)

    def train(self) -> None:
        """Train cells for these vectors, unless those there are still fit."""
        corpus, key, dimension = self.version.corpus, self.settings.key, self.settings.dimension
        with self.instance.engine.connect() as connection:
            public = public_contents(connection, corpus, key, self.revs)
            newest = newest_cells(connection, corpus, key)
            if newest is not None and _is_near(len(public), newest[1]):
                return
            chosen = [public[place] for place in sample_of(len(public)).tolist()]
            sample = read_vectors(connection, corpus, key, chosen, dimension=dimension)
        cells = trained_on(sample, cells=cells_for(len(public)))
        with self.instance.engine.begin() as connection:
            keep_cells(connection, corpus, key, cells, public=len(public), at=self.instance.clock.now())


def _is_near(public: int, before: int) -> bool:
    return public == before or before / _MOVED < public < before * _MOVED


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What the model made of some contents, how long its vectors were, and the first batch that failed."""

    vectors: dict[str, F32 | None] = field(default_factory=dict)
    lengths: set[int] = field(default_factory=set)
    failure: BaseException | None = None
