"""The candidate against stable, and the router against its fraction (rollouts.md 6.3, 6.4)."""

from __future__ import annotations

import math
import random
from itertools import permutations

import pytest

from pilotage.analysis.counters import FailureArms, Metric, Routed
from pilotage.analysis.criteria import relative
from pilotage.analysis.eprocess import threshold
from pilotage.analysis.relative import comparable, log_relative, log_sample_ratio


def _arms(share: float, candidate: int, stable: int) -> FailureArms:
    return FailureArms(fraction_ppm=round(share * 1_000_000), candidate=candidate, stable=stable)


@pytest.mark.parametrize(
    ("share", "candidate", "stable", "expected"),
    [
        (0.05, 1, 0, 1.584508),
        (0.05, 2, 0, 3.399038),
        (0.05, 3, 0, 5.333738),
        (0.05, 4, 6, 2.423927),
        (0.05, 5, 20, 0.027425),
        (0.05, 10, 200, -5.813710),
        (0.25, 20, 20, -0.983814),
        (0.25, 9, 27, -4.304717),
        (0.5, 18, 4, 0.176858),
    ],
)
def test_a_relative_vector_has_its_evidence(share: float, candidate: int, stable: int, expected: float) -> None:
    assert f"{log_relative([_arms(share, candidate, stable)], 2.0):.6f}" == f"{expected:.6f}"


def test_rows_under_different_fractions_add_up_in_any_order() -> None:
    rows = [_arms(0.05, 3, 2), _arms(0.25, 9, 5), _arms(1.0, 7, 0)]
    found = {log_relative(order, 2.0) for order in permutations(rows)}
    assert [f"{value:.6f}" for value in found] == ["3.272919"]
    assert log_relative([_arms(0.05, 3, 0)], 2.0) >= threshold(0.01)


def test_without_both_arms_nothing_can_be_compared() -> None:
    rows = [_arms(1.0, 50, 0), _arms(0.0, 0, 50)]
    assert comparable(rows) == ()
    assert log_relative(rows, 2.0) == 0.0


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_that_is_no_positive_number_is_an_error(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        log_relative([_arms(0.5, 1, 1)], ratio)


@pytest.mark.parametrize(
    ("principals", "candidate", "share", "expected", "fails"),
    [
        (1000, 50, 0.05, -4.064511, False),
        (1000, 90, 0.05, 10.640943, True),
        (1000, 20, 0.05, 9.186157, True),
        (400, 0, 0.05, 18.799303, True),
        (10000, 560, 0.05, -3.945751, False),
        (10000, 600, 0.05, 5.510117, False),
        (2000, 400, 0.25, 9.191166, True),
        (2000, 1000, 0.5, -26.628188, False),
    ],
)
def test_a_sample_ratio_vector_has_its_evidence(
    principals: int, candidate: int, share: float, expected: float, fails: bool
) -> None:
    found = log_sample_ratio(
        [Routed(fraction_ppm=round(share * 1_000_000), principals=principals, candidate=candidate)]
    )
    assert f"{found:.6f}" == f"{expected:.6f}"
    assert (found >= threshold(0.001)) is fails


@pytest.mark.parametrize(("ppm", "right"), [(0, 0), (1_000_000, 10)])
def test_at_the_ends_one_principal_on_the_wrong_arm_is_impossible(ppm: int, right: int) -> None:
    assert log_sample_ratio([Routed(fraction_ppm=ppm, principals=10, candidate=right)]) == 0.0
    wrong = 9 if right else 1
    assert log_sample_ratio([Routed(fraction_ppm=ppm, principals=10, candidate=wrong)]) == math.inf


def _false_alarm(seed: int, *, people: int, broken: float, share: float, requests: int) -> bool:
    """Sticky users, the same people broken whichever arm they meet: does the guard ever fire?"""
    draw = random.Random(seed)
    is_candidate = [draw.random() < share for _ in range(people)]
    is_broken = [draw.random() < broken for _ in range(people)]
    failed: set[int] = set()
    candidate = 0
    for _ in range(requests):
        person = draw.randrange(people)
        if not is_broken[person] or person in failed:
            continue
        failed.add(person)
        candidate += is_candidate[person]
        rows = [_arms(share, candidate, len(failed) - candidate)]
        if candidate >= 3 and log_relative(rows, 2.0) >= threshold(0.01):
            return True
    return False


def _upper_bound_holds(alarms: int, runs: int, alpha: float) -> bool:
    """Tell whether the alarms are within the 99 % bound of a binomial at `alpha`."""
    return alarms <= runs * alpha + 2.326 * math.sqrt(runs * alpha * (1 - alpha))


def test_sticky_clusters_of_broken_users_raise_no_more_alarms_than_the_level() -> None:
    runs = 300
    alarms = sum(_false_alarm(seed, people=400, broken=0.04, share=0.05, requests=1500) for seed in range(runs))
    assert _upper_bound_holds(alarms, runs, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_sticky_clusters_hold_the_level_over_many_runs(share: float) -> None:
    runs = 5000
    alarms = sum(_false_alarm(seed, people=400, broken=0.04, share=share, requests=4000) for seed in range(runs))
    assert _upper_bound_holds(alarms, runs, 0.01)


def test_counting_requests_instead_of_principals_would_raise_false_alarms() -> None:
    # One broken user with three requests is one principal, not three failures.
    assert log_relative([_arms(0.05, 3, 0)], 2.0) >= threshold(0.01) > log_relative([_arms(0.05, 1, 0)], 2.0)
    assert relative("error", Metric.ERROR).of.name == "hold.relative_error"
