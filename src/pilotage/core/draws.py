"""Random draws that anybody can repeat: Philox words under a key that names what they were drawn for.

Rule (evaluation.md 7.2): the seed is the first 8 bytes of a sha256, the index of a draw of C is ((word >> 32) * C) >>
32, signs are the words' bits. So a rerun, on any machine, draws the same. Fail mode: a count below 1 raises ValueError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pilotage.core.canonical import canonical_bytes

_WORD = 64
_BLOCK = 65_536


def seed_of(*parts: str) -> int:
    """Return the seed of a named draw: the first 8 bytes, big-endian, of the sha256 of the parts as canonical JSON."""
    return int.from_bytes(hashlib.sha256(canonical_bytes(list(parts))).digest()[:8], "big")


def indices(seed: int, *, rows: int, size: int) -> NDArray[np.int64]:
    """Return `rows` bootstrap samples of `size` indices below `size`, shape (rows, size), from one Philox stream."""
    return np.concatenate(list(index_blocks(seed, rows=rows, size=size)))


def index_blocks(seed: int, *, rows: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the same samples in blocks of whole rows that fit a cache, so large sets stay fast and small."""
    if size < 1 or rows < 1:
        message = f"Cannot draw {rows} samples of {size}; both must be at least 1."
        raise ValueError(message)
    stream = np.random.Philox(key=seed)
    step = max(1, _BLOCK // size)
    for start in range(0, rows, step):
        words = stream.random_raw(min(step, rows - start) * size)
        words >>= np.uint64(32)
        words *= np.uint64(size)
        words >>= np.uint64(32)
        yield words.view(np.int64).reshape(-1, size)


def signs(seed: int, *, rows: int, size: int) -> NDArray[np.float64]:
    """Return `rows` vectors of `size` random signs, shape (rows, size): +1 for a set bit, lowest bit first, else -1."""
    if size < 1 or rows < 1:
        message = f"Cannot draw {rows} vectors of {size} signs; both must be at least 1."
        raise ValueError(message)
    per_row = -(-size // _WORD)
    words = np.random.Philox(key=seed).random_raw(rows * per_row).astype("<u8").reshape(rows, per_row)
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :size]
    return bits.astype(np.float64) * 2.0 - 1.0
