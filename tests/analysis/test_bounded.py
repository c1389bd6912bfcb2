"""Evidence about a mean score (rollouts.md 6.4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.bounded import is_score, log_mean_gt, log_mean_lt

scores = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0] * 20, 2.068699), ([0.95] * 60, 6.751445), ([1.0, 1.0, 1.0, 1.0, 0.5] * 8, 1.586808)],
)
def test_a_vector_above_the_limit_has_its_evidence(values: list[float], expected: float) -> None:
    assert f"{log_mean_gt(values, 0.8):.6f}" == f"{expected:.6f}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5] * 10, 6.090523), ([0.7] * 60, 19.534744), ([0.8] * 50, 0.0), ([1.0] * 10, -1.155261)],
)
def test_a_vector_below_the_limit_has_its_evidence(values: list[float], expected: float) -> None:
    assert abs(log_mean_lt(values, 0.8) - expected) < 5e-7


@given(scores)
def test_the_order_of_scores_changes_nothing(values: list[float]) -> None:
    shuffled = sorted(values, reverse=True)
    assert log_mean_gt(values, 0.7) == log_mean_gt(shuffled, 0.7)
    assert log_mean_lt(values, 0.7) == log_mean_lt(shuffled, 0.7)


@given(scores)
def test_evidence_is_finite_even_for_scores_of_zero(values: list[float]) -> None:
    assert math.isfinite(log_mean_gt([*values, 0.0, 1.0], 0.8))
    assert math.isfinite(log_mean_lt([*values, 0.0, 1.0], 0.8))


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_score_is_refused(value: float) -> None:
    assert not is_score(value)
    with pytest.raises(ValueError, match="unscored"):
        log_mean_gt([0.5, value], 0.8)


def test_no_scores_are_no_evidence_and_a_bad_limit_is_an_error() -> None:
    assert log_mean_gt([], 0.8) == 0.0
    with pytest.raises(ValueError, match="limit"):
        log_mean_gt([0.5], 1.0)
