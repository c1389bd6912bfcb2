"""Simulated traffic repeats exactly, and keeps the shape it promises (rollouts.md 12)."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from pilotage.core.errors import UsageError
from pilotage.rollout.assignment import Arm
from pilotage.rollout.faults import Fault, FaultKind, Moment, is_broken, latency_of, parse_fault, rate_at, strikes
from pilotage.rollout.simulate import Load, Trace, crowd, draw, log_normal, read_trace, shared_out

MOMENT = Moment(index=1, at_s=100.0, arm=Arm.CANDIDATE, space="production", principal="local|p000001")


@pytest.mark.parametrize(
    ("seed", "purpose", "index", "expected"),
    [
        (7, "arrival", 0, 0.967833803977),
        (7, "fault.error", 0, 0.773831475852),
        (7, "fault.error", 1, 0.227175077823),
        (8, "fault.error", 0, 0.553764338294),
    ],
)
def test_a_draw_is_the_specified_number(seed: int, purpose: str, index: int, expected: float) -> None:
    assert f"{draw(seed, purpose, index):.12f}" == f"{expected:.12f}"


def test_draws_are_uniform() -> None:
    found = [draw(1, "x", index) for index in range(20_000)]
    assert statistics.mean(found) == pytest.approx(0.5, abs=0.01)
    assert statistics.pvariance(found) == pytest.approx(1 / 12, abs=0.002)
    assert 0.0 <= min(found) <= max(found) < 1.0


def test_activity_follows_zipf() -> None:
    people = crowd(7)
    assert len(people.people()) == 2_000
    asked = Counter(people.asker(index) for index in range(30_000))
    assert asked["local|p000000"] / asked["local|p000001"] == pytest.approx(2**1.1, rel=0.1)
    assert asked.most_common(1)[0][0] == "local|p000000"
    with pytest.raises(UsageError, match="at least 1"):
        crowd(7, size=0)


def test_groups_are_shared_out_as_declared() -> None:
    shares = {"pilot": 0.125, "branch": 0.5}
    found = Counter(shared_out(7, "group", index, shares) for index in range(20_000))
    assert found["pilot"] / 20_000 == pytest.approx(0.125, abs=0.01)
    assert found[None] / 20_000 == pytest.approx(0.375, abs=0.012)
    with pytest.raises(UsageError, match="add up"):
        shared_out(7, "group", 0, {"a": 0.7, "b": 0.4})


def test_a_log_normal_latency_has_its_median_even_at_the_ends() -> None:
    assert log_normal(0.5, median=900.0, sigma=0.6) == pytest.approx(900.0)
    assert 0 < log_normal(0.0, median=900.0, sigma=0.6) < log_normal(1.0, median=900.0, sigma=0.6) < math.inf


TRACE = Trace(offsets=tuple(float(second) for second in range(0, 3600, 2)), span_s=3600.0)


def test_a_load_has_its_rate_its_hours_and_no_memory_of_the_window() -> None:
    profile = [0.0] * 12 + [2.0] * 12
    load = Load(seed=7, trace=TRACE, per_day=60_000, profile=profile)
    day = list(load.arrivals(start_s=0, until_s=86_400))
    assert len(day) == pytest.approx(60_000, rel=0.01)
    assert min(day) >= 12 * 3600
    assert all(a <= b for a, b in pairwise(day))
    assert list(load.arrivals(start_s=50_000, until_s=51_000)) == [at for at in day if 50_000 <= at < 51_000]


@pytest.mark.parametrize(("per_day", "profile"), [(0.0, [1.0] * 24), (1.0, [1.0] * 23), (1.0, [0.0] * 24)])
def test_a_load_that_makes_no_sense_is_refused(per_day: float, profile: list[float]) -> None:
    with pytest.raises(UsageError):
        Load(seed=7, trace=TRACE, per_day=per_day, profile=profile)


@pytest.mark.parametrize(
    ("name", "requests", "seconds", "variation"), [("conv", 19_366, 3501.7, 1.09), ("code", 8_819, 3435.9, 13.15)]
)
def test_the_recorded_arrivals_are_the_known_ones(
    shared_data: Path, name: str, requests: int, seconds: float, variation: float
) -> None:
    path = shared_data / "demo" / "azure-llm-trace" / f"AzureLLMInferenceTrace_{name}.csv"
    trace = read_trace(path.read_text())
    assert len(trace.offsets) == requests
    assert trace.offsets[-1] == pytest.approx(seconds, abs=0.1)
    gaps = [later - earlier for earlier, later in pairwise(trace.offsets)]
    assert statistics.pstdev(gaps) / statistics.mean(gaps) == pytest.approx(variation, abs=0.01)


@pytest.mark.parametrize("text", ["", "x,y\n", "TIMESTAMP,a\nnever,1\n", "TIMESTAMP\n2023-11-16 18:17:03.9799600\n"])
def test_a_file_that_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_trace(text)


def test_seven_decimals_are_kept() -> None:
    trace = read_trace("TIMESTAMP,a\n2023-11-16 18:17:03.9799600,1\n2023-11-16 18:17:03.9799607,2\n\n")
    assert trace.offsets == (0.0, 7e-7)


def test_a_fault_acts_in_its_window_and_rises_over_its_ramp() -> None:
    fault = Fault(kind=FaultKind.ERROR, rate=0.4, from_s=100.0, until_s=200.0, ramp_s=50.0)
    assert [rate_at(fault, at) for at in (99.0, 100.0, 125.0, 150.0, 199.0, 200.0)] == [0.0, 0.0, 0.2, 0.4, 0.4, 0.0]


def test_a_fault_strikes_its_arm_and_space_at_its_rate() -> None:
    fault = Fault(kind=FaultKind.ERROR, rate=0.05, arm=Arm.CANDIDATE, space="production")
    moments = [Moment(index=i, at_s=1.0, arm=Arm.CANDIDATE, space="production", principal="a") for i in range(10_000)]
    assert sum(strikes(fault, 7, moment) for moment in moments) == pytest.approx(500, abs=80)
    other = Moment(index=1, at_s=1.0, arm=Arm.STABLE, space="production", principal="a")
    assert not strikes(Fault(kind=FaultKind.ERROR, arm=Arm.CANDIDATE), 7, other)
    assert not strikes(Fault(kind=FaultKind.ERROR, space="elsewhere"), 7, other)


def test_a_sticky_fault_breaks_the_same_principals_always() -> None:
    fault = Fault(kind=FaultKind.STICKY, share=0.04, rate=1.0)
    people = crowd(7).people()
    broken = [one for one in people if is_broken(fault, 7, one)]
    assert len(broken) == pytest.approx(80, abs=30)
    struck = Moment(index=5, at_s=1.0, arm=Arm.STABLE, space="s", principal=broken[0])
    healthy = next(one for one in people if one not in broken)
    assert strikes(fault, 7, struck)
    assert not strikes(fault, 7, Moment(index=5, at_s=1.0, arm=Arm.STABLE, space="s", principal=healthy))


def test_a_latency_fault_has_its_median() -> None:
    fault = Fault(kind=FaultKind.LATENCY, median_ms=3000.0, sigma=0.5)
    found = [
        latency_of(fault, 7, Moment(index=i, at_s=0, arm=Arm.STABLE, space="s", principal="a")) for i in range(4_000)
    ]
    assert statistics.median(found) == pytest.approx(3000.0, rel=0.05)


def test_a_declared_fault_is_read_with_its_types() -> None:
    found = parse_fault({"kind": "error", "rate": 1, "arm": "candidate", "space": "s", "process": 2, "from_s": 21600})
    assert found == Fault(kind=FaultKind.ERROR, rate=1.0, arm=Arm.CANDIDATE, space="s", process=2, from_s=21_600.0)
    assert strikes(found, 7, MOMENT) is False


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "earthquake"},
        {"kind": "error", "rate": 1.5},
        {"kind": "error", "rate": -0.1},
        {"kind": "error", "rate": math.nan},
        {"kind": "error", "rate": "5 %"},
        {"kind": "error", "often": 1},
        {"kind": "error", "arm": "both"},
        {"kind": "error", "from_s": 10, "until_s": 5},
        {"kind": "latency", "sigma": -1},
        {},
    ],
)
def test_a_fault_that_is_none_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        parse_fault(value)
