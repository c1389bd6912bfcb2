"""BM25 over the asker's visible chunks only: N, df and average length never count a hidden chunk.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); idf with +1 inside the logarithm, as in
corpus-and-ledger.md 3.3. float64, element-wise, terms in byte order: the same chunk has the same score to the last bit
whatever else the index holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pilotage.retrieval.segment import F64, U32, Ids
from pilotage.retrieval.snapshot import Snapshot, View

K1 = 1.2
B = 0.75
MAX_TERMS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """Scores of the chunks that hold a query term, per segment: ids and scores of equal length."""

    parts: tuple[tuple[Ids, F64], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """One query term: its idf and its visible postings per segment."""

    idf: float
    postings: tuple[tuple[Ids, F64], ...]


def inverse_frequency(*, chunks: int, holding: int) -> float:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) for N visible chunks of which `holding` hold the term."""
    return math.log(1 + (chunks - holding + 0.5) / (holding + 0.5))


def idf_of(snapshot: Snapshot, view: View, terms: Iterable[str]) -> dict[str, float]:
    """Return the idf of each term over the visible chunks; an unseen term has df 0."""
    return {term: _term(snapshot, view, term).idf for term in sorted(set(terms), key=str.encode)}


def score(snapshot: Snapshot, view: View, terms: Iterable[str]) -> Lexical:
    """Score every visible chunk that holds a query term; beyond 64 distinct terms the rarest 64 count."""
    found = [_term(snapshot, view, term) for term in sorted(set(terms), key=str.encode)]
    held = [term for term in found if any(len(ids) for ids, _ in term.postings)]
    if len(held) > MAX_TERMS:
        rarest = sorted(range(len(held)), key=lambda index: (-held[index].idf, index))[:MAX_TERMS]
        held = [held[index] for index in sorted(rarest)]
    average = view.tokens / view.chunks if view.chunks else 0.0
    return Lexical(
        parts=tuple(
            _accumulate([(term.idf, term.postings[number]) for term in held], segment.length, average)
            for number, segment in enumerate(snapshot.segments)
        )
    )


def _term(snapshot: Snapshot, view: View, term: str) -> _Term:
    postings: list[tuple[Ids, F64]] = []
    for segment, visible in zip(snapshot.segments, view.parts, strict=True):
        number = segment.term(term)
        if number is None:
            postings.append((np.zeros(0, np.int64), np.zeros(0, np.float64)))
        else:
            postings.append(visible.cut(*segment.postings(number)))
    holding = sum(len(ids) for ids, _ in postings)
    return _Term(idf=inverse_frequency(chunks=view.chunks, holding=holding), postings=tuple(postings))


def _accumulate(terms: list[tuple[float, tuple[Ids, F64]]], lengths: U32, average: float) -> tuple[Ids, F64]:
    held = [(idf, ids, tf) for idf, (ids, tf) in terms if len(ids)]
    if not held:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    touched = np.unique(np.concatenate([ids for _, ids, _ in held]))
    total = np.zeros(len(touched), dtype=np.float64)
    for idf, ids, tf in held:
        norm = K1 * (1 - B + B * lengths[ids].astype(np.float64) / average)
        total[np.searchsorted(touched, ids)] += idf * tf * (K1 + 1) / (tf + norm)
    return touched, total
