"""The arrays of an index by what they hold."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

U16: TypeAlias = NDArray[np.uint16]
U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Ids: TypeAlias = NDArray[np.int64]


def packed(mask: Mask) -> U64:
    """Return a mask as bits, 64 chunks to a number."""
    bits = np.zeros(-(-len(mask) // 64), dtype=np.uint64)
    bits.view(np.uint8)[: -(-len(mask) // 8)] = np.packbits(mask)
    return bits
