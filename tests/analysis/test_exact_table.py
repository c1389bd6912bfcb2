"""The exact error rates of the tests are the specified ones, by walking over every path (rollouts.md 6.2)."""

from __future__ import annotations

import pytest
from benchmarks.rollout_dp import TABLE, Row, agrees, exact, shown

SHORT = [row for row in TABLE if row.requests <= 5_000 and row.test != "relative"]
FAST = [row for row in SHORT if row.is_null]
RELATIVE = [row for row in TABLE if row.test == "relative"]


@pytest.mark.parametrize("row", FAST, ids=lambda row: row.name)
def test_a_null_row_stays_within_its_level_to_the_digits_shown(row: Row) -> None:
    found = exact(row)
    assert shown(found.chance) == row.percent
    assert found.chance <= row.alpha


@pytest.mark.slow
@pytest.mark.parametrize("row", [*SHORT, *RELATIVE], ids=lambda row: row.name)
def test_a_row_has_its_probability_and_its_quantiles(row: Row) -> None:
    found = exact(row)
    assert agrees(row, found), (shown(found.chance), found.median, found.p90)
