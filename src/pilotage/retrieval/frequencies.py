"""How often given chunks of one segment hold given terms.

A rare term is looked for in its postings. A frequent one, in one chunk of 16 or more, is spread once over a row with a
byte for every chunk, which saves a binary search per chunk and question, and packed into bits, which count fastest.
Rows are filled before they are shown and never change, so threads may share them; at most 160 of them cost 18 MB per
100,000 chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import numpy as np

from pilotage.retrieval.arrays import F32, F64, U8, U16, U32, U64, Ids, packed
from pilotage.retrieval.segment import Segment

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
        self._bits: dict[int, U64] = {}
        self._free: list[F32] = []

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

    def bits(self, term: int) -> U64 | None:
        """Return which chunks hold a frequent term, packed; None for a rare one."""
        found = self._bits.get(term)
        if found is None and (row := self._row(term)) is not None:
            found = self._bits.setdefault(term, packed(row > 0))
        return found

    @contextmanager
    def zeros(self) -> Iterator[F32]:
        """Lend a zero for each chunk; it comes back as it was lent. One that an error kept is not lent again."""
        try:
            lent = self._free.pop()
        except IndexError:
            lent = np.zeros(self._segment.chunks, dtype=np.float32)
        yield lent
        self._free.append(lent)

    def _row(self, term: int) -> U8 | None:
        if term in self._rows:
            return self._rows[term]
        chunks, tf = self._segment.postings(term)
        return None if len(chunks) < self._frequent else self._spread(term, chunks, tf)

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
    holding = int(np.count_nonzero(hits))
    if not holding:
        return _NOTHING
    found = tf.take(places, mode="clip").astype(np.float64)
    found *= hits
    return holding, found
