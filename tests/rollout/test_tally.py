"""Sums of observations: the same records in any batches give the same counts, and caps only weaken a conclusion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.counters import Count, Counters, Metric
from pilotage.rollout import tally
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import Ladder, StepLimits
from pilotage.rollout.observation import LatencyLimits, Observation, is_observation, marks, sound_outcome
from pilotage.rollout.tally import Book, Caps, Totals, advance_cusums, counters, excuse, fold

LIMITS = LatencyLimits(go_ms=2000, trip_ms=5000)
TRIPS = {Metric.ERROR: 0.01, Metric.STALLED: 0.05, Metric.UNGROUNDED: 0.05, Metric.POLICY: 0.01}
LADDER = Ladder.level(StepLimits(latency=LIMITS, trips=TRIPS))
OUTCOMES = (
    "ok",
    "refused",
    "error.server",
    "timeout",
    "lost",
    "policy_blocked",
    "client_gone",
    "slow_client",
    "shed",
    "nonsense",
)


def test_metrics_are_dropped_from_totals_with_everything_kept_of_them() -> None:
    totals = {
        "metrics": {"slow": [1], "error": [2]},
        "relative": {"slow/1.0": [1, 1]},
        "cusums": {"stalled": 1},
        "recorded": 4,
    }
    kept = tally.without_sums(totals, LADDER.latency_names())
    assert kept == {"metrics": {"error": [2]}, "relative": {}, "cusums": {}, "recorded": 4}


def test_one_asker_s_ratings_alone_create_neither_go_nor_hold() -> None:
    glad = tally.rated_count([(1000, 0)], Caps())
    assert (glad.go, glad.failing) == (Count(n=50, x=0), 0)
    cross = tally.rated_count([(40, 40), (10, 0)], Caps())
    assert (cross.guard, cross.failing) == (Count(n=50, x=3), 1)


def test_what_was_routed_two_minutes_ago_and_has_no_record_is_missed_whatever_came_since() -> None:
    totals = Totals(recorded=100)  # of an earlier attempt
    tally.note_look(totals, at=0.0, clock=0.0, admitted=90)
    tally.note_look(totals, at=1.0, clock=1.0, admitted=130)  # 40 routed, none recorded yet
    tally.note_look(totals, at=30.0, clock=30.0, admitted=500)  # too soon for another look
    assert [look[1] for look in totals.looks] == [90, 130]
    totals.recorded += 30
    tally.note_records(totals, [0.5] * 30)
    assert tally.unrecorded(totals, clock=120.0) == 0  # nothing is two minutes old
    totals.recorded += 1000
    tally.note_records(totals, [60.0] * 1000)  # newer ones hide nothing
    assert tally.unrecorded(totals, clock=121.0) == 10
    totals.recorded += 10
    tally.note_records(totals, [0.9] * 10)  # streams that lasted
    assert tally.unrecorded(totals, clock=121.0) == 0
    for clock in (130.0, 200.0, 260.0):
        tally.note_look(totals, at=clock, clock=clock, admitted=1130)
    assert [look[0] for look in totals.looks] == [0.0, 130.0, 200.0, 260.0]
    assert tally.unrecorded(totals, clock=400.0) == 0


def seen(index: int = 0, **fields: Any) -> Observation:
    base = {
        "seq": index,
        "step": "1.0",
        "day": 0,
        "arm": Arm.CANDIDATE,
        "principal": "p1",
        "outcome": "ok",
        "latency_ms": 100.0,
    }
    return Observation(ungrounded=False, is_answer=True, **{**base, **fields})


observations = st.lists(
    st.builds(
        Observation,
        seq=st.integers(0, 1000),
        step=st.sampled_from(["1.0", "1.1"]),
        day=st.integers(0, 2),
        arm=st.sampled_from([Arm.STABLE, Arm.CANDIDATE]),
        principal=st.sampled_from(["a", "b", "c"]),
        outcome=st.sampled_from(OUTCOMES),
        latency_ms=st.sampled_from([1.0, 3000.0, 6000.0, -1.0, float("nan")]),
        ungrounded=st.sampled_from([None, True, False]),
        is_answer=st.booleans(),
    ),
    max_size=60,
)


def counted(batches: list[list[Observation]], caps: Caps | None = None) -> Totals:
    totals, books = Totals(), dict[str, Book]()
    for batch in batches:
        advance_cusums(totals, books, batch, caps=caps or Caps(), ladder=LADDER)
        fold(totals, books, batch, caps=caps or Caps(), ladder=LADDER)
    return totals


def read(totals: Totals) -> Counters:
    return counters(totals, ladder=LADDER, step="1.0", fractions={"1.0": 50_000, "1.1": 250_000}, admitted=0)


@given(observations, st.integers(1, 7))
def test_any_batching_gives_the_same_totals_bit_for_bit(batch: list[Observation], size: int) -> None:
    pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
    assert counted(pieces).as_json() == counted([batch]).as_json()


@given(observations, st.randoms())
def test_the_order_of_records_changes_no_count(batch: list[Observation], dice: Any) -> None:
    shuffled = list(batch)
    dice.shuffle(shuffled)
    one, other = counted([batch]), counted([shuffled])
    one.cusums, other.cusums = {}, {}  # e-CUSUMs follow ledger order by design
    assert read(one) == read(other)


@given(observations)
def test_caps_only_weaken_a_conclusion(batch: list[Observation]) -> None:
    capped = read(counted([batch], Caps(failures=1, successes=1)))
    free = read(counted([batch], Caps(failures=10**6, successes=10**6)))
    for metric, count in capped.metrics.items():
        everything = free.metric(metric)
        assert count.go.x == everything.go.x
        assert count.go.n <= everything.go.n
        assert count.guard.n == everything.guard.n
        assert count.guard.x <= everything.guard.x


@given(observations, st.data())
def test_a_window_taken_out_later_is_the_same_as_one_that_never_counted(batch: list[Observation], data: Any) -> None:
    inside = data.draw(st.sets(st.sampled_from(range(len(batch)))) if batch else st.just(set[int]()))
    marked = [replace(one, is_excused=index in inside) for index, one in enumerate(batch)]
    never, left_out = Totals(), dict[str, Book]()
    advance_cusums(never, left_out, marked, caps=Caps(), ladder=LADDER)
    fold(never, left_out, marked, caps=Caps(), ladder=LADDER)
    totals, books = Totals(), dict[str, Book]()
    advance_cusums(totals, books, batch, caps=Caps(), ladder=LADDER)
    fold(totals, books, batch, caps=Caps(), ladder=LADDER)
    excuse(totals, books, [batch[index] for index in sorted(inside)], caps=Caps(), ladder=LADDER)
    assert (read(totals), books) == (read(never), left_out)
    assert totals.cusums == counted([batch]).cusums, "an excuse disarms no trip"


def test_what_was_never_counted_cannot_be_taken_out() -> None:
    totals, books = Totals(), dict[str, Book]()
    fold(totals, books, [seen(1, principal="a")], caps=Caps(), ladder=LADDER)
    for other in (seen(2, principal="b"), seen(3, principal="a", outcome="timeout")):
        with pytest.raises(ValueError, match="not counted as"):
            excuse(totals, books, [other], caps=Caps(), ladder=LADDER)


@given(observations)
def test_totals_read_back_as_they_were_written(batch: list[Observation]) -> None:
    totals = counted([batch])
    assert Totals.read(totals.as_json()).as_json() == totals.as_json()


def test_damaged_totals_are_an_error() -> None:
    with pytest.raises(ValueError, match="damaged"):
        Totals.read({"unknown": 1})


def test_one_principal_alone_creates_neither_go_nor_trip() -> None:
    batch = [seen(index, outcome="error.server" if index % 2 else "ok") for index in range(1000)]
    error = read(counted([batch])).metric(Metric.ERROR)
    assert (error.go, error.guard, error.failing) == (Count(n=550, x=500), Count(n=1000, x=3), 1)


def test_relative_counts_are_distinct_principals_by_arm_and_fraction() -> None:
    batch = [
        seen(0, principal="a", outcome="timeout"),
        seen(1, principal="a", outcome="timeout"),
        seen(2, principal="b", outcome="timeout", arm=Arm.STABLE),
        seen(3, principal="c", outcome="timeout", arm=Arm.STABLE, step="1.1"),
    ]
    found = read(counted([batch]))
    arms = {one.fraction_ppm: (one.candidate, one.stable) for one in found.relative[Metric.ERROR]}
    assert arms == {50_000: (1, 1), 250_000: (0, 1)}
    assert (found.routed[0].principals, found.routed[0].candidate) == (2, 1)
    assert found.principals == 1


@pytest.mark.parametrize(
    ("outcome", "latency", "expected"),
    [
        ("ok", 100.0, {"slow": False, "stalled": False, "error": False, "policy": False, "refused": False}),
        ("ok", 2500.0, {"slow": True, "stalled": False, "error": False}),
        ("refused", 100.0, {"refused": True, "error": False}),
        ("policy_blocked", 100.0, {"policy": True, "error": False}),
        ("timeout", 1.0, {"error": True, "slow": True, "stalled": True}),
        ("shed", 1.0, {"shed": True, "error": True, "slow": True, "stalled": True}),
        ("client_gone", 100.0, {"client_gone": True, "slow": False}),
        ("client_gone", 6000.0, {"client_gone": True, "slow": True, "stalled": True}),
        ("ok", float("nan"), {"error": True, "slow": True, "stalled": True}),
        ("what", 1.0, {"error": True}),
    ],
)
def test_what_an_outcome_counts_for(outcome: str, latency: float, expected: dict[str, bool]) -> None:
    one = seen(outcome=outcome, latency_ms=latency)
    found = {metric.value: failed for metric, failed in marks(one, LIMITS).items()}
    assert {name: found[name] for name in expected} == expected
    assert ("error" in found) == (outcome != "client_gone")


def test_a_mistake_before_routing_is_no_observation_and_nonsense_is_lost() -> None:
    assert not is_observation("rejected")
    assert is_observation("ok")
    assert sound_outcome("ok", -1.0) == "lost"
    assert sound_outcome("ok", 1.0) == "ok"


def test_a_record_of_an_unknown_place_is_lost_whatever_it_says_and_is_told_apart() -> None:
    strange = seen(is_known=False)
    found = marks(strange, LIMITS)
    assert found[Metric.ERROR]
    assert found[Metric.STALLED]
    assert Metric.UNGROUNDED not in found
    for one, number in ((strange, 1), (seen(latency_ms=-1.0), 1), (seen(outcome="lost"), 0), (seen(), 0)):
        assert counted([[one]]).quarantined == number


def test_feedback_and_admissions_are_passed_on() -> None:
    rated = tally.rated_count([(2, 0), (1, 1)], Caps())
    found = counters(Totals(), ladder=LADDER, step="1.0", fractions={}, admitted=7, feedback=rated)
    assert (found.admitted, found.metric(Metric.FEEDBACK).go, found.routed) == (7, Count(n=3, x=1), ())
