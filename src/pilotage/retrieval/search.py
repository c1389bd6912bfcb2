"""The one entry: `search(snapshot, view, query, k)` ranks visible chunks by words and vectors, fused by rank.

Reciprocal rank fusion (Cormack et al. 2009) over the top 50 of each list; ties by better best rank, then document id,
effective date and ordinal. Fail mode: an empty view gives no hits; nothing outside the view is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from pilotage.core.digest import Digest
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.bm25 import read_question, score
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.order import Origin, best_first, tie
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.vectors import nearest

MAX_HITS = 50
_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Analyser tokens of the question, and its embedding where the release has a model.

    `cells` are those the release was sealed with, for approximate vectors; an index of other ones is searched exactly.
    """

    terms: Sequence[str]
    vector: Sequence[float] | F32 | None = None
    rrf_k: int = 60
    candidates: int = 50
    cells: Digest | None = None


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
    has_vectors = query.vector is not None and snapshot.dimension is not None
    wanted = query.candidates if has_vectors else k
    question = read_question(snapshot, view, query.terms)
    idf = tuple(zip(question.terms, question.idf, strict=True))
    words, scores = best_first(snapshot, score(view, question, wanted).parts, wanted)
    if not has_vectors:
        rounded = [round(value, _DECIMALS) for value in scores]
        return Ranking(hits=_hits(list(zip(snapshot.origins(words), rounded, strict=True))), idf=idf)
    near = _near(snapshot, view, query)
    return Ranking(hits=_hits(_first(snapshot, fuse(words, near, rrf_k=query.rrf_k, k=k), k)), idf=idf)


def fuse(words: Sequence[int], near: Sequence[int], *, rrf_k: int, k: int) -> list[tuple[int, float, int]]:
    """Return the places that can be among the k best, each with its score and its best rank.

    The score is the sum of 1/(rrf_k + rank), rounded to 12 decimals. A place that stands in one list only, behind its
    first k, has k better ones before it; so has one that scores less than k that stand in both.
    """
    by_word = dict(zip(words, range(1, len(words) + 1), strict=True))
    fused = [
        (place, _rounded(1 / (rrf_k + first) + 1 / (rrf_k + second)), min(first, second))
        for second, place in enumerate(near, 1)
        if (first := by_word.get(place))
    ]
    both = {place for place, _, _ in fused}
    least = sorted(value for _, value, _ in fused)[-k] if len(fused) >= k else 0.0
    for ranked in (words, near):
        for rank, place in enumerate(ranked[:k], 1):
            value = _rounded(1 / (rrf_k + rank))
            if value < least:
                break
            if place not in both:
                fused.append((place, value, rank))
    return fused


# The sums of reciprocal ranks are few, and rounding them is most of the cost of fusing.
@lru_cache(maxsize=16_384)
def _rounded(value: float) -> float:
    return round(value, _DECIMALS)


def _first(snapshot: Snapshot, fused: list[tuple[int, float, int]], k: int) -> list[tuple[Origin, float]]:
    """Return the k best by score, best rank, then `tie`, which is looked up only where it decides."""
    ranked = sorted((-value, rank, place) for place, value, rank in fused)
    end = min(k, len(ranked))
    while end < len(ranked) and ranked[end][:2] == ranked[k - 1][:2]:
        end += 1
    origins = snapshot.origins([place for *_, place in ranked[:end]])
    found = [(value, rank, origin) for (value, rank, _), origin in zip(ranked[:end], origins, strict=True)]
    if any(one[:2] == other[:2] for one, other in pairwise(found)):
        found.sort(key=lambda hit: (hit[0], hit[1], tie(snapshot, hit[2])))
    return [(origin, -value) for value, _, origin in found[:k]]


def _near(snapshot: Snapshot, view: View, query: Query) -> list[int]:
    vector = None if snapshot.dimension is None else unit_vector(query.vector, snapshot.dimension)
    if vector is None:
        message = f"The question's embedding is not a direction of {snapshot.dimension} numbers."
        raise ValueError(message)
    return nearest(snapshot, view, vector, query.candidates, cells=query.cells)


def _hits(ranked: Sequence[tuple[Origin, float]]) -> tuple[Hit, ...]:
    return tuple(
        Hit(rev=rev, ordinal=ordinal, rank=rank, score=value) for rank, ((rev, ordinal), value) in enumerate(ranked, 1)
    )
