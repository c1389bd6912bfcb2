"""The chunks of one segment that one allowed set covers, in the form that counts and scores fastest.

Few chunks: an ascending id list, met by binary search. Many: a mask over all chunks. Both give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyroaring import BitMap

from pilotage.retrieval.segment import F64, U16, U32, Ids, Mask, Segment

_FEW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """`ids` are ascending chunk numbers; `mask` is None when they are few. `tokens` is the sum of their lengths."""

    ids: Ids
    mask: Mask | None
    tokens: int

    def cut(self, chunks: U32, tf: U16) -> tuple[Ids, F64]:
        """Return the postings whose chunk is visible."""
        if self.mask is not None:
            keep = self.mask[chunks]
            return chunks[keep].astype(np.int64), tf[keep].astype(np.float64)
        if not len(self.ids) or not len(chunks):
            return np.zeros(0, np.int64), np.zeros(0, np.float64)
        if len(self.ids) < len(chunks):
            places = np.searchsorted(chunks, self.ids.astype(np.uint32))
            inside = places < len(chunks)
            places = places[inside]
            hit = chunks[places] == self.ids[inside]
            return self.ids[inside][hit], tf[places[hit]].astype(np.float64)
        places = np.searchsorted(self.ids, chunks)
        places[places == len(self.ids)] = 0
        hit = self.ids[places] == chunks
        return chunks[hit].astype(np.int64), tf[hit].astype(np.float64)


def visible_chunks(segment: Segment, revisions: BitMap) -> Visible:
    """Return what an allowed set covers of a segment."""
    wanted = np.array(revisions, dtype=np.uint32) if len(revisions) else np.zeros(0, np.uint32)
    _, rows, _ = np.intersect1d(segment.revs, wanted, assume_unique=True, return_indices=True)
    first, count = segment.first[rows].astype(np.int64), segment.count[rows].astype(np.int64)
    total = int(count.sum())
    starts = np.cumsum(count) - count
    ids = np.arange(total, dtype=np.int64) + np.repeat(first - starts, count)
    mask = None
    if total * _FEW >= segment.chunks and total:
        mask = np.zeros(segment.chunks, dtype=np.bool_)
        mask[ids] = True
    return Visible(ids=ids, mask=mask, tokens=int(segment.length[ids].sum(dtype=np.int64)))
