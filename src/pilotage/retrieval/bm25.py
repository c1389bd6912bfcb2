"""BM25 over the asker's visible chunks only: N, df and average length never count a hidden chunk.

Formulas in weights.py; terms in byte order: the same chunk has the same score to the last bit whatever else the index
holds. Frequent words are looked up only for chunks that can still reach the best k (MaxScore, Turtle and Flood 1995).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pilotage.retrieval.arrays import F32, F64, U32, Ids
from pilotage.retrieval.best import reached
from pilotage.retrieval.frequencies import Found, Frequencies
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Few, Visible
from pilotage.retrieval.weights import MOST, gain, inverse_frequency, norms

MAX_TERMS = 64
# Partial sums have fewer digits than final ones and another order; this covers the difference many times over.
_SLACK = 1e-4
_TINY = np.float32(np.finfo(np.float32).smallest_subnormal)
# Looking at one float among many takes as long as running over eight.
_SPARSE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """Scores per segment, ids and scores of equal length: at least the k best and what ties with them."""

    parts: tuple[tuple[Ids, F64], ...]


_NOWHERE: Final = np.zeros(0, np.uint32), np.zeros(0, np.uint16)


def score(view: View, question: Question, k: int) -> Lexical:
    """Score the visible chunks that hold a query term; beyond 64 distinct terms the rarest 64 count."""
    chosen = [place for place, holding in enumerate(question.holding) if holding]
    if len(chosen) > MAX_TERMS:
        chosen = sorted(sorted(chosen, key=lambda place: (-question.idf[place], place))[:MAX_TERMS])
    weights = [(place, question.idf[place]) for place in chosen]
    return Lexical(parts=tuple(part.score(weights, view.average, k) for part in question.parts))


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
    distinct = sorted(set(terms))  # code points and UTF-8 bytes have one order
    numbers = [snapshot.term(term) for term in distinct]
    parts: list[_Listed | _Masked] = []
    for index, (segment, visible, norm) in enumerate(zip(snapshot.segments, view.parts, view.norms, strict=True)):
        inside = [number[index] for number in numbers]
        frequencies = snapshot.frequencies(index)
        if visible.few is None:
            parts.append(_Masked(segment, visible, frequencies, inside))
        else:
            parts.append(_Listed(visible.few, norm, frequencies.of(inside, visible.few.ids, visible.few.short)))
    holding = [sum(counts) for counts in zip(*(part.holding for part in parts), strict=True)] or [0] * len(distinct)
    idf = [inverse_frequency(chunks=view.chunks, holding=count) for count in holding]
    return Question(terms=distinct, holding=holding, idf=idf, parts=parts)


class _Listed:
    """A question over the few visible chunks of a segment: all of them are scored."""

    def __init__(self, few: Few, norm: F64 | None, found: list[Found]) -> None:
        self._few, self._norm, self._found = few, norm, found
        self.holding = [holding for holding, _ in found]

    def score(self, weights: list[tuple[int, float]], average: float, k: int) -> tuple[Ids, F64]:  # noqa: ARG002 - as _Masked
        """Return the chunks that hold a term, and their scores."""
        if self._norm is None:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        total = _sum([(idf, self._found[place]) for place, idf in weights], self._norm)
        touched = total.nonzero()[0]
        return self._few.ids.take(touched), total.take(touched)


class _Masked:
    """A question over a segment of which much is visible: only candidates for the k best are scored in full."""

    def __init__(
        self, segment: Segment, visible: Visible, frequencies: Frequencies, numbers: Sequence[int | None]
    ) -> None:
        self._segment, self._visible, self._frequencies, self._numbers = segment, visible, frequencies, numbers
        self._postings = [_NOWHERE if number is None else segment.postings(number) for number in numbers]
        self.holding = [
            len(chunks)
            if visible.is_whole
            else visible.holding(chunks, None if number is None else frequencies.bits(number))
            for number, (chunks, _) in zip(numbers, self._postings, strict=True)
        ]

    def score(self, weights: list[tuple[int, float]], average: float, k: int) -> tuple[Ids, F64]:
        """Return the candidates for the k best, and their scores."""
        ids = self._candidates(weights, average, k)
        numbers = [self._numbers[place] for place, _ in weights]
        found = self._frequencies.of(numbers, ids, ids.astype(np.uint32))
        norm = norms(self._segment.lengths(ids), average)
        return ids, _sum(zip((idf for _, idf in weights), found, strict=True), norm)

    def _candidates(self, weights: list[tuple[int, float]], average: float, k: int) -> Ids:
        """Return the visible chunks that can be among the k best, from the rarest terms that decide it."""
        with self._frequencies.zeros() as partial:
            seen: list[U32] = []
            threshold, rest = 0.0, sum(idf * MOST for _, idf in weights)
            bound = 0.0
            for place, idf in sorted(weights, key=lambda weight: len(self._postings[weight[0]][0])):
                chunks, tf = self._visible.cut(*self._postings[place])
                seen.append(chunks)
                sums = partial.take(chunks, mode="clip")
                lengths = self._segment.length.take(chunks, mode="clip").astype(np.float32)
                sums += gain(idf, tf, norms(lengths, average))
                partial[chunks] = sums
                rest -= idf * MOST
                threshold = max(threshold, reached(sums, k))
                bound = threshold * (1 - _SLACK) - rest
                if bound > 0:
                    break
            return _reaching(partial, seen, np.float32(bound))


def _reaching(partial: F32, seen: list[U32], bound: np.float32) -> Ids:
    """Return the chunks that were given something, ascending, if it reaches the bound; leave only zeros."""
    if sum(map(len, seen)) * _SPARSE > len(partial):
        found = np.flatnonzero(partial >= bound if bound > 0 else partial)
        partial.fill(0)
        return found
    some = [_NOWHERE[0]]
    for chunks in seen:
        some.append(chunks[partial.take(chunks, mode="clip") >= max(bound, _TINY)])
        partial[some[-1]] = 0  # a chunk that holds several terms comes once
    for chunks in seen:
        partial[chunks] = 0
    ids = np.concatenate(some)
    ids.sort()  # in four bytes each, which takes half as long
    return ids.astype(np.int64)


def _sum(terms: Iterable[tuple[float, Found]], norm: F64) -> F64:
    """Return the scores of chunks from (idf, term frequencies), added one by one in the order of the terms."""
    total = np.zeros(len(norm), dtype=np.float64)
    for idf, (_, tf) in terms:
        if tf is not None:
            total += gain(idf, tf, norm)
    return total
