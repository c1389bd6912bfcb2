"""Two failed checks make a space unhealthy, three that pass healthy; silence fails, and nobody reporting is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.core.reason import Reason
from pilotage.space.health import HealthState, Report, judge_health

BAD = (Reason(code="MODEL_UNREACHABLE", text="No answer."),)
FINE = Report(process="a", age_s=1, failures=0, successes=5)


def failing(failures: int, **changes: object) -> Report:
    report = Report(process="a", age_s=1, failures=failures, successes=0, reasons=BAD)
    return replace(report, **changes)  # type: ignore[arg-type]


def state(before: HealthState, *reports: Report) -> HealthState:
    return judge_health(before, reports, interval_s=30).state


@pytest.mark.parametrize("before", list(HealthState))
def test_a_space_nobody_reports_on_is_unknown_and_never_healthy(before: HealthState) -> None:
    found = judge_health(before, (), interval_s=30)
    assert found.state is HealthState.UNKNOWN
    assert [reason.code for reason in found.reasons] == ["SPACE_UNSEEN"]


def test_one_failed_check_changes_nothing_and_two_make_it_unhealthy() -> None:
    assert state(HealthState.HEALTHY, failing(1)) is HealthState.HEALTHY
    found = judge_health(HealthState.HEALTHY, [failing(2)], interval_s=30)
    assert found.state is HealthState.UNHEALTHY
    assert found.reasons == BAD


def test_one_process_that_is_fit_keeps_the_space_healthy() -> None:
    assert state(HealthState.HEALTHY, failing(7), replace(FINE, process="b")) is HealthState.HEALTHY


@pytest.mark.parametrize(("age_s", "expected"), [(64.9, HealthState.HEALTHY), (65.1, HealthState.UNHEALTHY)])
def test_silence_for_two_checks_is_failure(age_s: float, expected: HealthState) -> None:
    assert state(HealthState.HEALTHY, replace(FINE, age_s=age_s)) is expected


def test_three_checks_that_pass_bring_it_back_and_two_do_not() -> None:
    assert state(HealthState.UNHEALTHY, replace(FINE, successes=2)) is HealthState.UNHEALTHY
    assert state(HealthState.UNHEALTHY, replace(FINE, successes=3)) is HealthState.HEALTHY


def test_a_space_seen_for_the_first_time_needs_one_check_that_passed() -> None:
    assert state(HealthState.UNKNOWN, replace(FINE, successes=1)) is HealthState.HEALTHY
    assert state(HealthState.UNKNOWN, failing(1)) is HealthState.UNKNOWN
