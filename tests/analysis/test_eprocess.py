"""Evidence for and against a limit: the vectors of rollouts.md 6.1, and what no count may ever do."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.eprocess import grid_gt, grid_lt, log_gt, log_lt, log_sum_exp, threshold
from pilotage.analysis.power import firing_counts

VECTORS = [
    ("lt", 0.001, 1, 1, -1.736459, False),
    ("lt", 0.001, 100, 0, 0.082691, False),
    ("lt", 0.001, 3386, 0, 2.994929, False),
    ("lt", 0.001, 3387, 0, 2.995852, True),
    ("lt", 0.001, 11000, 2, 4.527569, True),
    ("lt", 0.001, 11000, 3, 2.821767, False),
    ("lt", 0.001, 24000, 10, 3.345765, True),
    ("lt", 0.001, 24000, 11, 2.468762, False),
    ("lt", 0.01, 337, 0, 2.995128, False),
    ("lt", 0.01, 338, 0, 3.004406, True),
    ("lt", 0.05, 65, 0, 2.950239, False),
    ("lt", 0.05, 66, 0, 2.997599, True),
    ("lt", 0.05, 3000, 900, -132.931244, False),
    ("lt", 0.05, 1000000, 300000, -43254.241381, False),
    ("lt", 0.6, 200, 98, 1.667831, False),
    ("gt", 0.01, 1, 0, -0.248877, False),
    ("gt", 0.01, 1, 1, 3.127290, False),
    ("gt", 0.01, 2, 2, 7.088582, True),
    ("gt", 0.01, 5, 3, 8.923569, True),
    ("gt", 0.01, 100, 7, 6.220190, False),
    ("gt", 0.01, 100, 8, 8.228750, True),
    ("gt", 0.01, 1000, 10, -2.950542, False),
    ("gt", 0.01, 1000, 30, 10.859355, True),
    ("gt", 0.01, 100000, 0, -256.022689, False),
    ("gt", 0.01, 10000000, 10000000, 45538765.737952, True),
    ("gt", 0.001, 1, 1, 5.061550, True),
    ("gt", 0.001, 1000, 8, 7.611048, True),
    ("gt", 0.05, 100, 20, 12.248073, True),
    ("gt", 0.05, 2000, 100, -6.013878, False),
    ("gt", 0.5, 100, 70, 7.192944, True),
]
TESTS = {"lt": log_lt, "gt": log_gt}


def _alpha(test: str, limit: float, n: int) -> float:
    if test == "lt":
        return 0.025 if limit == 0.6 else 0.05
    return 0.001 if limit == 0.01 or (limit == 0.05 and n == 100) else 0.01


@pytest.mark.parametrize(("test", "limit", "n", "x", "expected", "rejected"), VECTORS)
def test_a_vector_has_its_evidence_to_six_digits(
    test: str, limit: float, n: int, x: int, expected: float, rejected: bool
) -> None:
    found = TESTS[test](n, x, limit)
    assert f"{found:.6f}" == f"{expected:.6f}"
    assert (found >= threshold(_alpha(test, limit, n))) is rejected


def _precise(test: str, n: int, x: int, limit: float) -> Decimal:
    """The same mixture in 60-digit arithmetic, written independently of the product's logarithms."""
    with localcontext() as context:
        context.prec = 60
        null = Decimal(str(limit))
        if test == "gt":
            low, high, base = (null * Decimal("1.25")).ln(), Decimal("0.95").ln(), Decimal(1)
        else:
            low, high, base = Decimal("0.005").ln(), Decimal("0.85").ln(), null
        points = [base * (low + (high - low) * k / 23).exp() for k in range(24)]
        logs = [x * (q / null).ln() + (n - x) * ((1 - q) / (1 - null)).ln() for q in points]
        top = max(logs)
        return top + (sum(((one - top).exp() for one in logs), Decimal(0)) / 24).ln()


@pytest.mark.parametrize(("test", "limit", "n", "x", "expected", "rejected"), VECTORS)
def test_double_precision_agrees_with_sixty_digits(
    test: str, limit: float, n: int, x: int, expected: float, rejected: bool
) -> None:
    precise = float(_precise(test, n, x, limit))
    assert f"{precise:.6f}" == f"{expected:.6f}"
    assert TESTS[test](n, x, limit) == pytest.approx(precise, rel=1e-13, abs=1e-10)
    assert (precise >= threshold(_alpha(test, limit, n))) is rejected


