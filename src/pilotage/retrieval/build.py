"""Builds a segment from analysed chunks. Deterministic: the same chunks in the same order give the same arrays.

Fail mode: a vector of the wrong dimension, with NaN or of norm zero is left out and reported; its chunk stays findable
by its words.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pilotage.retrieval.arrays import F32
from pilotage.retrieval.quantiser import Quantiser
from pilotage.retrieval.segment import Segment

_MAX_TF = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexChunk:
    """One chunk as the builder takes it. Chunks of one revision come together, by ordinal.

    `effective_from` is an ISO date or empty; `tokens` come from the corpus analyser; `vector` is the model's.
    """

    rev: int
    ordinal: int
    document: str
    effective_from: str
    tokens: Sequence[str]
    vector: Sequence[float] | F32 | None = None


@dataclass(slots=True, kw_only=True)
class _Columns:
    """What is gathered while chunks pass by."""

    revs: array[int] = field(default_factory=lambda: array("L"))
    first: array[int] = field(default_factory=lambda: array("L"))
    ordinal: array[int] = field(default_factory=lambda: array("L"))
    length: array[int] = field(default_factory=lambda: array("L"))
    keys: list[tuple[bytes, str, int]] = field(default_factory=list)
    terms: dict[str, int] = field(default_factory=dict)
    post_term: array[int] = field(default_factory=lambda: array("I"))
    post_chunk: array[int] = field(default_factory=lambda: array("I"))
    post_tf: array[int] = field(default_factory=lambda: array("H"))
    # One buffer: a million rows as objects would need half as much again.
    vectors: array[float] = field(default_factory=lambda: array("f"))
    has_vector: bytearray = field(default_factory=bytearray)


def build_segment(chunks: Iterable[IndexChunk], *, dimension: int | None = None) -> Segment:
    """Return the segment of these chunks; their revisions must come in ascending order."""
    columns = _Columns()
    for number, chunk in enumerate(chunks):
        _add(columns, number, chunk, dimension)
    return _finish(columns, dimension)


def with_cells(segment: Segment, quantiser: Quantiser) -> Segment:
    """Return a segment with its vectors in the cells of a quantiser, for the approximate mode. It has no cells yet."""
    if segment.vectors is None or segment.has_vector is None:
        return segment
    chunks = np.flatnonzero(segment.has_vector)
    cells = quantiser.cells(segment.vectors)[chunks]
    pointers = np.zeros(len(quantiser.centroids) + 1, dtype=np.uint64)
    pointers[1:] = np.cumsum(np.bincount(cells, minlength=len(quantiser.centroids)))
    by_cell = chunks[np.argsort(cells, kind="stable")].astype(np.uint32)
    rows = np.zeros(segment.chunks, dtype=np.uint32)
    rows[by_cell] = np.arange(len(by_cell), dtype=np.uint32)
    return replace(
        segment,
        vectors=segment.vectors[by_cell],
        quantiser=quantiser,
        rows=rows,
        cell_ptr=pointers,
        cell_chunks=by_cell,
    )


def _add(columns: _Columns, number: int, chunk: IndexChunk, dimension: int | None) -> None:
    if not columns.revs or columns.revs[-1] != chunk.rev:
        if columns.revs and columns.revs[-1] > chunk.rev:
            message = f"Revision {chunk.rev} comes after {columns.revs[-1]}; sort chunks by revision and ordinal."
            raise ValueError(message)
        columns.revs.append(chunk.rev)
        columns.first.append(number)
    columns.ordinal.append(chunk.ordinal)
    columns.length.append(len(chunk.tokens))
    columns.keys.append((chunk.document.encode(), chunk.effective_from, chunk.ordinal))
    terms = columns.terms
    counts = Counter(chunk.tokens)
    columns.post_term.extend([terms.setdefault(term, len(terms)) for term in counts])
    columns.post_chunk.extend([number] * len(counts))
    columns.post_tf.extend([min(count, _MAX_TF) for count in counts.values()])
    if dimension is not None:
        row = unit_vector(chunk.vector, dimension)
        columns.has_vector.append(row is not None)
        columns.vectors.frombytes((np.zeros(dimension, np.float32) if row is None else row).tobytes())


def unit_vector(vector: Sequence[float] | F32 | None, dimension: int) -> F32 | None:
    """Return the vector scaled to length 1 in float32, None when it has no direction or another dimension."""
    if vector is None:
        return None
    row = np.asarray(vector, dtype=np.float64)
    norm = math.sqrt((row * row).sum()) if row.shape == (dimension,) else 0.0
    if not math.isfinite(norm) or norm == 0.0:
        return None
    return (row / norm).astype(np.float32)


def _finish(columns: _Columns, dimension: int | None) -> Segment:
    names = sorted(columns.terms, key=str.encode)
    renumber = np.empty(len(names), dtype=np.uint32)
    for rank, name in enumerate(names):
        renumber[columns.terms[name]] = rank
    term = renumber[np.frombuffer(columns.post_term, dtype=np.uint32)] if columns.post_term else np.zeros(0, np.uint32)
    by_term = np.argsort(term, kind="stable")
    encoded = [name.encode() for name in names]
    offsets = np.zeros(len(names) + 1, dtype=np.uint64)
    offsets[1:] = np.cumsum([len(name) for name in encoded], dtype=np.uint64) if names else offsets[1:]
    pointers = np.zeros(len(names) + 1, dtype=np.uint64)
    pointers[1:] = np.cumsum(np.bincount(term, minlength=len(names)), dtype=np.uint64) if names else pointers[1:]
    chunks = len(columns.length)
    order = np.empty(chunks, dtype=np.uint32)
    order[sorted(range(chunks), key=columns.keys.__getitem__)] = np.arange(chunks, dtype=np.uint32)
    first = np.array(columns.first, dtype=np.uint32)
    vectors = None if dimension is None else np.frombuffer(columns.vectors, np.float32).reshape(chunks, dimension)
    return Segment(
        revs=np.array(columns.revs, dtype=np.uint32),
        first=first,
        count=np.diff(np.append(first, np.uint32(chunks))).astype(np.uint32),
        ordinal=np.array(columns.ordinal, dtype=np.uint32),
        length=np.array(columns.length, dtype=np.uint32),
        order=order,
        terms_text=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        terms_offsets=offsets,
        post_ptr=pointers,
        post_chunk=np.array(columns.post_chunk, dtype=np.uint32)[by_term],
        post_tf=np.array(columns.post_tf, dtype=np.uint16)[by_term],
        vectors=vectors,
        has_vector=None if vectors is None else np.frombuffer(columns.has_vector, np.bool_),
    )
