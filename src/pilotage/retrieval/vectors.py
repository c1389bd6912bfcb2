"""Exact nearest neighbours among the visible chunks.

Candidates come from a float32 product; every row within 1e-4 of the k-th best is scored again in float64, row by row,
and rounded to 9 decimals: a matrix product's last bits depend on how many rows it has, a row sum does not. So hidden
chunks cannot move a visible score (corpus-and-ledger.md 3.4).
"""

from __future__ import annotations

import numpy as np

from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.segment import F32, F64, Ids, Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Visible

_MARGIN = 1e-4
_DECIMALS = 9
# Gathering rows copies them; above this share the product over the whole matrix is cheaper.
_WHOLE_SHARE = 0.4
# Rows gathered at once: they stay in a core's cache until they are multiplied.
_ROWS = 256


def nearest(snapshot: Snapshot, view: View, query: F32, k: int) -> tuple[tuple[Ids, F64], ...]:
    """Return per segment the chunks that may be among the k best, with their exact scores; `query` has length 1."""
    return tuple(_nearest(segment, part, query, k) for segment, part in zip(snapshot.segments, view.parts, strict=True))


def _nearest(segment: Segment, part: Visible, query: F32, k: int) -> tuple[Ids, F64]:
    matrix, present = segment.vectors, segment.has_vector
    if matrix is None or present is None or not part.count:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    ids = part.chunks
    has_one = present[ids]
    if not has_one.all():
        ids = ids[has_one]
    rough = _product(matrix, ids, query)
    ids = ids[at_least_best(rough, k, margin=_MARGIN)]
    exact = (matrix[ids].astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    return ids, np.round(exact, _DECIMALS)


def _product(matrix: F32, ids: Ids, query: F32) -> F32:
    if len(ids) == len(matrix):
        return matrix @ query
    if len(ids) > _WHOLE_SHARE * len(matrix):
        return (matrix @ query)[ids]
    rough = np.empty(len(ids), dtype=np.float32)
    rows = np.empty((min(_ROWS, len(ids)), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), _ROWS):
        some = ids[start : start + _ROWS]
        np.take(matrix, some, axis=0, out=rows[: len(some)], mode="clip")
        np.dot(rows[: len(some)], query, out=rough[start : start + len(some)])
    return rough
