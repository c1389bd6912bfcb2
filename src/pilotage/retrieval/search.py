"""The one entry: `search(snapshot, view, query, k)` ranks visible chunks by words and vectors, fused by rank.

Reciprocal rank fusion (Cormack et al. 2009) over the top 50 of each list; ties by better best rank, then document id,
effective date and ordinal. Fail mode: an empty view gives no hits; nothing outside the view is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.bm25 import read_question, score
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.segment import F32, F64, Ids
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import nearest

Origin: TypeAlias = tuple[int, int]
"""(revision, ordinal) of a chunk."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The best chunks, and the idf of each term over the visible chunks, in byte order of the terms."""

    hits: tuple[Hit, ...]
    idf: tuple[tuple[str, float], ...]


def search(snapshot: Snapshot, view: View, query: Query, k: int) -> tuple[Hit, ...]:
    """Return at most k (1..50) visible chunks, best first."""
    return rank(snapshot, view, query, k).hits


def rank(snapshot: Snapshot, view: View, query: Query, k: int) -> Ranking:
    """Return at most k (1..50) visible chunks, best first, with the weights of the words that found them."""
    if not 1 <= k <= MAX_HITS:
        message = f"k is {k}; ask for 1 to {MAX_HITS} passages."
        raise ValueError(message)
    has_vectors = query.vector is not None and any(segment.vectors is not None for segment in snapshot.segments)
    wanted = query.candidates if has_vectors else k
    question = read_question(snapshot, view, query.terms)
    idf = tuple(zip(question.terms, question.idf, strict=True))
    words, scores = _top(snapshot, score(view, question, wanted).parts, wanted)
    if not has_vectors:
        return Ranking(hits=_hits(list(zip(snapshot.origins(words), scores, strict=True))), idf=idf)
    near, _ = _top(snapshot, _near(snapshot, view, query), wanted)
    return Ranking(hits=_hits(_first(snapshot, fuse(words, near, rrf_k=query.rrf_k, k=k), k)), idf=idf)


def fuse(words: Sequence[int], near: Sequence[int], *, rrf_k: int, k: int) -> list[tuple[int, float, int]]:
    """Return the places that can be among the k best, each with its score and its best rank.

    The score is the sum of 1/(rrf_k + rank), rounded to 12 decimals. A place that stands in one list only, behind its
    first k, has k better ones before it.
    """
    by_word = dict(zip(words, range(1, len(words) + 1), strict=True))
    by_vector = dict(zip(near, range(1, len(near) + 1), strict=True))
    fused = []
    for place in {*words[:k], *near[:k], *(by_word.keys() & by_vector.keys())}:
        first, second = by_word.get(place), by_vector.get(place)
        total = (1 / (rrf_k + first) if first else 0.0) + (1 / (rrf_k + second) if second else 0.0)
        fused.append((place, _rounded(total), min(first or second or 0, second or first or 0)))
    return fused


# The sums of reciprocal ranks are few, and rounding them is most of the cost of fusing.
@lru_cache(maxsize=16_384)
def _rounded(value: float) -> float:
    return round(value, _DECIMALS)


def _first(snapshot: Snapshot, fused: list[tuple[int, float, int]], k: int) -> list[tuple[Origin, float]]:
    """Return the k best by score, best rank, then `_tie`, which is looked up only where it can decide."""
    ranked = sorted((-value, rank, place) for place, value, rank in fused)
    end = min(k, len(ranked))
    while end < len(ranked) and ranked[end][:2] == ranked[k - 1][:2]:
        end += 1
    origins = snapshot.origins([place for *_, place in ranked[:end]])
    last = [
        (value, rank, _tie(snapshot, origin), origin)
        for (value, rank, _), origin in zip(ranked[:end], origins, strict=True)
    ]
    return [(origin, -value) for value, _, _, origin in sorted(last)[:k]]


def _near(snapshot: Snapshot, view: View, query: Query) -> tuple[tuple[Ids, F64], ...]:
    dimension = next(segment.vectors.shape[1] for segment in snapshot.segments if segment.vectors is not None)
    vector = unit_vector(query.vector, dimension)
    if vector is None:
        message = f"The question's embedding is not a direction of {dimension} numbers."
        raise ValueError(message)
    return nearest(snapshot, view, vector, query.candidates)


def _top(snapshot: Snapshot, parts: Sequence[tuple[Ids, F64]], k: int) -> tuple[list[int], list[float]]:
    """Return the places and scores of the k best over all segments, ties in the order of `_tie`."""
    places: list[int] = []
    values: list[float] = []
    for (ids, scores), segment, start in zip(parts, snapshot.segments, snapshot.starts, strict=True):
        keep = at_least_best(scores, k)
        ranked = keep[np.lexsort((segment.order[ids[keep]], -scores[keep]))[:k]]
        places += (ids[ranked] + start).tolist()
        values += scores[ranked].tolist()
    if sum(len(ids) > 0 for ids, _ in parts) > 1:
        ties = [_tie(snapshot, origin) for origin in snapshot.origins(places)]
        ordered = sorted(range(len(places)), key=lambda index: (-values[index], ties[index]))
        places, values = [places[index] for index in ordered], [values[index] for index in ordered]
    return places[:k], values[:k]


def _tie(snapshot: Snapshot, origin: Origin) -> tuple[bytes, int, int]:
    """Return what decides between equal scores: document id, first day in force, ordinal; never an internal number."""
    rev, ordinal = origin
    return snapshot.visibility.documents[rev], snapshot.visibility.spans[rev][0], ordinal


def _hits(ranked: Sequence[tuple[Origin, float]]) -> tuple[Hit, ...]:
    return tuple(
        Hit(rev=rev, ordinal=ordinal, rank=rank, score=round(value, _DECIMALS))
        for rank, ((rev, ordinal), value) in enumerate(ranked, 1)
    )
