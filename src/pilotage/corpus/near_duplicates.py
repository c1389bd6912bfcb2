"""Near duplicates by MinHash: 128 permutations, 5-token shingles, Jaccard >= 0.9 (corpus-and-ledger.md 1.5).

Source: A. Broder, "On the resemblance and containment of documents" (1997). A permutation of 32-bit numbers is
`a * x mod 2^32` with odd `a`, over well-mixed shingle hashes. Candidates come from 16 bands of 8 rows, which miss a
pair of similarity 0.9 once in 8,000. Fail mode: a text of fewer than 5 tokens has no shingle and resembles nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 128
SHINGLE_TOKENS = 5
NEAR = 0.9
_BANDS = 16
_ROWS = PERMUTATIONS // _BANDS
_BLOCK = 1024  # shingles at a time: the products stay in the processor's cache

Signature: TypeAlias = npt.NDArray[np.uint32]

_random = np.random.Generator(np.random.PCG64(20_240_607))  # fixed: signatures must be comparable across processes
_FACTORS = (_random.integers(0, 2**32, PERMUTATIONS, dtype=np.uint32) | np.uint32(1))[:, None]
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SPACE = re.compile(rb"\s")
_TOO_LONG = re.compile(rb"(?<!\S)(\S{32768})\S+")  # counts as the half of a table that it begins with
_SPACES = np.array([_SPACE.match(bytes([byte])) is not None for byte in range(256)])


def _powers(base: np.uint64, count: int) -> npt.NDArray[np.uint64]:
    found = np.full(count, base, dtype=np.uint64)
    found[0] = 1
    return np.multiply.accumulate(found)


# Of the odd base and of its inverse modulo 2^64.
_BYTES = 1 << 16
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_POWERS = _powers(_BASE, _BYTES)
_INVERSES = _powers(_INVERSE, _BYTES)


def signature_of(text: str) -> Signature | None:
    """Return the 128 minima of a text's shingles (shape (128,), uint32), or None when it has none.

    Tokens here are runs between spaces, folded: cheaper than the analyser and as good at finding copies.
    """
    words = _word_hashes(text)
    if len(words) < SHINGLE_TOKENS:
        return None
    lowest = np.full(PERMUTATIONS, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(words) - SHINGLE_TOKENS + 1, _BLOCK):
        mixed = _shingle_hashes(words[start : start + _BLOCK + SHINGLE_TOKENS - 1])
        np.minimum(lowest, (_FACTORS * mixed).min(axis=1), out=lowest)
    return lowest


def resemblance(one: Signature, other: Signature) -> float:
    """Return the estimated Jaccard similarity, 0 to 1, standard error below 0.045."""
    return float(np.count_nonzero(one == other)) / PERMUTATIONS


def near_pairs(names: Sequence[str], signatures: Sequence[Signature]) -> Iterator[tuple[str, str, float]]:
    """Yield each pair of names with similarity >= 0.9, once, in order of the names."""
    if len(signatures) < 2:
        return
    table = np.stack(signatures)
    seen: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        rows = np.ascontiguousarray(table[:, band * _ROWS : (band + 1) * _ROWS])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * _ROWS))).ravel()
        buckets: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            # Compared with the first of the bucket only: many copies of one text give n pairs, not n squared.
            first = buckets.setdefault(key.tobytes(), index)
            if first != index:
                seen.add((first, index))
    for first, index in sorted(seen):
        score = resemblance(table[first], table[index])
        if score >= NEAR:
            yield names[first], names[index], score


def _shingle_hashes(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    count = len(words) - SHINGLE_TOKENS + 1
    shingles = words[:count].copy()
    for step in range(1, SHINGLE_TOKENS):
        shingles = shingles * _BASE + words[step : step + count]
    shingles ^= shingles >> np.uint64(29)
    shingles *= _MIX
    return (shingles >> np.uint64(32)).astype(np.uint32)


def _word_hashes(text: str) -> npt.NDArray[np.uint64]:
    """Return a hash of each run between spaces, which does not depend on where it stands.

    Not Python's own hash: the report must not differ from one process to the next.
    """
    folded = text.casefold().encode("utf-8", "replace")
    if len(folded) + 2 <= _BYTES:
        return _hashes(folded)
    return np.concatenate([_hashes(part) for part in _stretches(_TOO_LONG.sub(rb"\1", folded))])


def _stretches(text: bytes) -> Iterator[bytes]:
    """Cut behind white space: the sums take 40 times the bytes of a text, and their tables have an end."""
    start = 0
    while start < len(text):
        found = _SPACE.search(text, start + _BYTES // 2 - 3)
        end = found.end() if found else len(text)
        yield text[start:end]
        start = end


def _hashes(text: bytes) -> npt.NDArray[np.uint64]:
    """Return the polynomial of each word's bytes modulo 2^64, by sums over all before it."""
    data = np.frombuffer(b" " + text + b" ", dtype=np.uint8)
    edges = np.diff(_SPACES.take(data)).nonzero()[0]  # in turn the space before a word, and its last byte
    before, last = edges[::2], edges[1::2]
    sums = np.cumsum(data * _POWERS[: len(data)])
    return (sums.take(last) - sums.take(before)) * _INVERSES.take(before)
