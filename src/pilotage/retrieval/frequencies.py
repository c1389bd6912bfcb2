"""How often given chunks of one segment hold given terms.

A rare term is looked for in its postings. A frequent one, in one chunk of 16 or more, is spread once over a row with a
byte for every chunk, which saves a binary search per chunk and question. Rows are filled before they are shown and
never change, so threads may share them; at most 160 of them cost 16 MB per 100,000 chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from pilotage.retrieval.segment import F64, U8, U16, U32, Ids, Segment

Found: TypeAlias = tuple[int, F64 | None]
"""How many of some chunks hold a term, and how often each does; None where none of them does."""

_NOTHING: Final[Found] = 0, None
_FREQUENT = 16
_ROWS = 160
_MAX_BYTE = 255


class Frequencies:
    """Term frequencies of one segment."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._frequent = -(-segment.chunks // _FREQUENT)
        self._rows: dict[int, U8 | None] = {}

    def of(self, terms: Sequence[int | None], ids: Ids, short: U32) -> list[Found]:
        """Return what is found of each term in these ascending chunks.

        `short` are the same chunks in the type of the postings; a term that no chunk of the segment holds is None.
        """
        rows, found = self._rows, list[Found]()
        for term in terms:
            if term is None or not len(ids):
                found.append(_NOTHING)
                continue
            row = rows.get(term)
            if row is None:
                chunks, tf = self._segment.postings(term)
                if len(chunks) < self._frequent or term in rows or (row := self._spread(term, chunks, tf)) is None:
                    found.append(_meet(short, chunks, tf))
                    continue
            here = row.take(ids, mode="clip")
            holding = int(np.count_nonzero(here))
            found.append((holding, here.astype(np.float64)) if holding else _NOTHING)
        return found

    def _spread(self, term: int, chunks: U32, tf: U16) -> U8 | None:
        row = None
        if len(self._rows) < _ROWS and int(tf.max()) <= _MAX_BYTE:
            row = np.zeros(self._segment.chunks, dtype=np.uint8)
            row[chunks] = tf
        return self._rows.setdefault(term, row)


def _meet(wanted: U32, chunks: U32, tf: U16) -> Found:
    """Return what the postings of a term say of wanted chunks; both ascend."""
    places = chunks.searchsorted(wanted)
    hits = chunks.take(places, mode="clip") == wanted
    at = hits.nonzero()[0]
    if not len(at):
        return _NOTHING
    found = np.zeros(len(wanted), dtype=np.float64)
    found[at] = tf.take(places.take(at))
    return len(at), found
