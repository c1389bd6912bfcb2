"""Preflight: the figures of rollouts.md 4.1 and 4.2 to the digits shown, and what a person is told (4.3)."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from pilotage.analysis.power import (
    binomial_cdf,
    bound_if_clean,
    chance_of_go,
    chance_of_trip,
    clean_requests,
    fixed_requests,
    most_failures,
    requests_for_chance,
)
from pilotage.core.canonical import Form, canonical_bytes
from pilotage.core.errors import UsageError
from pilotage.core.ids import SpaceName
from pilotage.rollout.choices import choices
from pilotage.rollout.preflight import Decidability, Traffic, as_json, daily_figure, preflight
from pilotage.workspace.plan import Limits, Plan, Step, Undecidable, Wave

SPACE = SpaceName("production")
DAY = 86_400
PLAN = Plan(
    name="bank-standard",
    waves=(
        Wave(
            space=SPACE,
            steps=(
                Step(name="canary", weight=0.05, bake_s=DAY),
                Step(name="expanded", weight=0.25, bake_s=2 * DAY),
                Step(name="full", weight=1.0, bake_s=DAY // 2),
            ),
        ),
    ),
)


@pytest.mark.feature("D13.17", "D13.18")
@pytest.mark.parametrize(
    ("limit", "clean", "fixed"),
    [
        (0.0005, 6776, 5990),
        (0.001, 3387, 2995),
        (0.003, 1128, 998),
        (0.005, 676, 598),
        (0.01, 338, 299),
        (0.02, 168, 149),
        (0.05, 66, 59),
        (0.2, 16, 14),
    ],
)
def test_the_clean_requests_a_limit_needs(limit: float, clean: int, fixed: int) -> None:
    assert clean_requests(limit, 0.05) == clean
    assert fixed_requests(limit, 0.05) == fixed
    assert most_failures(clean - 1, limit, 0.05) == -1
    assert most_failures(clean, limit, 0.05) == 0


@pytest.mark.feature("D13.17", "D13.34")
def test_the_failures_a_tenth_of_a_percent_allows() -> None:
    sizes = {3387: 0, 6589: 1, 9089: 2, 13203: 4, 21808: 9, 24000: 10, 54551: 32, 100000: 67}
    assert {n: most_failures(n, 0.001, 0.05) for n in sizes} == sizes


def _shown(share: float) -> str:
    return f"{100 * share:.1f}"


@pytest.mark.parametrize(
    ("n", "bound", "strict", "one", "slow", "trip"),
    [
        (25, "12.63", "0.0 / 0.0", "0.0", "0.0", "0.1 / 2.4 / 67.6"),
        (100, "3.33", "0.0 / 0.0", "0.0", "13.3", "0.5 / 19.6 / 100.0"),
        (1_000, "0.338", "0.0 / 0.0", "98.6", "96.7", "14.2 / 100.0 / 100.0"),
        (3_500, "0.0968", "49.7 / 17.4", "100.0", "100.0", "83.2 / 100.0 / 100.0"),
        (10_000, "0.0339", "67.7 / 12.5", "100.0", "100.0", "100.0 / 100.0 / 100.0"),
        (24_000, "0.0141", "99.0 / 34.7", "100.0", "100.0", "100.0 / 100.0 / 100.0"),
    ],
)
def test_the_worked_table_of_the_first_step(n: int, bound: str, strict: str, one: str, slow: str, trip: str) -> None:
    clean = bound_if_clean(n, 0.05)
    assert clean is not None
    assert f"{100 * clean:.{len(bound.partition('.')[2])}f}" == bound
    found = [chance_of_go(n, 0.001, 0.05, true_share=share) for share in (0.0002, 0.0005)]
    assert " / ".join(map(_shown, found)) == strict
    assert _shown(chance_of_go(n, 0.01, 0.05, true_share=0.0005)) == one
    assert _shown(chance_of_go(n, 0.05, 0.05, true_share=0.02)) == slow
    caught = [chance_of_trip(n, 0.01, 0.001, true_share=share) for share in (0.02, 0.05, 0.20)]
    assert " / ".join(map(_shown, caught)) == trip


@pytest.mark.parametrize(
    ("per_day", "n", "bound", "strict"),
    [
        (500, 275, "1.224", "0.0 / 0.0"),
        (2_000, 1_100, "0.308", "0.0 / 0.0"),
        (20_000, 11_000, "0.0308", "62.3 / 8.8"),
        (70_000, 38_500, "0.0088", "100.0 / 62.5"),
        (200_000, 110_000, "0.0031", "100.0 / 99.6"),
        (480_000, 264_000, "0.0013", "100.0 / 100.0"),
    ],
)
def test_the_worked_table_of_the_second_step(per_day: int, n: int, bound: str, strict: str) -> None:
    wave = Wave(space=SPACE, steps=PLAN.waves[0].steps[:2])
    second = preflight(replace(PLAN, waves=(wave,)), {SPACE: Traffic(per_day=per_day)}).steps[1]
    error = second.criteria[0]
    assert second.requests == n
    assert error.bound is not None
    assert f"{100 * error.bound:.{len(bound.partition('.')[2])}f}" == bound
    found = [chance_of_go(n, 0.001, 0.05, true_share=share) for share in (0.0002, 0.0005)]
    assert " / ".join(map(_shown, found)) == strict


@pytest.mark.feature("D12.18")
def test_two_thousand_a_day_is_refused_in_plain_words_with_five_choices() -> None:
    forecast = preflight(PLAN, {SPACE: Traffic(per_day=2_000)})
    step, refusals = forecast.steps[0], forecast.refusals()
    assert refusals[0].where == "production/canary/error"
    assert refusals[0].text == (
        "Step canary sees about 100 requests. With no failure at all this proves < 3.33 %, not < 0.1 % (3,387 needed = "
        "33.9 days at this traffic). A release with 5 % such failures is caught in 19.6 % of such steps."
    )
    assert step.worst.name == "error"
    offered = choices(PLAN, step, step.criteria[0])
    assert [one.key for one in offered] == ["longer_bake", "higher_weight", "relaxed_limit", "shadow_first", "hold"]
    assert [one.possible for one in offered] == [True, False, True, True, True]
    assert "11,238 requests" in offered[0].text
    assert "error_go: 3.4%" in offered[2].text
    assert "500 pairs in 24 h at 25 %, 2,000 at 100 %" in offered[3].text


def test_a_slow_share_has_no_relaxed_limit_but_a_measurement() -> None:
    step = preflight(PLAN, {SPACE: Traffic(per_day=2_000)}).steps[0]
    slow = next(one for one in step.criteria if one.name not in {"error", "ungrounded", "policy"})
    relaxed = next(one for one in choices(PLAN, step, slow) if one.key == "relaxed_limit")
    assert not relaxed.possible
    assert "raise latency_go after measuring" in relaxed.text


def test_a_plan_that_holds_starts_all_the_same() -> None:
    forecast = preflight(replace(PLAN, undecidable=Undecidable.HOLD), {SPACE: Traffic(per_day=2_000)})
    assert forecast.refusals() == ()
    assert forecast.steps[0].criteria[0].decidability is Decidability.UNDECIDABLE


def test_without_a_traffic_figure_nothing_starts() -> None:
    forecast = preflight(PLAN, {})
    assert {one.decidability for step in forecast.steps for one in step.criteria} == {Decidability.UNKNOWN}
    assert len(forecast.refusals()) == 12
    assert "expected_requests_per_day" in forecast.refusals()[0].text
    step = forecast.steps[0]
    offered = choices(PLAN, step, step.criteria[0])
    assert [one.possible for one in offered] == [False, False, False, True, True]


def test_enough_traffic_is_decidable_and_a_hard_case_asks_for_confirmation() -> None:
    assert preflight(PLAN, {SPACE: Traffic(per_day=480_000)}).doubts() == ()
    forecast = preflight(PLAN, {SPACE: Traffic(per_day=70_000)})
    assert forecast.refusals() == ()
    assert [reason.where for reason in forecast.doubts()] == ["production/canary/error"]
    assert forecast.doubts()[0].observed == "49.7 %"
    offered = choices(PLAN, forecast.steps[0], forecast.steps[0].criteria[0])
    assert offered[1].text.startswith("weight: 16.1%")


def test_a_small_cohort_reaches_its_share_only_and_says_that_nothing_compares() -> None:
    traffic = Traffic(per_day=480_000, cohort_share={"canary": 0.02})
    canary = preflight(PLAN, {SPACE: traffic}).steps[0]
    assert (canary.share, canary.requests, canary.no_control) == (0.02, 9_600, True)
    assert not preflight(PLAN, {SPACE: Traffic(per_day=480_000)}).steps[2].no_control


def test_caps_weaken_what_few_askers_can_prove() -> None:
    few = preflight(PLAN, {SPACE: Traffic(per_day=480_000, principals=400)}).steps[0]
    assert few.requests == 24_000
    assert few.criteria[0].decidability is Decidability.UNDECIDABLE
    assert few.criteria[0].most_failures == most_failures(20 * 50, 0.001, 0.05)


def test_a_later_attempt_needs_more() -> None:
    first, second = (preflight(PLAN, {SPACE: Traffic(per_day=480_000)}, attempt=k).steps[0].criteria[0] for k in (1, 2))
    assert second.clean_needed > first.clean_needed


def test_a_relaxed_step_is_decided_by_its_own_limits() -> None:
    step = Step(name="canary", weight=0.25, bake_s=4 * 3600, limits=Limits(error_go=0.01))
    plan = replace(PLAN, waves=(Wave(space=SPACE, steps=(step,)),))
    assert preflight(plan, {SPACE: Traffic(per_day=20_000)}).steps[0].criteria[0].clean_needed == 338


def test_daily_figures_are_the_tenth_percentile_of_fourteen_days() -> None:
    assert daily_figure([100, 5, *range(1_000, 1_014)], None) == 1_001.0
    assert daily_figure([100] * 6, 250.0) == 250.0
    assert daily_figure([], None) is None
    with pytest.raises(UsageError, match="negative"):
        daily_figure([1] * 13 + [-1], None)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "many"])
def test_a_figure_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(UsageError):
        Traffic(per_day=bad)
    with pytest.raises(UsageError):
        Traffic(cohort_share={"canary": bad})
    with pytest.raises(UsageError):
        Traffic(principals=-1)


def test_a_forecast_may_stand_in_a_ledger_entry() -> None:
    for traffic in ({SPACE: Traffic(per_day=2_000)}, {}):
        value = as_json(preflight(PLAN, traffic))
        assert json.loads(canonical_bytes(value, form=Form.ENTRY)) == value


def test_a_binomial_sum_has_its_ends_and_no_chance_is_found_where_there_is_none() -> None:
    assert [binomial_cdf(x, 10, 0.5) for x in (-1, 10)] == [0.0, 1.0]
    assert binomial_cdf(5, 10, 0.5) == pytest.approx(0.623046875)
    assert (binomial_cdf(3, 10, 0.0), binomial_cdf(3, 10, 1.0)) == (1.0, 0.0)
    assert bound_if_clean(0, 0.05) is None
    assert requests_for_chance(0.001, 0.05, true_share=0.0002, chance=0.8) == 11_238
    assert requests_for_chance(1e-9, 0.05, true_share=5e-10, chance=0.8) is None
