"""Exact nearest neighbours among the visible chunks.

Candidates come from a float32 product; every row within 1e-4 of the k-th best is scored again in float64, row by row,
and rounded to 9 decimals: a matrix product's last bits depend on how many rows it has, a row sum does not. So hidden
chunks cannot move a visible score (corpus-and-ledger.md 3.4).
"""

from __future__ import annotations

import numpy as np

from pilotage.retrieval.segment import F32, F64, Ids, Segment
from pilotage.retrieval.snapshot import Snapshot, View

_MARGIN = 1e-4
_DECIMALS = 9
# Gathering rows copies them; above this share the product over the whole matrix is cheaper.
_WHOLE_SHARE = 0.4


def nearest(snapshot: Snapshot, view: View, query: F32, k: int) -> tuple[tuple[Ids, F64], ...]:
    """Return per segment the chunks that may be among the k best, with their exact scores; `query` has length 1."""
    return tuple(
        _nearest(segment, part.ids, query, k) for segment, part in zip(snapshot.segments, view.parts, strict=True)
    )


def _nearest(segment: Segment, ids: Ids, query: F32, k: int) -> tuple[Ids, F64]:
    matrix, present = segment.vectors, segment.has_vector
    if matrix is None or present is None or not len(ids):
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    ids = ids[present[ids]]
    if not len(ids):
        return ids, np.zeros(0, np.float64)
    rough = (matrix @ query)[ids] if len(ids) > _WHOLE_SHARE * len(matrix) else matrix[ids] @ query
    if len(ids) > k:
        bound = np.partition(rough, len(ids) - k)[len(ids) - k]
        ids = ids[rough >= bound - _MARGIN]
    exact = (matrix[ids].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    return ids, np.round(exact, _DECIMALS)
