"""The k best of many scores, found without sorting them all.

Every score that ties with the k-th best is kept, so that ties are broken by the caller's rule and not by position.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pilotage.retrieval.segment import F32, F64, Ids

Scores: TypeAlias = F32 | F64

_BLOCK = 64


def at_least_best(scores: Scores, k: int, *, margin: float = 0.0) -> Ids:
    """Return the places of all scores that are no more than `margin` below the k-th best."""
    if len(scores) <= k:
        return np.arange(len(scores), dtype=np.int64)
    bound = _low_bound(scores, k)
    places = np.flatnonzero(scores >= bound - margin)
    if len(places) > k:
        kept = scores[places]
        places = places[kept >= kth_best(kept, k) - margin]
    return places


def kth_best(scores: Scores, k: int) -> float:
    """Return the k-th best score; there are at least k."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])


def _low_bound(scores: Scores, k: int) -> float:
    """Return a score that at least k reach: the k-th best of block maxima, each being one score of its block."""
    blocks = len(scores) // _BLOCK
    if blocks < 2 * k:
        return kth_best(scores, k)
    maxima: NDArray[np.float32] | NDArray[np.float64] = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
    return kth_best(maxima, k)
