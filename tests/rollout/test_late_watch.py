"""After completion: the e-CUSUMs go on, with the yearly alarm, in any batches and with each record counted once."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis import cusum
from pilotage.analysis.counters import Count, Metric
from pilotage.analysis.judge import judge_late
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Effect, Judgement, Standing, Subject
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import Ladder, StepLimits
from pilotage.rollout.late_watch import LateSums, after_rollout, grown, late_counters, watch, yearly
from pilotage.rollout.observation import LatencyLimits, Observation
from pilotage.rollout.tally import Caps

LATENCY = LatencyLimits(go_ms=2000, trip_ms=5000)
TRIPS = {Metric.ERROR: 0.01, Metric.STALLED: 0.05, Metric.UNGROUNDED: 0.05, Metric.POLICY: 0.01}
LADDER = Ladder.level(StepLimits(latency=LATENCY, trips=TRIPS))
SUBJECT = Subject(plan="p", release="r", space="s", step="completed", ledger_from=0, ledger_to=1)
YEAR = 480_000 * 365.0


def seen(seq: int, *, failed: bool = False, who: str = "", day: int = 0, hour: int = 0, **more: Any) -> Observation:
    return Observation(
        seq=seq,
        step="completed",
        day=day,
        hour=hour,
        arm=Arm.STABLE,
        principal=who or f"p{seq}",
        outcome="error.server" if failed else "ok",
        latency_ms=300.0,
        **more,
    )


def counted(batch: list[Observation], sums: LateSums | None = None) -> LateSums:
    found = sums or after_rollout({}, LADDER)
    watch(found, batch, caps=Caps(), limits=LATENCY)
    return found


def verdict(sums: LateSums, per_year: float = YEAR) -> Any:
    context = Context(subject=SUBJECT, requests_per_year=per_year)
    return judge_late(late_counters(sums), Limits(), Alphas(), context)


@pytest.mark.parametrize(
    ("every", "per_year", "alarm_at"),
    # rollouts.md 6.4: 5,000 clean, then every 20th or 5th fails; A = 1e4 is the least a year gives
    [(20, 9_000.0, 5_260), (20, 7.3e6, 5_420), (5, 9_000.0, 5_025), (5, 7.3e6, 5_040)],
)
def test_a_slow_onset_after_completion_is_found_where_the_specification_says(
    every: int, per_year: float, alarm_at: int
) -> None:
    sums = counted([seen(n) for n in range(5_000)])
    n = 5_000
    while verdict(sums, per_year).effect is not Effect.ROLLBACK:
        n += 1
        counted([seen(n, failed=n % every == 0)], sums)
        assert n <= alarm_at
    assert n == alarm_at
    found = verdict(sums, per_year)
    assert found.outcome is Judgement.NO_GO
    assert found.reasons[0].where == "trip.error_late"
    assert found.tests["trip.error_late"].threshold == pytest.approx(math.log(max(1e4, per_year)), abs=1e-6)


def test_it_goes_on_from_the_rollout_s_own_state_with_an_alarm_of_its_own() -> None:
    before = cusum.advance(cusum.start(0.01), [False] * 100 + [True, False, True, True])
    sums = after_rollout({"error": before.as_json()}, LADDER)
    assert late_counters(sums).metric(Metric.ERROR).cusum == pytest.approx(9.842986, abs=1e-6)
    assert verdict(sums, 9_000.0).effect is Effect.NONE, "failures before completion are not the watch's own"
    counted([seen(n, failed=True) for n in range(2)], sums)
    assert verdict(sums, 9_000.0).effect is Effect.ROLLBACK
    assert late_counters(sums).metric(Metric.ERROR).guard == Count(n=2, x=2)


def test_it_goes_on_by_the_last_step_s_limits() -> None:
    last = StepLimits(latency=LATENCY, trips={**TRIPS, Metric.ERROR: 0.02})
    ladder = Ladder(now=last, every=(LADDER.now, last))
    kept = {"error>0.01": 0.01, "error>0.02": 0.02, "policy": 0.03}
    sums = after_rollout({name: cusum.start(limit).as_json() for name, limit in kept.items()}, ladder)
    limits = {name: cusum.from_json(state).limit for name, state in sums.cusums.items()}
    assert limits == {"error": 0.02, "stalled": 0.05, "ungrounded": 0.05, "policy": 0.01}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 70), st.booleans()), max_size=40),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_any_batches_give_the_same_bits(rows: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    batch = [
        seen(n, who=f"p{who}", day=hour // 24, hour=hour % 24, failed=failed)
        for n, (who, hour, failed) in enumerate(rows)
    ]
    whole, parts = counted(batch), after_rollout({}, LADDER)
    edges = sorted({0, len(batch), *(cut for cut in cuts if cut <= len(batch))})
    for first, last in pairwise(edges):
        parts = LateSums.read(parts.as_json())
        counted(batch[first:last], parts)
    assert parts == whole


def test_one_asker_alone_who_fails_again_and_again_takes_nothing_out() -> None:
    clean = [seen(n, hour=n % 24) for n in range(200)]
    broken = [seen(1000 + n, who="one", failed=True, day=n // 6, hour=n // 2 % 3) for n in range(6 * 5)]
    sums = counted(clean + broken)
    counts = late_counters(sums).metric(Metric.ERROR)
    assert counts.guard.x == 5 * 3, "three hours a day"
    assert counts.failing == 1
    quiet = verdict(sums, 9_000.0).tests["trip.error_late"]
    assert quiet.log_e > quiet.threshold
    assert quiet.standing is Standing.QUIET
    counted([seen(2000, who="two", failed=True, day=5)], sums)
    assert verdict(sums, 9_000.0).effect is Effect.ROLLBACK


def test_a_late_record_of_a_day_that_is_forgotten_counts_into_the_eldest_that_is_not() -> None:
    sums = counted([seen(1, who="a", failed=True, day=3, hour=7), seen(2, who="b", failed=True, day=4)])
    counted([seen(3, who="a", failed=True, day=1, hour=7)], sums)
    assert list(sums.failed) == ["3", "4"]
    assert late_counters(sums).metric(Metric.ERROR).guard.x == 2, "the same asker, the same hour of the day"


def test_no_data_and_no_figure_of_traffic_never_take_anything_out() -> None:
    nothing = verdict(counted([]))
    assert (nothing.outcome, nothing.effect) == (Judgement.INCONCLUSIVE, Effect.NONE)
    unknown = verdict(counted([seen(n, failed=n < 2) for n in range(300)]), per_year=0.0)
    assert unknown.tests["trip.error_late"].threshold == pytest.approx(math.log(1e9), abs=1e-6)


def test_a_record_that_cannot_be_true_counts_as_lost_and_is_shown() -> None:
    sums = counted([seen(1, is_known=False)])
    assert (sums.quarantined, late_counters(sums).metric(Metric.ERROR).guard) == (1, Count(n=1, x=1))


def test_sums_of_another_version_are_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="another version"):
        LateSums.read({"unknown": 1})


def test_a_year_s_requests_are_those_that_were_measured_and_never_become_fewer() -> None:
    assert yearly([100] * 6, 70.0) == 365 * 70.0, "six days are no figure"
    assert yearly([100] * 5 + [800] * 2, 100.0) == pytest.approx(365 * 300.0), "the mean, not the quiet days"
    assert yearly([10] * 14, 70.0) == 365 * 70.0
    assert yearly([], 0.0) == 0.0
    sums = counted([seen(n, day=n // 100) for n in range(700)])
    assert grown(sums, 365 * 20.0) == 365 * 20.0, "not a whole week yet"
    counted([seen(n, day=n // 100) for n in range(700, 800)], sums)
    assert grown(sums, 365 * 20.0) == pytest.approx(365 * 800 / 7)
    assert grown(sums, 365 * 2000.0) == 365 * 2000.0
