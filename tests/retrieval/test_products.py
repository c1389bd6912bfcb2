"""Products of chosen rows are those of the rows, whether these stand together, apart, or are most of the matrix."""

from __future__ import annotations

import os
import subprocess
import sys

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


THREADS = """
import os, pilotage.__main__, numpy as np
np.ones((4_000, 400), np.float32) @ np.ones(400, np.float32)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: a product has one thread anyway")
@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("2", 2)])
def test_a_product_takes_one_core_unless_the_operator_gives_more(given: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": given} if given else {}
    done = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads
