"""The one entry: `search(snapshot, view, query, k)` ranks visible chunks by words and vectors, fused by rank.

Reciprocal rank fusion (Cormack et al. 2009) over the top 50 of each list; ties by better best rank, then document id,
effective date and ordinal. Fail mode: an empty view gives no hits; nothing outside the view is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilotage.retrieval.bm25 import score
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.segment import F64, Ids
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import nearest

MAX_HITS = 50
_FUSED_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Analyser tokens of the question, and its embedding where the release has a model."""

    terms: Sequence[str]
    vector: Sequence[float] | None = None
    rrf_k: int = 60
    candidates: int = 50


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a chunk stands: segment number and chunk number inside it."""

    segment: int
    chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One chunk of the answer. `rank` counts from 1; `score` is the fused score, or BM25's when it stands alone."""

    rev: int
    ordinal: int
    rank: int
    score: float


def search(snapshot: Snapshot, view: View, query: Query, k: int) -> tuple[Hit, ...]:
    """Return at most k (1..50) visible chunks, best first."""
    if not 1 <= k <= MAX_HITS:
        message = f"k is {k}; ask for 1 to {MAX_HITS} passages."
        raise ValueError(message)
    words = _top(snapshot, score(snapshot, view, query.terms).parts, query.candidates)
    if query.vector is None or not any(segment.vectors is not None for segment in snapshot.segments):
        return tuple(_hit(snapshot, place, rank, value) for rank, (place, value) in enumerate(words[:k], 1))
    near = _top(snapshot, _near(snapshot, view, query), query.candidates)
    fused = fuse([[place for place, _ in words], [place for place, _ in near]], rrf_k=query.rrf_k)
    ordered = sorted(fused, key=lambda item: (-item[1], item[2], _tie(snapshot, item[0])))
    return tuple(_hit(snapshot, place, rank, value) for rank, (place, value, _) in enumerate(ordered[:k], 1))


def fuse(lists: Sequence[Sequence[Place]], *, rrf_k: int) -> list[tuple[Place, float, int]]:
    """Return each place with its sum of 1/(rrf_k + rank), rounded to 12 decimals, and its best rank."""
    sums: dict[Place, float] = {}
    best: dict[Place, int] = {}
    for ranked in lists:
        for rank, place in enumerate(ranked, 1):
            sums[place] = sums.get(place, 0.0) + 1 / (rrf_k + rank)
            best[place] = min(rank, best.get(place, rank))
    return [(place, round(total, _FUSED_DECIMALS), best[place]) for place, total in sums.items()]


def _near(snapshot: Snapshot, view: View, query: Query) -> tuple[tuple[Ids, F64], ...]:
    dimension = next(segment.vectors.shape[1] for segment in snapshot.segments if segment.vectors is not None)
    vector = unit_vector(query.vector, dimension)
    if vector is None:
        message = f"The question's embedding is not a direction of {dimension} numbers."
        raise ValueError(message)
    return nearest(snapshot, view, vector, query.candidates)


def _top(snapshot: Snapshot, parts: Sequence[tuple[Ids, F64]], k: int) -> list[tuple[Place, float]]:
    """Return the k best over all segments, ties in the order of `_tie`."""
    found: list[tuple[Place, float]] = []
    for number, part in enumerate(parts):
        ids, scores = _best(snapshot, number, part, k)
        found += [
            (Place(segment=number, chunk=int(chunk)), float(value)) for chunk, value in zip(ids, scores, strict=True)
        ]
    found.sort(key=lambda item: (-item[1], _tie(snapshot, item[0])))
    return found[:k]


def _best(snapshot: Snapshot, number: int, part: tuple[Ids, F64], k: int) -> tuple[Ids, F64]:
    """Cut one segment's list to its k best, and those that tie with the last of them while they are few."""
    ids, scores = part
    if len(ids) <= k:
        return part
    bound = np.partition(scores, len(scores) - k)[len(scores) - k]
    keep = np.flatnonzero(scores >= bound)
    if len(keep) > 4 * k:
        order = snapshot.segments[number].order[ids[keep]]
        keep = keep[np.lexsort((order, -scores[keep]))[:k]]
    return ids[keep], scores[keep]


def _tie(snapshot: Snapshot, place: Place) -> tuple[bytes, int, int]:
    return snapshot.tie_key(place.segment, place.chunk)


def _hit(snapshot: Snapshot, place: Place, rank: int, value: float) -> Hit:
    segment = snapshot.segments[place.segment]
    return Hit(
        rev=segment.rev_of(place.chunk), ordinal=int(segment.ordinal[place.chunk]), rank=rank, score=round(value, 12)
    )
