"""How often given chunks of one segment hold given terms.

A rare term is looked for in its postings. A frequent one, in one chunk of 16 or more, is spread once over a row with a
byte for every chunk, which saves a binary search per chunk and question. Rows are filled before they are shown and
never change, so threads may share them; at most 160 of them cost 16 MB per 100,000 chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotage.retrieval.segment import F64, U8, U32, Ids, Segment

_FREQUENT = 16
_ROWS = 160
_MAX_BYTE = 255


class Frequencies:
    """Term frequencies of one segment."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._rows: dict[int, U8 | None] = {}

    def of(self, terms: Sequence[int | None], ids: Ids) -> F64:
        """Return the frequencies (terms, chunks) in these ascending chunks; None is a term no chunk holds."""
        found = np.zeros((len(terms), len(ids)), dtype=np.float64)
        short = ids.astype(np.uint32)
        for place, term in enumerate(terms):
            if term is None:
                continue
            row = self._row(term)
            if row is None:
                chunks, tf = self._segment.postings(term)
                here, there = meeting(short, chunks)
                found[place, here] = tf[there]
            else:
                found[place] = row[ids]
        return found

    def _row(self, term: int) -> U8 | None:
        if term in self._rows:
            return self._rows[term]
        chunks, tf = self._segment.postings(term)
        if len(chunks) * _FREQUENT < self._segment.chunks:
            return None
        row = None
        if len(self._rows) < _ROWS and int(tf.max()) <= _MAX_BYTE:
            row = np.zeros(self._segment.chunks, dtype=np.uint8)
            row[chunks] = tf
        return self._rows.setdefault(term, row)


def meeting(one: U32, other: U32) -> tuple[Ids, Ids]:
    """Return the places in each of two ascending arrays of the numbers that both hold."""
    if len(one) > len(other):
        places, found = meeting(other, one)
        return found, places
    if not len(one):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = np.searchsorted(other, one)
    places[places == len(other)] = 0
    hits = np.flatnonzero(other[places] == one)
    return hits, places[hits]
