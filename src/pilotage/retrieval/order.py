"""Best first, and between equals the document id, the first day in force, the ordinal; never an internal number.

Numbers inside an index would show when hidden documents arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from pilotage.retrieval.arrays import F64, Ids
from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot

Origin: TypeAlias = tuple[int, int]
"""(revision, ordinal) of a chunk."""

# So few are sorted as fast as the best of them are found.
_FEW = 256

Settle: TypeAlias = Callable[[Ids], F64]
"""Returns the exact scores of chunks."""


def best_of(
    segment: Segment, ids: Ids, scores: F64, k: int, *, margin: float = 0.0, settle: Settle | None = None
) -> Ids:
    """Return the places in `ids` of the k best, best first.

    Scores off by less than half of `margin` order all chunks but those that stand as close as that to the next one;
    these are settled by their exact scores.
    """
    some = at_least_best(scores, k, margin=margin) if len(ids) > _FEW else None
    if some is not None:
        ids, scores = ids.take(some), scores.take(some)
    ranks = (-scores).argsort()
    falling = scores.take(ranks)
    at = _unsure((falling[:-1] - falling[1:] <= margin).nonzero()[0].tolist(), k)
    if at:
        unsure = ranks.take(at)
        chunks = ids.take(unsure)
        exact = falling.take(at) if settle is None else settle(chunks)
        ranks[at] = unsure.take(np.lexsort((segment.order.take(chunks), -exact)))
    return ranks[:k] if some is None else some.take(ranks[:k])


def _unsure(close: list[int], k: int) -> list[int]:
    """Return the ranks that stand close to the next or the one before, as far as that decides about the first k.

    `close` are the ranks that stand close to the next one, ascending.
    """
    end = k
    at: set[int] = set()
    for rank in close:
        if rank >= end:
            break
        at |= {rank, rank + 1}
        end = max(end, rank + 2)
    return sorted(at)


def best_first(snapshot: Snapshot, parts: Sequence[tuple[Ids, F64]], k: int) -> tuple[list[int], list[float]]:
    """Return the places and exact scores of the k best over all segments; a part holds chunks and scores of one."""
    places: list[int] = []
    values: list[float] = []
    start = 0
    for (ids, scores), segment in zip(parts, snapshot.segments, strict=True):
        ranked = best_of(segment, ids, scores, k)
        places += (ids.take(ranked) + start).tolist()
        values += scores.take(ranked).tolist()
        start += segment.chunks
    if sum(len(ids) > 0 for ids, _ in parts) > 1:
        ties = [tie(snapshot, origin) for origin in snapshot.origins(places)]
        ordered = sorted(range(len(places)), key=lambda index: (-values[index], ties[index]))
        places, values = [places[index] for index in ordered], [values[index] for index in ordered]
    return places[:k], values[:k]


def tie(snapshot: Snapshot, origin: Origin) -> tuple[bytes, int, int]:
    """Return what decides between equal scores."""
    rev, ordinal = origin
    return snapshot.visibility.documents[rev], snapshot.visibility.spans[rev][0], ordinal
