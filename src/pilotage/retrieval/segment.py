"""One immutable piece of an index: postings, lengths and vectors of a set of revisions, as flat arrays.

Chunks are numbered from 0 inside a segment. `order` ranks chunks by (document id, effective_from, ordinal), so that
ties never depend on internal numbers, which would show when hidden documents arrived. Arrays may be memory-mapped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilotage.retrieval.arrays import F32, F64, U8, U16, U32, U64, Ids, Mask
from pilotage.retrieval.quantiser import Quantiser


class _Terms(Sequence[bytes]):
    """The sorted vocabulary as a sequence of byte strings over one buffer."""

    __slots__ = ("_offsets", "_text")

    def __init__(self, text: U8, offsets: U64) -> None:
        self._text = text
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]
        return self._text[int(self._offsets[index]) : int(self._offsets[index + 1])].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Arrays over n chunks, r revisions, t terms and p postings.

    `revs` (r, ascending), `first` (r), `count` (r): the chunks of each revision. `ordinal`, `length` (analyser tokens)
    and `order` (n). `terms_text` and `terms_offsets` (t + 1): sorted UTF-8 vocabulary. `post_ptr` (t + 1), `post_chunk`
    and `post_tf` (p). `vectors` (n, d) unit float32 or None; `has_vector` (n) tells which rows hold one.
    With a `quantiser`, rows of `vectors` are those of chunks that hold one, cell by cell: `rows` (n) tells the row of a
    chunk, `cell_ptr` (c + 1) and `cell_chunks` list the chunks of each cell.
    """

    revs: U32
    first: U32
    count: U32
    ordinal: U32
    length: U32
    order: U32
    terms_text: U8
    terms_offsets: U64
    post_ptr: U64
    post_chunk: U32
    post_tf: U16
    vectors: F32 | None = None
    has_vector: Mask | None = None
    quantiser: Quantiser | None = None
    rows: U32 | None = None
    cell_ptr: U64 | None = None
    cell_chunks: U32 | None = None

    @property
    def chunks(self) -> int:
        """Return n."""
        return len(self.length)

    def term(self, term: str) -> int | None:
        """Return the number of a term, None when no chunk of the segment holds it."""
        terms = _Terms(self.terms_text, self.terms_offsets)
        wanted = term.encode()
        index = bisect_left(terms, wanted)
        return index if index < len(terms) and terms[index] == wanted else None

    def postings(self, term: int) -> tuple[U32, U16]:
        """Return the chunks (ascending) that hold a term, and how often each does."""
        start, end = int(self.post_ptr[term]), int(self.post_ptr[term + 1])
        return self.post_chunk[start:end], self.post_tf[start:end]

    def lengths(self, ids: Ids) -> F64:
        """Return how many tokens these chunks have."""
        return self.length[ids].astype(np.float64)

    def with_vector(self, ids: Ids) -> Ids:
        """Return those of these chunks that hold a vector."""
        if self.has_vector is None:
            return ids[:0]
        has_one = self.has_vector[ids]
        return ids if has_one.all() else ids[has_one]

    def rows_of(self, ids: Ids) -> Ids | U32:
        """Return where the vectors of these chunks are."""
        return ids if self.rows is None else self.rows.take(ids)

    def in_cells(self, cells: Ids) -> Ids:
        """Return the chunks of these cells; there is a quantiser."""
        assert self.cell_ptr is not None
        assert self.cell_chunks is not None
        bounds = zip(self.cell_ptr[cells].tolist(), self.cell_ptr[cells + 1].tolist(), strict=True)
        return np.concatenate([self.cell_chunks[start:end] for start, end in bounds]).astype(np.int64)

    def origins(self, chunks: Sequence[int]) -> list[tuple[int, int]]:
        """Return the revision and the ordinal of each chunk."""
        numbers = np.array(chunks, dtype=np.uint32)
        rows = self.first[1:].searchsorted(numbers, side="right")
        return list(zip(self.revs.take(rows).tolist(), self.ordinal.take(numbers).tolist(), strict=True))
