"""The formulas of BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009).

idf with +1 inside the logarithm, as in corpus-and-ledger.md 3.3; float64, element-wise. Every number of the formulas
comes from visible chunks: N, df and average length never count a hidden one.
"""

from __future__ import annotations

import math
from typing import TypeVar

from pilotage.retrieval.arrays import F32, F64

Some = TypeVar("Some", F32, F64)
"""Exact figures, or those that only choose candidates."""

K1 = 1.2
B = 0.75
# No chunk gets more from a term than idf times this, since tf / (tf + norm) is below 1.
MOST = K1 + 1


def inverse_frequency(*, chunks: int, holding: int) -> float:
    """Return ln(1 + (N - df + 0.5) / (df + 0.5)) for N visible chunks of which `holding` hold the term."""
    return math.log(1 + (chunks - holding + 0.5) / (holding + 0.5))


def norms(lengths: Some, average: float) -> Some:
    """Return k1 (1 - b + b dl / avgdl) of chunks of these lengths in tokens."""
    found: Some = K1 * (1 - B + B * lengths / average)
    return found


def gain(idf: float, tf: Some, norm: Some) -> Some:
    """Return idf tf (k1 + 1) / (tf + norm): what one term gives to each chunk."""
    found: Some = tf * idf
    found *= K1 + 1
    found /= tf + norm
    return found
