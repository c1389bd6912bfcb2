"""BM25 over the asker's visible chunks only: N, df and average length never count a hidden chunk.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); idf with +1 inside the logarithm, as in
corpus-and-ledger.md 3.3. float64, element-wise, terms in byte order: the same chunk has the same score to the last bit
whatever else the index holds. Frequent words are looked up only for chunks that can still reach the best k (MaxScore,
Turtle and Flood 1995).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pilotage.retrieval.best import kth_best
from pilotage.retrieval.frequencies import Frequencies
from pilotage.retrieval.segment import F64, Ids, Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Visible

K1 = 1.2
B = 0.75
MAX_TERMS = 64
# Partial sums are added in another order than final ones; this covers the difference many times over.
_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """Scores per segment, ids and scores of equal length: at least the k best and what ties with them."""

    parts: tuple[tuple[Ids, F64], ...]


_NOWHERE: Final = np.zeros(0, np.uint32), np.zeros(0, np.uint16)


def inverse_frequency(*, chunks: int, holding: int) -> float:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) for N visible chunks of which `holding` hold the term."""
    return math.log(1 + (chunks - holding + 0.5) / (holding + 0.5))


def score(view: View, question: Question, k: int) -> Lexical:
    """Score the visible chunks that hold a query term; beyond 64 distinct terms the rarest 64 count."""
    chosen = [place for place, holding in enumerate(question.holding) if holding]
    if len(chosen) > MAX_TERMS:
        chosen = sorted(sorted(chosen, key=lambda place: (-question.idf[place], place))[:MAX_TERMS])
    average = view.tokens / view.chunks if view.chunks else 0.0
    weights = [(place, question.idf[place]) for place in chosen]
    return Lexical(parts=tuple(part.score(weights, average, k) for part in question.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The distinct terms in byte order, how many visible chunks hold each, its idf, and its postings per segment.

    An unseen term has df 0.
    """

    terms: list[str]
    holding: list[int]
    idf: list[float]
    parts: list[_Listed | _Masked]


def read_question(snapshot: Snapshot, view: View, terms: Iterable[str]) -> Question:
    """Look the terms of a question up, once for its scores and its idf."""
    distinct = sorted(set(terms), key=str.encode)
    numbers = [snapshot.term(term) for term in distinct]
    parts: list[_Listed | _Masked] = []
    for index, (segment, visible) in enumerate(zip(snapshot.segments, view.parts, strict=True)):
        inside = [number[index] for number in numbers]
        frequencies = snapshot.frequencies(index)
        if visible.mask is None:
            parts.append(_Listed(segment, visible.chunks, frequencies.of(inside, visible.chunks)))
        else:
            parts.append(_Masked(segment, visible, frequencies, inside))
    holding = [sum(counts) for counts in zip(*(part.holding for part in parts), strict=True)] or [0] * len(distinct)
    idf = [inverse_frequency(chunks=view.chunks, holding=count) for count in holding]
    return Question(terms=distinct, holding=holding, idf=idf, parts=parts)


class _Listed:
    """A question over the few visible chunks of a segment: all of them are scored."""

    def __init__(self, segment: Segment, ids: Ids, tf: F64) -> None:
        self._segment, self._ids, self._tf = segment, ids, tf
        self.holding: list[int] = np.count_nonzero(tf, axis=1).tolist()

    def score(self, weights: list[tuple[int, float]], average: float, k: int) -> tuple[Ids, F64]:  # noqa: ARG002 - as _Masked
        """Return the chunks that hold a term, and their scores."""
        if not weights:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        rows = [place for place, _ in weights]
        total = _sum([idf for _, idf in weights], self._tf[rows], _norms(self._segment, self._ids, average))
        touched = np.flatnonzero(total)
        return self._ids[touched], total[touched]


class _Masked:
    """A question over a segment of which much is visible: only candidates for the k best are scored in full."""

    def __init__(
        self, segment: Segment, visible: Visible, frequencies: Frequencies, numbers: Sequence[int | None]
    ) -> None:
        self._segment, self._visible, self._frequencies, self._numbers = segment, visible, frequencies, numbers
        self._postings = [_NOWHERE if number is None else segment.postings(number) for number in numbers]
        self.holding = [visible.holding(chunks) for chunks, _ in self._postings]

    def score(self, weights: list[tuple[int, float]], average: float, k: int) -> tuple[Ids, F64]:
        """Return the candidates for the k best, and their scores."""
        ids = self._candidates(weights, average, k)
        tf = self._frequencies.of([self._numbers[place] for place, _ in weights], ids)
        return ids, _sum([idf for _, idf in weights], tf, _norms(self._segment, ids, average))

    def _candidates(self, weights: list[tuple[int, float]], average: float, k: int) -> Ids:
        """Return the visible chunks that can be among the k best, from the rarest terms that decide it.

        No chunk gets more from a term than idf (k1 + 1), since tf / (tf + norm) is below 1.
        """
        partial = np.zeros(self._segment.chunks, dtype=np.float64)
        seen: list[Ids] = [np.zeros(0, np.int64)]
        threshold, rest = 0.0, sum(idf * (K1 + 1) for _, idf in weights)
        for place, idf in sorted(weights, key=lambda weight: len(self._postings[weight[0]][0])):
            chunks, tf = self._visible.cut(*self._postings[place])
            partial[chunks] += _sum([idf], tf[None, :], _norms(self._segment, chunks, average))
            seen.append(chunks)
            rest -= idf * (K1 + 1)
            if len(chunks) >= k:
                threshold = max(threshold, kth_best(partial[chunks], k))
            if rest < threshold * (1 - _SLACK):
                break
        bound = (threshold - rest) * (1 - _SLACK)
        return np.unique(np.concatenate([chunks[partial[chunks] >= bound] for chunks in seen]))


def _norms(segment: Segment, ids: Ids, average: float) -> F64:
    return K1 * (1 - B + B * segment.length[ids].astype(np.float64) / average)


def _sum(idf: list[float], tf: F64, norms: F64) -> F64:
    """Return the scores of chunks from their term frequencies (terms, chunks), added in the order of the terms."""
    total = np.zeros(len(norms), dtype=np.float64)
    # Row by row: a sum along an axis may group its terms by how many there are.
    for row in np.array(idf)[:, None] * tf * (K1 + 1) / (tf + norms):
        total += row
    return total
