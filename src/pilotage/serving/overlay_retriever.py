"""The real retriever over a corpus version with an evaluation's overlay laid on it.

Rule: overlay documents live in this object only: their index is built in memory, their text never reaches the store, so
they cannot be promoted and are gone with the run. They obey ACLs as every document does, before ranking and at the
wall. Fail mode: the retriever's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from pyroaring import BitMap

from pilotage.core.ids import CorpusName
from pilotage.corpus.analyser import analyse
from pilotage.evaluation.overlay import Overlay, OverlayDocument
from pilotage.release.assemble import CorpusPin
from pilotage.retrieval.allowed import Visibility
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.build import IndexChunk
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.store.passages import Place, Reader, StoredPassage

FIRST_REV: Final = 2**31
"""Revisions of an overlay are numbered from here; a corpus would need two thousand million to meet them."""

_FOREVER: Final = date.max.toordinal()


class OverlayRetriever(StoreRetriever):
    """`serving.ports.Retriever` for one overlay. `restricted`: as if the corpus held nothing but this segment.

    `laid` is the overlay's own segment, with vectors where the release's index has them; None: it is empty.
    """

    def __init__(
        self, parts: RetrieverParts, overlay: Overlay, *, laid: Segment | None, restricted: Segment | None = None
    ) -> None:
        super().__init__(parts)
        self._laid = dict(enumerate(overlay.documents, FIRST_REV))
        self._segments = () if laid is None else (laid,)
        self._restricted = restricted
        self._made: tuple[Snapshot, int, Snapshot] | None = None
        self._committed = self._followed = 0

    def withdraw(self, readers: Mapping[str, frozenset[str] | None]) -> None:
        """Commit other readers of documents, None where one is taken down; the index still holds those of before."""
        for rev, document in list(self._laid.items()):
            acl = readers.get(document.id, document.acl)
            if acl is None:
                del self._laid[rev]
            else:
                self._laid[rev] = replace(document, acl=acl)
        self._committed += 1

    def settle(self) -> None:
        """Let the index follow what was committed."""
        self._followed, self._made = self._committed, None

    def _snapshot(self, pin: CorpusPin, vectors: Vectors | None) -> Snapshot | None:
        base = super()._snapshot(pin, vectors)
        if base is None:
            return None
        if self._made is None or self._made[0] is not base or self._made[1] != pin.version:
            segments, visibility = base.segments, base.visibility
            if self._restricted is not None:
                segments, visibility = (self._restricted,), only_these(visibility, self._restricted)
            visibility = laid_over(visibility, pin.version, self._laid)
            visibility = replace(visibility, generation=visibility.generation + self._followed)
            self._made = (base, pin.version, Snapshot(segments=(*segments, *self._segments), visibility=visibility))
        return self._made[2]

    async def _fetch(
        self, corpus: CorpusName, places: Sequence[Place], reader: Reader
    ) -> tuple[dict[Place, StoredPassage], int | None]:
        stored, generation = await super()._fetch(corpus, [one for one in places if one[0] < FIRST_REV], reader)
        generation = None if generation is None else generation + self._committed
        own = {place: _passage(place[0], self._laid[place[0]]) for place in places if self._shows(place[0], reader)}
        return stored | own, generation

    def _shows(self, rev: int, reader: Reader) -> bool:
        document = self._laid.get(rev)
        if document is None or not document.acl & reader.names:
            return False
        return reader.also is None or bool(document.acl & reader.also)


def laid_over(visibility: Visibility, version: int, documents: dict[int, OverlayDocument]) -> Visibility:
    """Return the bitmaps with the overlay's revisions added to one version."""
    revs = BitMap(documents)
    principals = dict(visibility.principals)
    for rev, document in documents.items():
        for name in document.acl:
            principals[name] = principals.get(name, BitMap()) | BitMap([rev])
    return replace(
        visibility,
        principals=principals,
        versions={**visibility.versions, version: visibility.versions.get(version, BitMap()) | revs},
        live=visibility.live | revs,
        standing=None if visibility.standing is None else visibility.standing.beside(revs),
        spans={**visibility.spans, **dict.fromkeys(documents, (0, _FOREVER))},
        documents={**visibility.documents, **{rev: one.id.encode() for rev, one in documents.items()}},
        _days={},
    )


def only_these(visibility: Visibility, segment: Segment) -> Visibility:
    """Return the bitmaps as they would be if the corpus held the revisions of this segment only."""
    revs = BitMap(segment.revs.tolist())
    return replace(
        visibility,
        principals={name: found & revs for name, found in visibility.principals.items() if found & revs},
        versions={number: found & revs for number, found in visibility.versions.items()},
        live=visibility.live & revs,
        spans={rev: span for rev, span in visibility.spans.items() if rev in revs},
        documents={rev: name for rev, name in visibility.documents.items() if rev in revs},
        _days={},
    )


def overlay_chunks(
    documents: Sequence[OverlayDocument], language: str, vectors: Sequence[F32] | None
) -> list[IndexChunk]:
    """Return the chunks of an overlay, in order, with what a model made of their `overlay_text`."""
    return [
        IndexChunk(
            rev=FIRST_REV + place,
            ordinal=0,
            document=one.id,
            effective_from="",
            tokens=analyse(overlay_text(one), language=language),
            vector=None if vectors is None else vectors[place],
        )
        for place, one in enumerate(documents)
    ]


def overlay_text(document: OverlayDocument) -> str:
    """Return what is searched of an overlay's document."""
    return f"{document.title}\n{document.text}"


def _passage(rev: int, document: OverlayDocument) -> StoredPassage:
    return StoredPassage(
        rev=rev,
        ordinal=0,
        document=document.id,
        title=document.title,
        uri=None,
        section="",
        heading=document.title,
        text=document.text,
        effective_from=None,
    )
