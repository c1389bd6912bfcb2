"""Steps that judge by different limits: each reads what its own limits say, whichever step a request came in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rollout.test_tally import observations, seen

from pilotage.analysis import cusum
from pilotage.analysis.counters import Counters, Metric
from pilotage.rollout import tally
from pilotage.rollout.ladder import Ladder, StepLimits, metric_of
from pilotage.rollout.observation import LatencyLimits, Observation
from pilotage.rollout.tally import Book, Caps, Totals, advance_cusums, counters, excuse, fold

TRIPS = {Metric.ERROR: 0.01, Metric.STALLED: 0.05, Metric.UNGROUNDED: 0.05, Metric.POLICY: 0.01}
LOOSE = StepLimits(latency=LatencyLimits(go_ms=4000, trip_ms=9000), trips={**TRIPS, Metric.ERROR: 0.02})
TIGHT = StepLimits(latency=LatencyLimits(go_ms=2000, trip_ms=5000), trips=TRIPS)
FIRST, SECOND = (Ladder(now=now, every=(LOOSE, TIGHT)) for now in (LOOSE, TIGHT))


def counted(batches: list[list[Observation]], *ladders: Ladder) -> Totals:
    """Count each batch while the space stands at the ladder of its place; the last one goes on."""
    totals, books = Totals(), dict[str, Book]()
    for place, batch in enumerate(batches):
        ladder = ladders[min(place, len(ladders) - 1)]
        advance_cusums(totals, books, batch, caps=Caps(), ladder=ladder)
        fold(totals, books, batch, caps=Caps(), ladder=ladder)
    return totals


def read(totals: Totals, ladder: Ladder) -> Counters:
    return counters(totals, ladder=ladder, step="1.0", fractions={"1.0": 50_000, "1.1": 250_000}, admitted=0)


@given(observations, st.integers(0, 60))
def test_each_step_counts_as_if_its_limits_had_been_there_from_the_start(batch: list[Observation], cut: int) -> None:
    totals = counted([batch[:cut], batch[cut:]], FIRST, SECOND)
    for ladder, limits in ((FIRST, LOOSE), (SECOND, TIGHT)):
        alone = Ladder.level(limits)
        assert read(totals, ladder) == read(counted([batch], alone), alone)


@given(observations, st.integers(1, 7))
def test_any_batches_give_the_same_bits_whichever_step_they_are_counted_in(batch: list[Observation], size: int) -> None:
    pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
    assert counted(pieces, FIRST, SECOND).as_json() == counted([batch], SECOND).as_json()


@given(observations, st.data())
def test_a_window_is_taken_out_whichever_step_its_requests_came_in(batch: list[Observation], data: Any) -> None:
    inside = data.draw(st.sets(st.sampled_from(range(len(batch)))) if batch else st.just(set[int]()))
    totals, books = Totals(), dict[str, Book]()
    fold(totals, books, batch, caps=Caps(), ladder=FIRST)
    excuse(totals, books, [batch[index] for index in sorted(inside)], caps=Caps(), ladder=SECOND)
    left = [one for index, one in enumerate(batch) if index not in inside]
    without = counted([left], FIRST)
    for ladder in (FIRST, SECOND):
        now, then = read(totals, ladder), read(without, ladder)
        for metric in Metric:
            assert (now.metric(metric).go, now.metric(metric).guard) == (
                then.metric(metric).go,
                then.metric(metric).guard,
            )
            assert now.metric(metric).failing == then.metric(metric).failing
        assert [one for rows in now.relative.values() for one in rows] == [
            one for rows in then.relative.values() for one in rows
        ]


def test_a_step_with_a_stricter_latency_proves_nothing_by_requests_that_only_met_the_looser_one() -> None:
    totals = counted([[seen(n, principal=f"p{n}", latency_ms=3000.0) for n in range(100)]], FIRST)
    assert (read(totals, FIRST).metric(Metric.SLOW).go.x, read(totals, SECOND).metric(Metric.SLOW).go.x) == (0, 100)


def test_names_are_the_metric_s_where_the_steps_agree_and_else_name_the_limit() -> None:
    assert [Ladder.level(TIGHT).sum_name(metric) for metric in Metric] == [metric.value for metric in Metric]
    assert [name for name, _, _ in Ladder.level(TIGHT).alarms()] == ["error", "stalled", "ungrounded", "policy"]
    assert list(SECOND.alarms()) == [
        ("error>0.02", "error", 0.02),
        ("error>0.01", "error", 0.01),
        ("stalled@9000", "stalled@9000", 0.05),
        ("stalled@5000", "stalled@5000", 0.05),
        ("ungrounded", "ungrounded", 0.05),
        ("policy", "policy", 0.01),
    ]
    assert FIRST.latency_names() == {"slow@4000", "slow@2000", "stalled@9000", "stalled@5000"}
    assert metric_of("slow@4000") is Metric.SLOW
    with pytest.raises(ValueError, match="unknown"):
        metric_of("unknown")


def test_sums_by_other_latency_limits_are_dropped_with_their_alarms() -> None:
    totals = counted([[seen(1, latency_ms=6000.0), seen(2, outcome="timeout")]], FIRST)
    kept = tally.without_sums(totals.as_json(), FIRST.latency_names())
    assert {name.partition("@")[0] for name in kept["metrics"]}.isdisjoint({"slow", "stalled"})
    assert {name.partition("/")[0] for name in kept["relative"]} == {"error"}
    assert set(kept["cusums"]) == {"error>0.02", "error>0.01", "ungrounded", "policy"}


def test_an_alarm_that_watched_another_limit_starts_anew() -> None:
    kept = cusum.advance(cusum.start(0.01), [True]).as_json()
    assert cusum.resume(kept, 0.01).seen == 1
    assert cusum.resume(kept, 0.02) == cusum.resume(None, 0.02) == cusum.start(0.02)


def test_an_alarm_goes_on_by_its_limit_under_the_name_that_the_steps_now_give_it() -> None:
    level, other = Ladder.level(TIGHT), Ladder.level(StepLimits(latency=TIGHT.latency, trips=LOOSE.trips))
    both = Ladder(now=TIGHT, every=(*level.every, *other.every))
    batch = [seen(1, outcome="timeout"), seen(2)]
    stored = counted([batch], level).as_json()["cusums"]
    assert tally.standing_alarms(stored, level) == stored
    moved = tally.standing_alarms(stored, both)
    assert moved["error>0.01"] == stored["error"]
    assert "error>0.02" not in moved, "nobody watched that share"
    split = counted([batch], both).as_json()["cusums"]
    assert tally.standing_alarms(split, level) == stored
    assert tally.standing_alarms(split, other)["error"] == split["error>0.02"]
    assert "stalled@5000" not in tally.standing_alarms(stored, SECOND), "by which latency it was counted nobody knows"


def test_a_window_counted_before_the_steps_limits_had_names_is_not_taken_out_and_says_what_to_do() -> None:
    totals, books, batch = Totals(), dict[str, Book](), [seen(1)]
    fold(totals, books, batch, caps=Caps(), ladder=Ladder.level(TIGHT))
    with pytest.raises(ValueError, match="were not counted as slow@4000; let it begin after them"):
        excuse(totals, books, batch, caps=Caps(), ladder=SECOND)
