"""What people see of both arms: sums that add up, a quantile close to the true one, slots long enough to be read."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.ids import SpaceName
from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import (
    MOST_POINTS,
    Course,
    Slot,
    added,
    count,
    shown,
    slot_length,
    slot_start,
    together,
    total,
)
from pilotage.rollout.observation import LatencyLimits, Observation
from pilotage.workspace.plan import Step, Wave

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = LatencyLimits(go_ms=2000, trip_ms=5000)


def seen(**fields: Any) -> Observation:
    base: dict[str, Any] = {"seq": 1, "step": "1.0", "day": 0, "arm": Arm.CANDIDATE, "principal": "p"}
    return Observation(**{**base, "outcome": "ok", "latency_ms": 100.0, **fields})


def counted(*requests: Observation, at: datetime = NOW) -> Course:
    return count([(at, one) for one in requests], HOUR, LIMITS)


def of(arm: Arm, *, at: datetime = NOW, requests: int = 1) -> Course:
    return {(arm, at): Slot(requests=requests, bins={10: requests})}


@given(st.lists(st.floats(1, 60_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_shown_quantile_is_never_below_the_observed_one_and_two_percent_above_it_at_most(
    latencies: list[float], quantile: float
) -> None:
    slot = total(counted(*(seen(latency_ms=one) for one in latencies)), Arm.CANDIDATE)
    true = sorted(latencies)[math.ceil(quantile * len(latencies)) - 1]
    found = slot.latency_ms(quantile)
    assert found is not None
    assert true * (1 - 1e-9) <= found <= true * 1.02 * (1 + 1e-9)


def test_failed_requests_exceed_every_latency_and_those_whose_asker_left_are_no_errors() -> None:
    slot = total(counted(*[seen()] * 17, seen(outcome="client_gone"), *[seen(outcome="timeout")] * 2), Arm.CANDIDATE)
    assert (slot.requests, slot.failed, slot.gone, slot.judged) == (20, 2, 1, 19)
    assert slot.error_share == 2 / 19
    assert slot.latency_ms(0.95) == math.inf
    assert slot.latency_ms(0.5) == pytest.approx(100, rel=0.02)
    assert total(counted(seen(latency_ms=float("nan"))), Arm.CANDIDATE).failed == 1


def test_what_nobody_observed_is_none_and_never_a_zero() -> None:
    empty = Slot()
    assert (empty.error_share, empty.grounded_share, empty.latency_ms(0.95)) == (None, None, None)
    graded = total(counted(seen(ungrounded=True), seen(ungrounded=False), seen()), Arm.CANDIDATE)
    assert (graded.scored, graded.grounded_share) == (2, 0.5)
    assert shown({}, HOUR) == ()


requests = st.builds(
    seen,
    arm=st.sampled_from([Arm.STABLE, Arm.CANDIDATE]),
    outcome=st.sampled_from(["ok", "timeout", "client_gone", "nonsense"]),
    latency_ms=st.sampled_from([0.0, 3.0, 700.0]),
    ungrounded=st.sampled_from([None, True, False]),
)


@given(st.lists(st.tuples(st.integers(0, 300), requests), max_size=40), st.integers(0, 40))
def test_the_same_requests_in_any_batches_give_the_same_course(timed: list[tuple[int, Observation]], cut: int) -> None:
    batch = [(NOW + timedelta(minutes=minutes), one) for minutes, one in timed]
    whole = count(batch, HOUR, LIMITS)
    parts = added(count(batch[:cut], HOUR, LIMITS), count(batch[cut:], HOUR, LIMITS))
    assert parts == whole
    assert all(Slot.read(slot.as_json()) == slot for slot in whole.values())
    for arm in (Arm.STABLE, Arm.CANDIDATE):
        assert together(slots[arm] for _, slots in shown(whole, HOUR) if arm in slots) == total(whole, arm)


def test_slots_begin_at_round_times_of_utc_and_are_as_long_as_the_bake_asks() -> None:
    east = NOW.astimezone(tz=None)
    assert slot_start(east, HOUR) == datetime(2026, 3, 2, 10, tzinfo=UTC)
    bakes = {600: 60, 4 * 3600: 300, 24 * 3600: 1800, 84 * 3600: 2 * 3600, 90 * 86_400: 86_400}
    for bake_s, slot_s in bakes.items():
        wave = Wave(space=SpaceName("east"), steps=(Step(name="full", weight=1.0, bake_s=bake_s),))
        assert slot_length(wave) == timedelta(seconds=slot_s)


def test_a_long_course_is_shown_in_few_slots_and_an_hour_without_traffic_is_a_hole() -> None:
    long: Course = {
        key: slot for hour in range(200) for key, slot in of(Arm.STABLE, at=NOW + hour * HOUR, requests=30).items()
    }
    parts = shown(long, HOUR)
    assert len(parts) <= MOST_POINTS
    assert parts[1][0] - parts[0][0] == 8 * HOUR
    two = shown({**of(Arm.STABLE), **of(Arm.STABLE, at=NOW + 2 * HOUR)}, HOUR)
    assert [len(slots) for _, slots in two] == [1, 0, 1]


def test_slots_grow_until_the_candidate_met_enough_people_to_read_them() -> None:
    thin: Course = {
        key: slot for hour in range(24) for key, slot in of(Arm.CANDIDATE, at=NOW + hour * HOUR, requests=6).items()
    }
    assert len(shown(thin, HOUR)) == 6
    hardly: Course = {key: slot for hour in range(24) for key, slot in of(Arm.CANDIDATE, at=NOW + hour * HOUR).items()}
    assert len(shown(hardly, HOUR)) == 3
    rounds: Course = {
        key: slot
        for place in range(9)
        for key, slot in of(Arm.CANDIDATE, at=NOW + 4 * place * HOUR, requests=99).items()
    }
    assert [len(slots) for _, slots in shown(rounds, HOUR)] == [1] * 9
    late = {**rounds, **of(Arm.STABLE, at=NOW - 40 * HOUR)}
    assert len(shown(late, 4 * HOUR)) == 19, "time before the candidate came says nothing"
