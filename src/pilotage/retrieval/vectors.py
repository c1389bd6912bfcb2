"""Nearest neighbours among the visible chunks, exact among all of them or among those in the nearest cells.

Candidates come from a float32 product: every row within 1e-4 of the k-th best. Their order is that of their float64
products, summed row by row and rounded to 9 decimals: a matrix product's last bits depend on how many rows it has, a
row sum does not. So hidden chunks cannot move a visible passage (corpus-and-ledger.md 3.4). The float32 product of two
unit vectors of n numbers is off by at most n 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1): rows
that stand further apart than twice that are in order already, and only the others need the second sum.

Approximate, beyond 20,000 visible chunks: all visible chunks of the cells nearest to the question are scored as above;
when these are fewer than asked for, all visible chunks are. Which cells, their contents and both counts depend on the
question, the release's quantiser and visible chunks only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from pilotage.core.digest import Digest
from pilotage.retrieval.arrays import F32, F64, U32, Ids
from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.order import best_first, best_of
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot, View
from pilotage.retrieval.visible import Visible

EXACT_CHUNKS: Final = 20_000
_MARGIN = 1e-4
_DECIMALS = 9
# Gathering rows copies them; above this share the product over the whole matrix is cheaper.
_WHOLE_SHARE = 0.4
# Rows gathered at once: they stay in a core's cache until they are multiplied.
_ROWS = 256


def nearest(snapshot: Snapshot, view: View, query: F32, k: int, *, cells: Digest | None = None) -> list[int]:
    """Return the places of the k nearest visible chunks, nearest first; `query` has length 1.

    `cells` name the quantiser of the approximate mode; None, or another than the index has, is exact.
    """
    chosen = _probed(snapshot, view, query) if cells and cells == snapshot.cells and view.chunks > EXACT_CHUNKS else []
    if sum(map(len, chosen)) < k:
        chosen = [_with_vector(segment, part) for segment, part in zip(snapshot.segments, view.parts, strict=True)]
    if len(snapshot.segments) == 1:
        places: list[int] = _nearest(snapshot.segments[0], chosen[0], query, k).tolist()
        return places
    parts: list[tuple[Ids, F64]] = []
    for segment, some in zip(snapshot.segments, chosen, strict=True):
        ids = _nearest(segment, some, query, k)
        parts.append((ids, _exact(segment, ids, query)))
    return best_first(snapshot, parts, k)[0]


def _probed(snapshot: Snapshot, view: View, query: F32) -> list[Ids]:
    """Return all visible chunks of the cells that a question looks into, by segment."""
    found: list[Ids] = []
    wanted: Ids | None = None
    for segment, part in zip(snapshot.segments, view.parts, strict=True):
        if segment.quantiser is None:  # a segment without vectors
            found.append(np.zeros(0, np.int64))
            continue
        wanted = segment.quantiser.probed(query) if wanted is None else wanted
        found.append(part.cut_to(segment.in_cells(wanted), segment.chunks))
    return found


def _with_vector(segment: Segment, part: Visible) -> Ids:
    """Return the visible chunks that hold a vector."""
    if part.few is not None:
        return part.few.with_vector
    return np.zeros(0, np.int64) if segment.has_vector is None else part.among(segment.has_vector)


def _nearest(segment: Segment, ids: Ids, query: F32, k: int) -> Ids:
    if segment.vectors is None or not len(ids):
        return np.zeros(0, np.int64)
    rough = _product(segment.vectors, segment.rows_of(ids), query)
    doubt = _doubt(len(query))
    if len(ids) > _ROWS:
        best = at_least_best(rough, k, margin=max(_MARGIN, doubt))
        ids, rough = ids.take(best), rough.take(best)
    scores = rough.astype(np.float64)
    return ids.take(best_of(segment, ids, scores, k, margin=doubt, settle=lambda few: _exact(segment, few, query)))


def _doubt(dimension: int) -> float:
    """Return how close two float32 products may stand without telling which is greater; a little more for rounding."""
    return (dimension + 16) * 2.0**-23


def _exact(segment: Segment, ids: Ids, query: F32) -> F64:
    if segment.vectors is None:
        return np.zeros(0, np.float64)
    rows = segment.vectors.take(segment.rows_of(ids), axis=0, mode="clip").astype(np.float64)
    rows *= query.astype(np.float64)
    found: F64 = rows.sum(axis=1).round(_DECIMALS)
    return found


def _product(matrix: F32, places: Ids | U32, query: F32) -> F32:
    if len(places) > _WHOLE_SHARE * len(matrix):
        whole: F32 = matrix @ query
        return whole.take(places)
    if len(places) <= _ROWS:
        rows: F32 = matrix.take(places, axis=0, mode="clip")
        products: F32 = rows.dot(query)
        return products
    rough = np.empty(len(places), dtype=np.float32)
    ends = (places[1:] != places[:-1] + 1).nonzero()[0] + 1
    if len(ends) * _ROWS <= len(places):  # the rows of whole cells stand together: they are multiplied where they are
        for start, end in pairwise((0, *ends.tolist(), len(places))):
            first = int(places[start])
            np.dot(matrix[first : first + end - start], query, out=rough[start:end])
        return rough
    rows = np.empty((_ROWS, matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(places), _ROWS):
        some = places[start : start + _ROWS]
        np.take(matrix, some, axis=0, out=rows[: len(some)], mode="clip")
        np.dot(rows[: len(some)], query, out=rough[start : start + len(some)])
    return rough
