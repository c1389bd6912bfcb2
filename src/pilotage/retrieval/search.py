"""The one entry: `search(snapshot, view, query, k)` ranks visible chunks by words and vectors, fused by rank.

Reciprocal rank fusion (Cormack et al. 2009) over the top 50 of each list; ties by better best rank, then document id,
effective date and ordinal. Fail mode: an empty view gives no hits; nothing outside the view is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.bm25 import score
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.segment import F32, F64, Ids
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import nearest

MAX_HITS = 50
_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Analyser tokens of the question, and its embedding where the release has a model."""

    terms: Sequence[str]
    vector: Sequence[float] | F32 | None = None
    rrf_k: int = 60
    candidates: int = 50


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
    return _hits(snapshot, _first(snapshot, fused, k))


def fuse(lists: Sequence[Sequence[int]], *, rrf_k: int) -> list[tuple[int, float, int]]:
    """Return each place with its sum of 1/(rrf_k + rank), rounded to 12 decimals, and its best rank."""
    sums: dict[int, float] = {}
    best: dict[int, int] = {}
    for ranked in lists:
        for rank, place in enumerate(ranked, 1):
            if place in sums:
                sums[place] += 1 / (rrf_k + rank)
                best[place] = min(best[place], rank)
            else:
                sums[place] = 1 / (rrf_k + rank)
                best[place] = rank
    return [(place, _rounded(total), best[place]) for place, total in sums.items()]


# The sums of reciprocal ranks are few, and rounding them is most of the cost of fusing.
@lru_cache(maxsize=16_384)
def _rounded(value: float) -> float:
    return round(value, _DECIMALS)


def _first(snapshot: Snapshot, fused: list[tuple[int, float, int]], k: int) -> list[tuple[int, float]]:
    """Return the k best by score, best rank, then `_ties`, which are looked up only where they can decide."""
    ranked = sorted((-value, rank, place) for place, value, rank in fused)
    end = min(k, len(ranked))
    while end < len(ranked) and ranked[end][:2] == ranked[k - 1][:2]:
        end += 1
    tie = _ties(snapshot, [place for *_, place in ranked[:end]])
    ranked[:end] = sorted(ranked[:end], key=lambda item: (item[0], item[1], tie[item[2]]))
    return [(place, -value) for value, _, place in ranked[:k]]


def _near(snapshot: Snapshot, view: View, query: Query) -> tuple[tuple[Ids, F64], ...]:
    dimension = next(segment.vectors.shape[1] for segment in snapshot.segments if segment.vectors is not None)
    vector = unit_vector(query.vector, dimension)
    if vector is None:
        message = f"The question's embedding is not a direction of {dimension} numbers."
        raise ValueError(message)
    return nearest(snapshot, view, vector, query.candidates)


def _top(snapshot: Snapshot, parts: Sequence[tuple[Ids, F64]], k: int) -> list[tuple[int, float]]:
    """Return the places and scores of the k best over all segments, ties in the order of `_ties`."""
    found: list[tuple[int, float]] = []
    for (ids, scores), segment, start in zip(parts, snapshot.segments, snapshot.starts, strict=True):
        keep = at_least_best(scores, k)
        ranked = keep[np.lexsort((segment.order[ids[keep]], -scores[keep]))[:k]]
        found += zip((ids[ranked] + start).tolist(), scores[ranked].tolist(), strict=True)
    if sum(len(ids) > 0 for ids, _ in parts) > 1:
        tie = _ties(snapshot, [place for place, _ in found])
        found.sort(key=lambda item: (-item[1], tie[item[0]]))
    return found[:k]


def _ties(snapshot: Snapshot, places: Sequence[int]) -> dict[int, tuple[bytes, int, int]]:
    """Return what decides between equal scores: document id, first day in force, ordinal; never an internal number."""
    documents, spans = snapshot.visibility.documents, snapshot.visibility.spans
    origins = snapshot.origins(places)
    return {
        place: (documents[rev], spans[rev][0], ordinal) for place, (rev, ordinal) in zip(places, origins, strict=True)
    }


def _hits(snapshot: Snapshot, ranked: Sequence[tuple[int, float]]) -> tuple[Hit, ...]:
    origins = snapshot.origins([place for place, _ in ranked])
    return tuple(
        Hit(rev=rev, ordinal=ordinal, rank=rank, score=round(value, _DECIMALS))
        for rank, ((_, value), (rev, ordinal)) in enumerate(zip(ranked, origins, strict=True), 1)
    )
