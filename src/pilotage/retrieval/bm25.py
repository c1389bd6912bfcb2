"""BM25 over the asker's visible chunks only: N, df and average length never count a hidden chunk.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); idf with +1 inside the logarithm, as in
corpus-and-ledger.md 3.3. float64, element-wise, terms in byte order: the same chunk has the same score to the last bit
whatever else the index holds. Frequent words are looked up only for chunks that can still reach the best k (MaxScore,
Turtle and Flood 1995).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pilotage.retrieval.best import kth_best
from pilotage.retrieval.segment import F64, U8, U16, U32, Ids, Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Visible, meeting

K1 = 1.2
B = 0.75
MAX_TERMS = 64
# Partial sums are added in another order than final ones; this covers the difference many times over.
_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """Scores per segment, ids and scores of equal length: at least the k best and what ties with them."""

    parts: tuple[tuple[Ids, F64], ...]


# Tuples, because they are made for every term of every question.
class _Part(NamedTuple):
    """A term in one segment: its postings, its frequency in every chunk where it is frequent, and among few visible."""

    chunks: U32
    tf: U16
    everywhere: U8 | None
    listed: U8 | U16 | None

    def frequencies(self, ids: Ids) -> U8 | U16:
        """Return how often each of these ascending chunks holds the term."""
        if self.everywhere is not None:
            return self.everywhere[ids]
        found = np.zeros(len(ids), dtype=np.uint16)
        here, there = meeting(ids.astype(np.uint32), self.chunks)
        found[here] = self.tf[there]
        return found


class _Term(NamedTuple):
    """One query term: its idf over the visible chunks, how many of them hold it, and where it stands per segment."""

    idf: float
    holding: int
    parts: tuple[_Part | None, ...]


class _Held(NamedTuple):
    """One query term inside one segment."""

    idf: float
    part: _Part

    @property
    def ceiling(self) -> float:
        """No chunk gets more from this term: tf / (tf + norm) is below 1."""
        return self.idf * (K1 + 1)


def inverse_frequency(*, chunks: int, holding: int) -> float:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) for N visible chunks of which `holding` hold the term."""
    return math.log(1 + (chunks - holding + 0.5) / (holding + 0.5))


def idf_of(snapshot: Snapshot, view: View, terms: Iterable[str]) -> dict[str, float]:
    """Return the idf of each term over the visible chunks; an unseen term has df 0."""
    return {term: _term(snapshot, view, term).idf for term in sorted(set(terms), key=str.encode)}


def score(snapshot: Snapshot, view: View, terms: Iterable[str], k: int) -> Lexical:
    """Score the visible chunks that hold a query term; beyond 64 distinct terms the rarest 64 count."""
    found = [_term(snapshot, view, term) for term in sorted(set(terms), key=str.encode)]
    held = [term for term in found if term.holding]
    if len(held) > MAX_TERMS:
        rarest = sorted(range(len(held)), key=lambda index: (-held[index].idf, index))[:MAX_TERMS]
        held = [held[index] for index in sorted(rarest)]
    average = view.tokens / view.chunks if view.chunks else 0.0
    parts = []
    for number, (segment, visible) in enumerate(zip(snapshot.segments, view.parts, strict=True)):
        inside = [_Held(term.idf, part) for term in held if (part := term.parts[number]) is not None]
        parts.append(_Scoring(segment=segment, visible=visible, average=average, k=k).run(inside))
    return Lexical(parts=tuple(parts))


def _term(snapshot: Snapshot, view: View, term: str) -> _Term:
    parts: list[_Part | None] = []
    holding = 0
    for segment, visible, number in zip(snapshot.segments, view.parts, snapshot.term(term), strict=True):
        part = None
        if number is not None and visible.count:
            chunks, tf = segment.postings(number)
            part = _Part(chunks, tf, snapshot.everywhere(segment, number, chunks, tf), None)
            if visible.mask is None:
                listed = part.frequencies(visible.chunks)
                holding += int(np.count_nonzero(listed))
                part = _Part(chunks, tf, part.everywhere, listed)
            else:
                holding += visible.holding(chunks)
        parts.append(part)
    idf = inverse_frequency(chunks=view.chunks, holding=holding)
    return _Term(idf, holding, tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """One question over one segment: `average` is the mean length of the visible chunks, `k` how many are wanted."""

    segment: Segment
    visible: Visible
    average: float
    k: int

    def run(self, terms: list[_Held]) -> tuple[Ids, F64]:
        """Return the candidates for the k best, and their scores."""
        if not terms:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        if self.visible.mask is None:
            ids = self.visible.chunks
            rows = [term.part.listed for term in terms]
        else:
            ids = self._candidates(terms)
            rows = [term.part.frequencies(ids) for term in terms]
        tf = np.empty((len(terms), len(ids)), dtype=np.float64)
        for place, row in enumerate(rows):
            tf[place] = row
        total = self._sum([term.idf for term in terms], tf, ids)
        touched = np.flatnonzero(total)
        return ids[touched], total[touched]

    def _candidates(self, terms: list[_Held]) -> Ids:
        """Return the visible chunks that can be among the k best, from the rarest terms that decide it."""
        partial = np.zeros(self.segment.chunks, dtype=np.float64)
        seen: list[Ids] = []
        threshold, rest = 0.0, sum(term.ceiling for term in terms)
        for term in sorted(terms, key=lambda term: len(term.part.chunks)):
            chunks, tf = self.visible.cut(term.part.chunks, term.part.tf)
            partial[chunks] += self._sum([term.idf], tf[None, :], chunks)
            seen.append(chunks)
            rest -= term.ceiling
            if len(chunks) >= self.k:
                threshold = max(threshold, kth_best(partial[chunks], self.k))
            if rest < threshold * (1 - _SLACK):
                break
        bound = (threshold - rest) * (1 - _SLACK)
        return np.unique(np.concatenate([chunks[partial[chunks] >= bound] for chunks in seen]))

    def _sum(self, idf: list[float], tf: F64, ids: Ids) -> F64:
        """Return the scores of chunks from their term frequencies (terms, chunks), added in the order of the terms."""
        norms = K1 * (1 - B + B * self.segment.length[ids].astype(np.float64) / self.average)
        total = np.zeros(len(ids), dtype=np.float64)
        for row in np.array(idf)[:, None] * tf * (K1 + 1) / (tf + norms):
            total += row
        return total
