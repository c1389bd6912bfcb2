"""Exact nearest neighbours among the visible chunks.

Candidates come from a float32 product: every row within 1e-4 of the k-th best. Their order is that of their float64
products, summed row by row and rounded to 9 decimals: a matrix product's last bits depend on how many rows it has, a
row sum does not. So hidden chunks cannot move a visible passage (corpus-and-ledger.md 3.4). The float32 product of two
unit vectors of n numbers is off by at most n 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1): rows
that stand further apart than twice that are in order already, and only the others need the second sum.
"""

from __future__ import annotations

import numpy as np

from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.order import best_first, best_of
from pilotage.retrieval.segment import F32, F64, Ids, Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Visible

_MARGIN = 1e-4
_DECIMALS = 9
# Gathering rows copies them; above this share the product over the whole matrix is cheaper.
_WHOLE_SHARE = 0.4
# Rows gathered at once: they stay in a core's cache until they are multiplied.
_ROWS = 256


def nearest(snapshot: Snapshot, view: View, query: F32, k: int) -> list[int]:
    """Return the places of the k nearest visible chunks, nearest first; `query` has length 1."""
    if len(snapshot.segments) == 1:
        places: list[int] = _nearest(snapshot.segments[0], view.parts[0], query, k).tolist()
        return places
    parts: list[tuple[Ids, F64]] = []
    for segment, part in zip(snapshot.segments, view.parts, strict=True):
        ids = _nearest(segment, part, query, k)
        matrix = segment.vectors
        parts.append((ids, np.zeros(0, np.float64) if matrix is None else _exact(matrix, ids, query)))
    return best_first(snapshot, parts, k)[0]


def _nearest(segment: Segment, part: Visible, query: F32, k: int) -> Ids:
    matrix = segment.vectors
    if matrix is None or not part.count:
        return np.zeros(0, np.int64)
    ids = segment.with_vector(part.chunks) if part.few is None else part.few.with_vector
    rough = _product(matrix, ids, query)
    doubt = _doubt(len(query))
    if len(ids) > _ROWS:
        best = at_least_best(rough, k, margin=max(_MARGIN, doubt))
        ids, rough = ids.take(best), rough.take(best)
    scores = rough.astype(np.float64)
    return ids.take(best_of(segment, ids, scores, k, margin=doubt, settle=lambda few: _exact(matrix, few, query)))


def _doubt(dimension: int) -> float:
    """Return how close two float32 products may stand without telling which is greater; a little more for rounding."""
    return (dimension + 16) * 2.0**-23


def _exact(matrix: F32, ids: Ids, query: F32) -> F64:
    rows = matrix.take(ids, axis=0, mode="clip").astype(np.float64)
    rows *= query.astype(np.float64)
    found: F64 = rows.sum(axis=1).round(_DECIMALS)
    return found


def _product(matrix: F32, ids: Ids, query: F32) -> F32:
    if len(ids) == len(matrix):
        return matrix @ query
    if len(ids) > _WHOLE_SHARE * len(matrix):
        return (matrix @ query)[ids]
    if len(ids) <= _ROWS:
        rows: F32 = matrix.take(ids, axis=0, mode="clip")
        products: F32 = rows.dot(query)
        return products
    rough = np.empty(len(ids), dtype=np.float32)
    rows = np.empty((_ROWS, matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), _ROWS):
        some = ids[start : start + _ROWS]
        np.take(matrix, some, axis=0, out=rows[: len(some)], mode="clip")
        np.dot(rows[: len(some)], query, out=rough[start : start + len(some)])
    return rough
