"""The chunks of one segment that one allowed set covers, in the form that counts and scores fastest.

Few chunks: an ascending id list, met by binary search. Many: a mask over all chunks. Both give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyroaring import BitMap

from pilotage.retrieval.arrays import F32, U16, U32, U64, Ids, Mask, packed
from pilotage.retrieval.segment import Segment

# A list of one chunk in eight takes as many bytes as the mask.
_FEW = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Few:
    """A list of visible chunks, with what every question of the asker needs of them.

    `ids` ascending; `short` the same in the type of the postings; `with_vector` those that have one.
    """

    ids: Ids
    short: U32
    with_vector: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """Either `few` chunks or a `mask` over all, also packed as `bits`. `tokens` sums the chunks' lengths."""

    count: int
    tokens: int
    few: Few | None
    mask: Mask | None
    bits: U64 | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether every chunk of the segment is visible."""
        return self.mask is not None and self.count == len(self.mask)

    def among(self, wanted: Mask) -> Ids:
        """Return the visible chunks that are wanted, ascending. For a mask only."""
        assert self.mask is not None
        return np.flatnonzero(self.mask & wanted)

    def cut_to(self, ids: Ids, chunks: int) -> Ids:
        """Return those of these chunks that are visible; `chunks` are all of the segment."""
        if self.is_whole:
            return ids
        mask = self.mask
        if mask is None:
            assert self.few is not None
            mask = np.zeros(chunks, dtype=np.bool_)
            mask[self.few.ids] = True
        return ids[mask[ids]]

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        few = self.few
        held = (self.mask, self.bits) if few is None else (few.ids, few.short, few.with_vector)
        return sum(array.nbytes for array in held if array is not None)

    def holding(self, chunks: U32, bits: U64 | None) -> int:
        """Return how many postings are visible, the document frequency; `bits` are the same packed. For a mask only."""
        assert self.mask is not None
        assert self.bits is not None
        if bits is None:
            return int(np.count_nonzero(self.mask[chunks]))
        return int(np.bitwise_count(bits & self.bits).sum(dtype=np.int64))

    def cut(self, chunks: U32, tf: U16) -> tuple[U32, F32]:
        """Return the visible postings. For a mask only."""
        assert self.mask is not None
        if self.is_whole:
            return chunks, tf.astype(np.float32)
        keep = np.flatnonzero(self.mask[chunks])
        return chunks[keep], tf[keep].astype(np.float32)


def visible_chunks(segment: Segment, revisions: BitMap) -> Visible:
    """Return what an allowed set covers of a segment."""
    wanted = np.array(revisions, dtype=np.uint32) if len(revisions) else np.zeros(0, np.uint32)
    places = np.searchsorted(segment.revs, wanted)
    inside = places < len(segment.revs)
    rows = places[inside]
    rows = rows[segment.revs[rows] == wanted[inside]]
    first, count = segment.first[rows].astype(np.int64), segment.count[rows].astype(np.int64)
    total = int(count.sum())
    starts = np.cumsum(count) - count
    ids = np.arange(total, dtype=np.int64) + np.repeat(first - starts, count)
    tokens = int(segment.length[ids].sum(dtype=np.int64))
    if total * _FEW < segment.chunks or not total:
        few = Few(ids=ids, short=ids.astype(np.uint32), with_vector=segment.with_vector(ids))
        return Visible(count=total, tokens=tokens, few=few, mask=None)
    mask = np.zeros(segment.chunks, dtype=np.bool_)
    mask[ids] = True
    return Visible(count=total, tokens=tokens, few=None, mask=mask, bits=packed(mask))
