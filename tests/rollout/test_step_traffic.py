"""The weight of a step as the part of its cohort that meets the candidate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.reason import Refusal
from pilotage.rollout.blind import candidate_first
from pilotage.rollout.fraction import StepTraffic, step_traffic


def traffic(weight: float, share: float | None, members: int | None = None) -> StepTraffic:
    found = step_traffic(weight, share, members=members)
    assert isinstance(found, StepTraffic)
    return found


def test_five_percent_of_a_cohort_with_an_eighth_of_the_traffic_is_two_fifths_of_it() -> None:
    assert traffic(0.05, 0.125).fraction_ppm == 400_000


def test_a_cohort_too_small_for_the_weight_is_taken_whole_and_warned_about() -> None:
    found = traffic(0.05, 0.02)
    assert (found.fraction_ppm, found.reachable, found.has_control) == (1_000_000, 0.02, False)
    assert found.warnings[0].code == "WEIGHT_UNREACHABLE"


@pytest.mark.feature("D13.5")
def test_without_history_the_real_share_never_exceeds_the_plan() -> None:
    assert traffic(0.05, None).fraction_ppm == 50_000


@pytest.mark.parametrize(("share", "members"), [(0.5, 0), (0.0, None)])
def test_an_empty_cohort_is_refused(share: float, members: int | None) -> None:
    found = step_traffic(0.05, share, members=members)
    assert isinstance(found, Refusal)
    assert found.reasons[0].code == "COHORT_EMPTY"


@pytest.mark.parametrize(("weight", "share"), [(0.0, 1.0), (1.1, 1.0), (0.5, 1.5), (0.5, -0.1)])
def test_impossible_shares_are_errors(weight: float, share: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        step_traffic(weight, share)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_the_share_of_all_requests_never_exceeds_the_weight(weight: int, share: int) -> None:
    found = traffic(weight / 1000, share / 1000)
    assert found.fraction_ppm * share <= 1_000_000 * weight
    assert bool(found.warnings) == (share < weight)


def test_which_answer_comes_first_is_fixed_by_the_pair_alone() -> None:
    assert [candidate_first(f"ix-000{number}") for number in (1, 2, 3, 4)] == [True, True, True, False]
    with pytest.raises(ValueError, match="without an id"):
        candidate_first("")
