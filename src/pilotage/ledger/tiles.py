"""The tree in tiles of 256 hashes (C2SP tlog-tiles): append, root and proofs without the whole tree in memory.

Tile (level, index) holds the roots of the perfect subtrees of 256**level leaves from number 256*index on; level 0 holds
leaf hashes. Full tiles (8 KiB) never change; the last one of each level grows. The right edge of the tree is therefore
always in the last tiles, and a proof touches at most 8 levels. Fail mode: a tile shorter than the tree needs raises
TileError with its coordinates; no proof is made from what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from pilotage.core.errors import IntegrityError
from pilotage.ledger.tree import (
    HASH_BYTES,
    consistency_ranges,
    fold,
    inclusion_ranges,
    node_hash,
    peak_ranges,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Coordinate: TypeAlias = tuple[int, int]
ReadTile: TypeAlias = Callable[[int, int], bytes]


class TileError(IntegrityError):
    """A stored tile is missing or shorter than the tree's size says."""

    def __init__(self, level: int, index: int, *, have: int, need: int) -> None:
        super().__init__(
            "LEDGER_TILE",
            f"Ledger tile {index} of level {level} holds {have} hashes; the tree needs {need}.",
            hint="Run `pilotage ledger fsck`; restore the database when it confirms the damage.",
        )


def tile_widths(size: int) -> dict[Coordinate, int]:
    """Return how many hashes the last tile of each level holds in a tree of `size` leaves; full last tiles left out."""
    widths: dict[Coordinate, int] = {}
    level = 0
    while size:
        if size % TILE_WIDTH:
            widths[level, size // TILE_WIDTH] = size % TILE_WIDTH
        size //= TILE_WIDTH
        level += 1
    return widths


def extend(size: int, read: ReadTile, leaves: Sequence[bytes]) -> dict[Coordinate, bytes]:
    """Append leaf hashes to a tree of `size`; return every tile that is new or grew, with its whole content."""
    written: dict[Coordinate, bytes] = {}
    level = 0
    hashes: Sequence[bytes] = leaves
    while hashes:
        first, held = divmod(size, TILE_WIDTH)
        old = _read(read, level, first, held) if held else b""
        content = old + b"".join(hashes)
        above = []
        for offset in range(0, len(content), TILE_WIDTH * HASH_BYTES):
            tile = content[offset : offset + TILE_WIDTH * HASH_BYTES]
            written[level, first + offset // (TILE_WIDTH * HASH_BYTES)] = tile
            if len(tile) == TILE_WIDTH * HASH_BYTES:
                above.append(perfect_root(tile))
        size, level, hashes = first, level + 1, above
    return written


def perfect_root(hashes: bytes) -> bytes:
    """Return the root over 1, 2, 4 ... 256 hashes given as one string of bytes."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def root(read: ReadTile, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    return _range_root(read, 0, size)


def inclusion_proof(read: ReadTile, index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` stands in the tree of `size`."""
    return tuple(_range_root(read, start, end) for start, end in inclusion_ranges(index, size))


def consistency_proof(read: ReadTile, old: int, new: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new` begins with the tree of `old`."""
    return tuple(_range_root(read, start, end) for start, end in consistency_ranges(old, new))


def leaf_at(read: ReadTile, index: int) -> bytes:
    """Return the hash of leaf `index`."""
    return _subtree(read, index, index + 1)


def reader_of(tiles: Mapping[Coordinate, bytes]) -> ReadTile:
    """Return a reader over tiles held in memory; a missing tile reads as empty."""
    return lambda level, index: tiles.get((level, index), b"")


def cached(read: ReadTile) -> ReadTile:
    """Return a reader that asks for each tile once: one proof visits a tile up to eight times."""
    kept: dict[Coordinate, bytes] = {}

    def fetch(level: int, index: int) -> bytes:
        if (level, index) not in kept:
            kept[level, index] = read(level, index)
        return kept[level, index]

    return fetch


def _range_root(read: ReadTile, start: int, end: int) -> bytes:
    return fold([_subtree(read, first, last) for first, last in peak_ranges(start, end)])


def _subtree(read: ReadTile, start: int, end: int) -> bytes:
    height = (end - start).bit_length() - 1
    level, inner = divmod(height, TILE_HEIGHT)
    first = start >> (level * TILE_HEIGHT)
    index, offset = divmod(first, TILE_WIDTH)
    need = offset + (1 << inner)
    return perfect_root(_read(read, level, index, need)[offset * HASH_BYTES :])


def _read(read: ReadTile, level: int, index: int, need: int) -> bytes:
    tile = read(level, index)
    if len(tile) < need * HASH_BYTES:
        raise TileError(level, index, have=len(tile) // HASH_BYTES, need=need)
    return tile[: need * HASH_BYTES]
