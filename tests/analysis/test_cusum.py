"""Late regressions: the vectors of rollouts.md 6.4, and a state that survives storage bit for bit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.cusum import advance, follow, from_json, log_alarm, next_phase, start
from pilotage.analysis.eprocess import log_gt, threshold
from pilotage.core.canonical import Form, Json, canonical_bytes, parse_json

LOG_A = {1e4: math.log(1e4) + 1e-9, 11_000 / 0.0015: math.log(11_000 / 0.0015) + 1e-9}


def test_the_statistic_of_a_hundred_clean_requests_and_four_more() -> None:
    state = advance(start(0.01), [False] * 100)
    found = [state.statistic]
    for failed in (True, False, True, True):
        state = advance(state, [failed])
        found.append(state.statistic)
    assert [f"{value:.6f}" for value in found] == ["-0.248877", "3.127290", "2.392371", "5.924748", "9.842986"]


@pytest.mark.feature("D13.26")
@pytest.mark.parametrize(("every", "alarms", "plain"), [(20, (5260, 5420), 7280), (5, (5025, 5040), 5450)])
def test_a_regression_after_five_thousand_clean_requests_is_caught_early(
    every: int, alarms: tuple[int, int], plain: int
) -> None:
    state = advance(start(0.01), [False] * 5000)
    first: dict[float, int] = {}
    slow = 0
    for number in range(1, 2400):
        state = advance(state, [number % every == 0])
        for limit, needed in LOG_A.items():
            if state.statistic >= needed:
                first.setdefault(limit, 5000 + number)
        if not slow and log_gt(5000 + number, number // every, 0.01) >= threshold(0.001):
            slow = 5000 + number
    assert tuple(first.values()) == alarms
    assert slow == plain


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_batches_and_storage_change_no_bit(outcomes: list[bool], cut: int) -> None:
    whole = advance(start(0.05), outcomes)
    stored = parse_json(canonical_bytes(advance(start(0.05), outcomes[:cut]).as_json(), form=Form.ENTRY))
    assert isinstance(stored, dict)
    assert advance(from_json(stored), outcomes[cut:]) == whole


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_peak_is_the_highest_statistic_at_any_failure(outcomes: list[bool]) -> None:
    state, seen = start(0.01), [-math.inf]
    for failed in outcomes:
        before = state.statistic
        state = advance(state, [failed])
        if failed:
            seen.append(state.statistic)
        else:
            assert state.statistic <= before + 1e-12
    assert state.peak == max(seen)


def test_a_new_phase_forgets_the_old_peak() -> None:
    state = advance(start(0.01), [True, True, *[False] * 500])
    assert state.peak > 7 > next_phase(state).peak == state.statistic
    assert next_phase(start(0.01)).peak == -math.inf


def test_a_peak_within_the_plan_alarms_by_no_limit_beyond_it() -> None:
    """Whatever the batches: after the planned requests a phase with a peak of its own begins, once."""
    outcomes = [True, True, *[False] * 500, True, *[False] * 9]
    planned = follow(start(0.01), outcomes, planned_requests=502)
    assert planned.is_past_plan
    assert planned.peak < 4
    assert follow(start(0.01), outcomes, planned_requests=0).peak > 7
    for cut in (1, 502, 503, 505):
        parts = follow(start(0.01), outcomes[:cut], planned_requests=502)
        assert parts.is_past_plan is (cut > 502)
        assert follow(from_json(parts.as_json()), outcomes[cut:], planned_requests=502) == planned


def test_the_alarm_limit_follows_plan_then_year_within_bounds() -> None:
    def alarm(planned: int, per_year: float, *, past: bool) -> float:
        return math.exp(
            log_alarm(planned_requests=planned, past_plan=past, requests_per_year=per_year, alpha=0.0015) - 1e-9
        )

    assert alarm(11_000, 0, past=False) == pytest.approx(11_000 / 0.0015)
    assert alarm(11_000, 5e6, past=True) == pytest.approx(5e6)
    assert alarm(11_000, 10, past=True) == pytest.approx(1e4)
    assert alarm(11_000, 1e12, past=True) == pytest.approx(1e9)
    assert alarm(0, 0, past=False) == pytest.approx(1e9)
    assert alarm(11_000, 0, past=True) == pytest.approx(1e9)


@pytest.mark.parametrize(
    "change",
    [{"sums": []}, {"seen": -1}, {"peak": 3}, {"sums": ["nan"] * 24}, {"limit": "0x1.8p+1"}, {"sums": ["x"] * 24}],
)
def test_a_damaged_state_is_an_error(change: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match=r"e-CUSUM|limit|hexadecimal"):
        from_json({**start(0.01).as_json(), **change})
