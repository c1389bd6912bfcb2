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

import numpy as np

from pilotage.retrieval.best import kth_best
from pilotage.retrieval.segment import F64, U16, U32, Ids, Segment
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """One query term: its idf over the visible chunks, how many of them hold it, and where it stands per segment."""

    idf: float
    holding: int
    parts: tuple[_Postings | None, ...]


@dataclass(frozen=True, slots=True)
class _Postings:
    """A term's postings in one segment; where few chunks are visible, those that are (places among the visible)."""

    chunks: U32
    tf: U16
    places: Ids | None


@dataclass(frozen=True, slots=True)
class _Held:
    """One query term inside one segment."""

    idf: float
    postings: _Postings

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
    for number, (segment, part) in enumerate(zip(snapshot.segments, view.parts, strict=True)):
        inside = [_Held(term.idf, postings) for term in held if (postings := term.parts[number]) is not None]
        parts.append(_Scoring(segment=segment, part=part, average=average, k=k).run(inside))
    return Lexical(parts=tuple(parts))


def _term(snapshot: Snapshot, view: View, term: str) -> _Term:
    parts: list[_Postings | None] = []
    holding = 0
    for segment, visible, number in zip(snapshot.segments, view.parts, snapshot.term(term), strict=True):
        if number is None or not visible.count:
            parts.append(None)
            continue
        chunks, tf = segment.postings(number)
        if visible.mask is None:
            places, hits = visible.meet(chunks)
            holding += len(places)
            parts.append(_Postings(chunks, tf[hits], places))
        else:
            holding += visible.holding(chunks)
            parts.append(_Postings(chunks, tf, None))
    idf = inverse_frequency(chunks=view.chunks, holding=holding)
    return _Term(idf=idf, holding=holding, parts=tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """One question over one segment: `average` is the mean length of the visible chunks, `k` how many are wanted."""

    segment: Segment
    part: Visible
    average: float
    k: int

    def run(self, terms: list[_Held]) -> tuple[Ids, F64]:
        """Return the candidates for the k best, and their scores."""
        if not terms or not self.part.count:
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        return self._listed(terms) if self.part.mask is None else self._score(self._candidates(terms), terms)

    def _listed(self, terms: list[_Held]) -> tuple[Ids, F64]:
        """Score a short list of visible chunks, all of them."""
        ids = self.part.chunks
        norms = self._norms(ids)
        total = np.zeros(len(ids), dtype=np.float64)
        for term in terms:
            places, tf = term.postings.places, term.postings.tf.astype(np.float64)
            total[places] += term.idf * tf * (K1 + 1) / (tf + norms[places])
        touched = np.flatnonzero(total)
        return ids[touched], total[touched]

    def _candidates(self, terms: list[_Held]) -> Ids:
        """Return the visible chunks that can be among the k best, from the rarest terms that decide it."""
        partial = np.zeros(self.segment.chunks, dtype=np.float64)
        seen: list[Ids] = []
        threshold, rest = 0.0, sum(term.ceiling for term in terms)
        for term in sorted(terms, key=lambda term: len(term.postings.chunks)):
            chunks, tf = self.part.cut(term.postings.chunks, term.postings.tf)
            partial[chunks] += term.idf * tf * (K1 + 1) / (tf + self._norms(chunks))
            seen.append(chunks)
            rest -= term.ceiling
            if len(chunks) >= self.k:
                threshold = max(threshold, kth_best(partial[chunks], self.k))
            if rest < threshold * (1 - _SLACK):
                break
        bound = (threshold - rest) * (1 - _SLACK)
        return np.unique(np.concatenate([chunks[partial[chunks] >= bound] for chunks in seen]))

    def _score(self, ids: Ids, terms: list[_Held]) -> tuple[Ids, F64]:
        """Score these chunks by every term, in byte order."""
        norms = self._norms(ids)
        total = np.zeros(len(ids), dtype=np.float64)
        short = ids.astype(np.uint32)
        for term in terms:
            hit, places = meeting(short, term.postings.chunks)
            tf = term.postings.tf[places].astype(np.float64)
            total[hit] += term.idf * tf * (K1 + 1) / (tf + norms[hit])
        return ids, total

    def _norms(self, ids: Ids) -> F64:
        return K1 * (1 - B + B * self.segment.length[ids].astype(np.float64) / self.average)
