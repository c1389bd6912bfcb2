"""The k best of many scores, found without sorting them all.

Every score that ties with the k-th best is kept, so that ties are broken by the caller's rule and not by position.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from pilotage.retrieval.arrays import F32, F64, Ids

Scores: TypeAlias = F32 | F64

_BLOCK = 64


def at_least_best(scores: Scores, k: int, *, margin: float = 0.0) -> Ids:
    """Return the places of all scores that are no more than `margin` below the k-th best."""
    if len(scores) <= k:
        return np.arange(len(scores), dtype=np.int64)
    if len(scores) < 2 * k * _BLOCK:
        return (scores >= kth_best(scores, k) - margin).nonzero()[0]
    places = (scores >= reached(scores, k) - margin).nonzero()[0]
    kept = scores[places]
    return places[kept >= kth_best(kept, k) - margin]


def reached(scores: Scores, k: int) -> float:
    """Return a score that at least k reach, close to the k-th best; 0 when there are fewer than k."""
    if len(scores) < k:
        return 0.0
    blocks = len(scores) // _BLOCK
    if blocks < 2 * k:
        return kth_best(scores, k)
    # The k-th best of block maxima, each being one score of its block.
    maxima: Scores = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
    return kth_best(maxima, k)


def kth_best(scores: Scores, k: int) -> float:
    """Return the k-th best score; there are at least k."""
    ordered = scores.copy()
    ordered.partition(len(scores) - k)
    return float(ordered[len(scores) - k])
