"""Products of chosen rows are those of the rows, whether these stand together, apart, or are most of the matrix."""

from __future__ import annotations

import numpy as np
import pytest

from pilotage.retrieval.arrays import Ids
from pilotage.retrieval.vectors import _product

ROWS, NUMBERS = 4_000, 24


@pytest.mark.parametrize(
    "places",
    [
        np.concatenate([np.arange(100, 500), np.arange(1_000, 1_400)]),
        np.arange(700, 1_500),
        np.arange(0, 1_600, 2),
        np.arange(1_500, 700, -1),
        np.concatenate([np.arange(300), np.arange(3_000, 2_000, -3)]),
        np.arange(200),
        np.arange(ROWS - 100),
    ],
    ids=["two cells", "one cell", "every other", "backwards", "a cell and rows apart", "few", "most"],
)
@pytest.mark.parametrize("is_short", [False, True])
def test_a_product_is_that_of_the_chosen_rows(places: Ids, is_short: bool) -> None:
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((ROWS, NUMBERS), dtype=np.float32)
    query = rng.standard_normal(NUMBERS, dtype=np.float32)
    found = _product(matrix, places.astype(np.uint32) if is_short else places, query)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, matrix[places] @ query, rtol=1e-4, atol=1e-5)