def test_the_grids_stand_at_their_checkpoints() -> None:
    above, below = grid_gt(0.01), grid_lt(0.001)
    assert (len(above), len(below)) == (24, 24)
    assert above[0] == pytest.approx(0.0125)
    assert above[1] == pytest.approx(0.015089836, abs=1e-9)
    assert above[23] == pytest.approx(0.95)
    assert below[1] == pytest.approx(6.250950e-6, rel=1e-6)
    assert grid_gt(0.9) == ((1 + 0.9) / 2,)
    assert log_gt(100, 100, 0.9) > 0 > log_gt(100, 80, 0.9)


def test_the_smallest_firing_counts_are_the_specified_ones() -> None:
    def firing(limit: float, sizes: tuple[int, ...]) -> list[int]:
        counts = dict(zip(range(1, max(sizes) + 1), firing_counts(limit, 0.001), strict=False))
        return [counts[n] for n in sizes]

    assert firing(0.01, (2, 3, 10, 50, 100, 250, 1000, 5000)) == [2, 3, 4, 6, 8, 12, 27, 85]
    assert firing(0.05, (5, 10, 20, 50, 100, 1000)) == [4, 5, 7, 11, 17, 83]


@given(st.integers(1, 10**9), st.sampled_from([0.0005, 0.001, 0.01, 0.05, 0.2, 0.6]), st.data())
def test_extreme_counts_are_never_infinite_and_a_bad_record_never_proves(
    n: int, limit: float, data: st.DataObject
) -> None:
    x = data.draw(st.integers(math.ceil(limit * n), n))
    for value in (log_lt(n, x, limit), log_gt(n, x, limit)):
        assert math.isfinite(value)
    assert log_lt(n, x, limit) < threshold(0.05)


@pytest.mark.parametrize("n", [10**k for k in range(10)])
@pytest.mark.parametrize("limit", [0.001, 0.01, 0.05])
def test_all_failures_and_thirty_percent_never_prove_a_limit(n: int, limit: float) -> None:
    for x in (n, math.ceil(0.3 * n)):
        assert log_lt(n, x, limit) < 0
        assert math.isfinite(log_gt(n, x, limit))


@given(st.integers(1, 10**6), st.sampled_from([0.001, 0.01, 0.05, 0.5]), st.data())
def test_one_more_failure_lowers_proof_and_raises_alarm(n: int, limit: float, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n - 1))
    assert log_lt(n, x + 1, limit) < log_lt(n, x, limit)
    assert log_gt(n, x + 1, limit) > log_gt(n, x, limit)


def test_evidence_is_strictly_ordered_over_a_whole_row() -> None:
    assert all(a > b for a, b in pairwise(log_lt(500, x, 0.01) for x in range(501)))
    assert all(a < b for a, b in pairwise(log_gt(500, x, 0.01) for x in range(501)))


def test_no_data_is_no_evidence() -> None:
    assert log_lt(0, 0, 0.01) == 0.0
    assert log_gt(0, 0, 0.01) == 0.0


@pytest.mark.parametrize(("n", "x"), [(-1, 0), (1, 2), (1, -1), (10**9 + 1, 0), (1.0, 0), (2, 1.0), (True, 0)])
def test_a_bad_count_is_an_error(n: int, x: int) -> None:
    for test in TESTS.values():
        with pytest.raises(ValueError, match="no count"):
            test(n, x, 0.01)


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1, 1.1, math.nan, math.inf])
def test_a_limit_or_level_outside_zero_and_one_is_an_error(limit: float) -> None:
    for test in TESTS.values():
        with pytest.raises(ValueError, match="limit"):
            test(1, 0, limit)
    with pytest.raises(ValueError, match="Alpha"):
        threshold(limit)


def test_the_margin_makes_an_exact_tie_fail_closed() -> None:
    assert math.log(20.0) < threshold(0.05)
    assert log_sum_exp([-1e9, -1e9]) == pytest.approx(-1e9 + math.log(2))
