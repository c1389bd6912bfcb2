"""A small index built from plain rows, for tests; and the 40-line reference it must equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from pyroaring import BitMap

from pilotage.corpus.settings import Classification
from pilotage.retrieval.allowed import Asking, DocumentRow, RevisionRow, Visibility, make_visibility
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.build import IndexChunk, build_segment, unit_vector, with_cells
from pilotage.retrieval.quantiser import Quantiser
from pilotage.retrieval.search import Hit
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot
from pilotage.retrieval.standing import Standing, make_standing

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AGE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Doc:
    """A document with one revision; `chunks` are token lists. `stands_until` None: its ACL does not age."""

    id: str
    rev: int
    chunks: tuple[tuple[str, ...], ...]
    acl: tuple[str, ...] = ("group:everyone",)
    versions: tuple[int, ...] = (1,)
    span: tuple[int | None, int | None] = (None, None)
    is_live: bool = True
    vectors: tuple[tuple[float, ...], ...] | None = None
    classification: Classification = Classification.INTERNAL
    region: str = "us"
    stands_until: datetime | None = None
    rest: tuple[str, ...] = field(default=())


def visibility_of(docs: Sequence[Doc], generation: int = 1) -> Visibility:
    versions: dict[int, BitMap] = {}
    for doc in docs:
        for number in doc.versions:
            versions.setdefault(number, BitMap()).add(doc.rev)
    return make_visibility(
        generation,
        documents=[
            DocumentRow(
                id=doc.id, acl=doc.acl, classification=doc.classification, region=doc.region, is_live=doc.is_live
            )
            for doc in docs
        ],
        revisions=[
            RevisionRow(
                rev=doc.rev,
                document=doc.id,
                effective_from=doc.span[0],
                effective_to=doc.span[1],
                retained_until=None,
            )
            for doc in docs
        ],
        versions=versions,
        standing=standing_of(docs),
    )


def standing_of(docs: Sequence[Doc]) -> Standing | None:
    """Return how long the ACLs stand; None when none of them ages."""
    moments: dict[datetime, BitMap] = {}
    for doc in docs:
        if doc.stands_until is not None:
            moments.setdefault(doc.stands_until - AGE, BitMap()).add(doc.rev)
    if not moments:
        return None
    standing = make_standing(0, moments, AGE)
    return standing.beside(BitMap(doc.rev for doc in docs if doc.stands_until is None))


def chunks_of(docs: Iterable[Doc]) -> list[IndexChunk]:
    return [
        IndexChunk(
            rev=doc.rev,
            ordinal=ordinal,
            document=doc.id,
            effective_from="" if doc.span[0] is None else date.fromordinal(doc.span[0]).isoformat(),
            tokens=tokens,
            vector=None if doc.vectors is None else doc.vectors[ordinal],
        )
        for doc in sorted(docs, key=lambda doc: doc.rev)
        for ordinal, tokens in enumerate(doc.chunks)
    ]


def snapshot_of(
    docs: Sequence[Doc], *deltas: Sequence[Doc], dimension: int | None = None, quantiser: Quantiser | None = None
) -> Snapshot:
    everything = [*docs, *(doc for delta in deltas for doc in delta)]
    segments = tuple(segment_of(part, dimension=dimension, quantiser=quantiser) for part in (docs, *deltas))
    return Snapshot(segments=segments, visibility=visibility_of(everything))


def segment_of(docs: Iterable[Doc], *, dimension: int | None = None, quantiser: Quantiser | None = None) -> Segment:
    segment = build_segment(chunks_of(docs), dimension=dimension)
    return segment if quantiser is None else with_cells(segment, quantiser)


def asking(*names: str, version: int = 1, day: date = DAY, at: datetime = NOW) -> Asking:
    return Asking(names=frozenset(names), version=version, day=day, at=at)


def may_see(doc: Doc, asker: Asking) -> bool:
    start, end = doc.span
    day = asker.day.toordinal()
    in_force = (start is None or start <= day) and (end is None or day < end)
    stands = doc.stands_until is None or asker.at <= doc.stands_until
    return doc.is_live and in_force and stands and asker.version in doc.versions and bool(set(doc.acl) & asker.names)


def reference(docs: Sequence[Doc], asker: Asking, terms: Sequence[str], k: int) -> list[tuple[str, int, float]]:
    """Brute force BM25 over the visible chunks: (document, ordinal, score), best first."""
    visible = [
        (doc.id, doc.span[0] or 0, ordinal, tokens)
        for doc in docs
        if may_see(doc, asker)
        for ordinal, tokens in enumerate(doc.chunks)
    ]
    if not visible:
        return []
    average = sum(len(tokens) for *_, tokens in visible) / len(visible)
    scored = []
    for document, start, ordinal, tokens in visible:
        total, touched = 0.0, False
        for term in sorted(set(terms), key=str.encode):
            holding = sum(term in other for *_, other in visible)
            tf = tokens.count(term)
            if tf:
                touched = True
                idf = math.log(1 + (len(visible) - holding + 0.5) / (holding + 0.5))
                total += idf * tf * (1.2 + 1) / (tf + 1.2 * (1 - 0.75 + 0.75 * len(tokens) / average))
        if touched:
            scored.append((-total, document.encode(), start, ordinal, document))
    scored.sort()
    return [(document, ordinal, round(-total, 12)) for total, _, _, ordinal, document in scored[:k]]


def reference_near(
    docs: Sequence[Doc], asker: Asking, vector: Sequence[float], k: int, *, quantiser: Quantiser | None = None
) -> list[tuple[str, int]]:
    """Brute force neighbours: (document, ordinal), nearest first.

    With a quantiser only those in its probed cells, unless these are fewer than k; without, all that are visible.
    """
    question = unit_vector(vector, len(vector))
    assert question is not None
    rows = [
        (doc, ordinal, row)
        for doc in docs
        if may_see(doc, asker) and doc.vectors
        for ordinal, one in enumerate(doc.vectors)
        if (row := unit_vector(one, len(vector))) is not None
    ]
    if quantiser is not None:
        probed = _cells(quantiser, question)[: quantiser.probes]
        inside = [one for one in rows if _cells(quantiser, one[2])[0] in probed]
        rows = inside if len(inside) >= k else rows
    scored = [
        (-round(float((row.astype(np.float64) * question.astype(np.float64)).sum()), 9), doc, ordinal)
        for doc, ordinal, row in rows
    ]
    scored.sort(key=lambda one: (one[0], one[1].id.encode(), one[1].span[0] or 0, one[2]))
    return [(doc.id, ordinal) for _, doc, ordinal in scored[:k]]


def _cells(quantiser: Quantiser, row: F32) -> list[int]:
    """Return all cells, nearest first, by whole numbers."""
    whole = np.array([round(float(value) * 2**11) for value in row], dtype=np.int64)
    near: list[int] = (quantiser.centroids.astype(np.int64) @ whole).tolist()
    return sorted(range(len(near)), key=lambda cell: (-near[cell], cell))


def plain(docs: Sequence[Doc], hits: Sequence[Hit]) -> list[tuple[str, int, float]]:
    names = {doc.rev: doc.id for doc in docs}
    return [(names[hit.rev], hit.ordinal, hit.score) for hit in hits]
