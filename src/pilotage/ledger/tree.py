"""The Merkle tree of the ledger (RFC 6962 2.1, RFC 9162 2.1): roots, inclusion and consistency proofs.

leaf = SHA-256(00 || bytes), node = SHA-256(01 || left || right), split at the largest power of two below n. A proof is
first a list of leaf ranges, then their hashes, so that memory and tiles share one construction. Indexes count from 0.
Fail mode: asking for a proof that cannot exist raises ValueError; verifying a bad proof returns False, never raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf holding these bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: one hash per set bit of `size`, largest subtree first. Appending is O(1)."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        position = self.size
        while position & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            position >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far; SHA-256 of nothing when there are none."""
        return fold(self.peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """Join the hashes of adjacent perfect subtrees, largest first, into the root above them."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def peak_ranges(start: int, end: int) -> list[tuple[int, int]]:
    """Split [start, end) into the perfect subtrees under it; `start` is a multiple of the largest one's size."""
    ranges = []
    while start < end:
        size = 1 << ((end - start).bit_length() - 1)
        ranges.append((start, start + size))
        start += size
    return ranges


def _split(start: int, end: int) -> int:
    return start + (1 << ((end - start - 1).bit_length() - 1))


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the leaf ranges whose roots prove leaf `index` in the tree of `size`, nearest first (RFC 9162 2.1.3.1)."""
    if not 0 <= index < size:
        message = f"Leaf {index} is not in a tree of {size}."
        raise ValueError(message)
    ranges: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        split = _split(start, end)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((start, split))
            start = split
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Return the leaf ranges whose roots prove that the tree of `new` begins with the one of `old` (2.1.4.1)."""
    if not 0 <= old <= new:
        message = f"A tree of {new} cannot be consistent with one of {old}."
        raise ValueError(message)
    if old in (0, new):
        return []
    ranges: list[tuple[int, int]] = []
    start, end = 0, new
    while end != old:
        split = _split(start, end)
        if old <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((start, split))
            start = split
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the inclusion proof of leaf `index` among these leaf hashes."""
    return tuple(root_of(leaves[start:end]) for start, end in inclusion_ranges(index, len(leaves)))


def consistency_proof(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Return the proof that these leaf hashes begin with the first `old` of them."""
    return tuple(root_of(leaves[start:end]) for start, end in consistency_ranges(old, len(leaves)))


def is_included(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof shows the leaf hash at `index` under the root of `size` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(step, found)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            found = node_hash(found, step)
        position >>= 1
        last >>= 1
    return last == 0 and found == root


def is_consistent(*, old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Tell whether the proof shows that the tree of `new` begins with the tree of `old` (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not proof and old_root == (EMPTY_ROOT if old == 0 else new_root)
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    if not steps:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    return _replay(steps, position, last) == (old_root, new_root)


def _replay(steps: Sequence[bytes], position: int, last: int) -> tuple[bytes, bytes] | None:
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            older = node_hash(step, older)
            newer = node_hash(step, newer)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, step)
        position >>= 1
        last >>= 1
    return (older, newer) if last == 0 else None
