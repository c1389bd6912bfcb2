"""The database reads a version's bitmap exactly as the library that wrote it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from pyroaring import BitMap
from sqlalchemy import Engine, text

pytestmark = pytest.mark.store

HELD = text(
    "SELECT array_agg(bitmap_holds(:bitmap, value) ORDER BY at) FROM unnest(:values) WITH ORDINALITY u (value, at)"
)


def _held(engine: Engine, bitmap: BitMap, values: Sequence[int]) -> list[bool]:
    with engine.connect() as connection:
        rows = connection.execute(HELD, {"bitmap": bitmap.serialize(), "values": list(values)})
        found: list[bool] = rows.scalar_one()
        return found


def _shapes(rng: random.Random) -> list[BitMap]:
    """Arrays, bit sets and runs, alone and together, with and without a list of offsets."""
    sparse = [rng.randrange(2**32) for _ in range(200)]
    dense = [65536 * 3 + rng.randrange(65536) for _ in range(30_000)]
    runs = [start + step for start in (10, 70_000, 2**20, 2**31) for step in range(rng.randint(1, 9_000))]
    shapes = [BitMap(), BitMap([0]), BitMap([2**32 - 1]), BitMap(sparse), BitMap(dense), BitMap(runs), BitMap(range(9))]
    shapes += [BitMap(sparse + dense), BitMap(sparse + runs), BitMap(dense + runs), BitMap(sparse + dense + runs)]
    for shape in list(shapes):
        packed = BitMap(shape)
        packed.run_optimize()
        shapes.append(packed)
    return shapes


@pytest.mark.parametrize("seed", range(3))
def test_every_shape_of_bitmap_is_read_as_it_was_written(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    for shape in _shapes(rng):
        some = rng.sample(list(shape), min(len(shape), 40))
        near = [value + step for value in some for step in (-1, 1) if 0 <= value + step < 2**32]
        asked = [0, 1, 65_535, 65_536, 2**32 - 1, *some, *near, *(rng.randrange(2**32) for _ in range(20))]
        assert _held(engine, shape, asked) == [value in shape for value in asked]
