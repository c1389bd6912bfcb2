"""Comparing stored tiles with each other and with the entries, naming every place that differs.

Rule: an entry whose leaf hash differs from its tile was changed when the tile agrees with the level above it, else the
tile was. Fail mode: every difference is a Fault; nothing is repaired here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pilotage.ledger.tiles import TILE_WIDTH, ReadTile, perfect_root
from pilotage.ledger.tree import HASH_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Tile (level, index) is wrong. `places` are the hashes of it that differ from what lies below; -1: its length."""

    level: int
    index: int
    place: int


def tile_count(size: int, level: int) -> int:
    """Return how many tiles level `level` has in a tree of `size`, the last one perhaps partial."""
    return -(-(size >> (8 * level)) // TILE_WIDTH)


def levels_of(size: int) -> range:
    """Return the levels a tree of `size` has tiles in."""
    return range((max(size, 1).bit_length() - 1) // 8 + 1) if size else range(0)


def tile_faults(read: ReadTile, size: int) -> Iterator[Fault]:
    """Yield every tile of the wrong length, and every hash that is not the root of the tile below it."""
    for level in levels_of(size):
        for index in range(tile_count(size, level)):
            held = min((size >> (8 * level)) - index * TILE_WIDTH, TILE_WIDTH)
            tile = read(level, index)
            if len(tile) != held * HASH_BYTES:
                yield Fault(level=level, index=index, place=-1)
            elif level:
                yield from _differing(read, level, index, tile)


def _differing(read: ReadTile, level: int, index: int, tile: bytes) -> Iterator[Fault]:
    for place in range(len(tile) // HASH_BYTES):
        below = read(level - 1, index * TILE_WIDTH + place)
        whole = len(below) == TILE_WIDTH * HASH_BYTES
        if not whole or perfect_root(below) != tile[place * HASH_BYTES : (place + 1) * HASH_BYTES]:
            yield Fault(level=level, index=index, place=place)
