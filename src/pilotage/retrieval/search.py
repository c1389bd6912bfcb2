"""The one entry: `search(snapshot, view, query, k)` ranks visible chunks by words and vectors, fused by rank.

Reciprocal rank fusion (Cormack et al. 2009) over the top 50 of each list; ties by better best rank, then document id,
effective date and ordinal. Fail mode: an empty view gives no hits; nothing outside the view is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.bm25 import score
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.segment import F64, Ids
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import nearest

MAX_HITS = 50
_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Analyser tokens of the question, and its embedding where the release has a model."""

    terms: Sequence[str]
    vector: Sequence[float] | None = None
    rrf_k: int = 60
    candidates: int = 50


class Place(NamedTuple):
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
    has_vectors = query.vector is not None and any(segment.vectors is not None for segment in snapshot.segments)
    wanted = query.candidates if has_vectors else k
    words = _top(snapshot, score(snapshot, view, query.terms, wanted).parts, wanted)
    if not has_vectors:
        return _hits(snapshot, words)
    near = _top(snapshot, _near(snapshot, view, query), wanted)
    fused = fuse([[place for place, _ in words], [place for place, _ in near]], rrf_k=query.rrf_k)
    tie = _ties(snapshot, [place for place, *_ in fused])
    fused.sort(key=lambda item: (-item[1], item[2], tie[item[0]]))
    return _hits(snapshot, [(place, value) for place, value, _ in fused[:k]])


def fuse(lists: Sequence[Sequence[Place]], *, rrf_k: int) -> list[tuple[Place, float, int]]:
    """Return each place with its sum of 1/(rrf_k + rank), rounded to 12 decimals, and its best rank."""
    sums: dict[Place, float] = {}
    best: dict[Place, int] = {}
    for ranked in lists:
        for rank, place in enumerate(ranked, 1):
            sums[place] = sums.get(place, 0.0) + 1 / (rrf_k + rank)
            best[place] = min(rank, best.get(place, rank))
    return [(place, round(total, _DECIMALS), best[place]) for place, total in sums.items()]


def _near(snapshot: Snapshot, view: View, query: Query) -> tuple[tuple[Ids, F64], ...]:
    dimension = next(segment.vectors.shape[1] for segment in snapshot.segments if segment.vectors is not None)
    vector = unit_vector(query.vector, dimension)
    if vector is None:
        message = f"The question's embedding is not a direction of {dimension} numbers."
        raise ValueError(message)
    return nearest(snapshot, view, vector, query.candidates)


def _top(snapshot: Snapshot, parts: Sequence[tuple[Ids, F64]], k: int) -> list[tuple[Place, float]]:
    """Return the k best over all segments, ties in the order of `_ties`."""
    found: list[tuple[Place, float]] = []
    for number, (ids, scores) in enumerate(parts):
        keep = at_least_best(scores, k)
        ranked = keep[np.lexsort((snapshot.segments[number].order[ids[keep]], -scores[keep]))[:k]]
        found += zip((Place(number, chunk) for chunk in ids[ranked].tolist()), scores[ranked].tolist(), strict=True)
    if sum(len(ids) > 0 for ids, _ in parts) > 1:
        tie = _ties(snapshot, [place for place, _ in found])
        found.sort(key=lambda item: (-item[1], tie[item[0]]))
    return found[:k]


def _ties(snapshot: Snapshot, places: Sequence[Place]) -> dict[Place, tuple[bytes, int, int]]:
    """Return what decides between equal scores: document id, first day in force, ordinal; never an internal number."""
    visibility = snapshot.visibility
    return {
        place: (visibility.documents[rev], visibility.spans[rev][0], ordinal)
        for place, (rev, ordinal) in zip(places, _origins(snapshot, places), strict=True)
    }


def _origins(snapshot: Snapshot, places: Sequence[Place]) -> list[tuple[int, int]]:
    """Return (revision, ordinal) of each place."""
    found: list[tuple[int, int]] = [(0, 0)] * len(places)
    for number, segment in enumerate(snapshot.segments):
        where = [index for index, place in enumerate(places) if place.segment == number]
        revs, ordinals = segment.origins([places[index].chunk for index in where])
        for index, rev, ordinal in zip(where, revs, ordinals, strict=True):
            found[index] = (rev, ordinal)
    return found


def _hits(snapshot: Snapshot, ranked: Sequence[tuple[Place, float]]) -> tuple[Hit, ...]:
    origins = _origins(snapshot, [place for place, _ in ranked])
    return tuple(
        Hit(rev=rev, ordinal=ordinal, rank=rank, score=round(value, _DECIMALS))
        for rank, ((_, value), (rev, ordinal)) in enumerate(zip(ranked, origins, strict=True), 1)
    )
