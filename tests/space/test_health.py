"""Two failed checks make a space unhealthy, three that pass healthy; silence fails, and nobody reporting is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pilotage.core.reason import Reason
from pilotage.space.health import (
    HealthState,
    Report,
    blind_until,
    failing_rows,
    judge_health,
    resumed,
)

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


@pytest.mark.feature("D13.71")
@pytest.mark.parametrize(("age_s", "expected"), [(64.9, HealthState.HEALTHY), (65.1, HealthState.UNHEALTHY)])
def test_silence_for_two_checks_is_failure(age_s: float, expected: HealthState) -> None:
    assert state(HealthState.HEALTHY, replace(FINE, age_s=age_s)) is expected


def test_three_checks_that_pass_bring_it_back_and_two_do_not() -> None:
    assert state(HealthState.UNHEALTHY, replace(FINE, successes=2)) is HealthState.UNHEALTHY
    assert state(HealthState.UNHEALTHY, replace(FINE, successes=3)) is HealthState.HEALTHY


def test_a_space_seen_for_the_first_time_needs_one_check_that_passed() -> None:
    assert state(HealthState.UNKNOWN, replace(FINE, successes=1)) is HealthState.HEALTHY
    assert state(HealthState.UNKNOWN, failing(1)) is HealthState.UNKNOWN


NOW = datetime(2026, 3, 2, tzinfo=UTC)
BLIND = resumed(300, NOW, interval_s=30)
SILENT = replace(FINE, process="silent", age_s=300)


@pytest.mark.parametrize("before", list(HealthState))
@pytest.mark.parametrize("others", [(), (failing(7),)])
def test_who_was_silent_while_nobody_looked_either_changes_nothing(
    before: HealthState, others: tuple[Report, ...]
) -> None:
    found = judge_health(before, [SILENT, *others], interval_s=30, blind=BLIND)
    assert found.state is before
    assert found.reasons[0] == BLIND
    assert state(before, SILENT, *others) is HealthState.UNHEALTHY


def test_what_is_reported_counts_whether_or_not_somebody_looked_before() -> None:
    def found(before: HealthState, *reports: Report) -> HealthState:
        return judge_health(before, reports, interval_s=30, blind=BLIND).state

    assert found(HealthState.HEALTHY, failing(2)) is HealthState.UNHEALTHY
    assert found(HealthState.UNHEALTHY, FINE, SILENT) is HealthState.HEALTHY
    assert found(HealthState.HEALTHY) is HealthState.UNKNOWN


def test_silence_says_nothing_for_as_long_as_two_checks_take() -> None:
    assert blind_until([*BAD, BLIND], NOW + timedelta(seconds=64.9)) == BLIND
    assert blind_until([*BAD, BLIND], NOW + timedelta(seconds=65)) is None
    assert blind_until(BAD, NOW) is None


ROWS = ("claims", "policies")


def down(*reports: Report, is_blind: bool = False) -> set[str]:
    return set(failing_rows(reports, ROWS, interval_s=30, is_blind=is_blind))


def about(*places: str | None, failures: int = 2) -> Report:
    reasons = tuple(replace(BAD[0], where=place) for place in places)
    return failing(failures, process=f"of {places}", reasons=reasons)


@pytest.mark.parametrize(
    ("reports", "rows"),
    [
        ([about("claims")], {"claims"}),
        ([about("claims", "policies")], {"claims", "policies"}),
        ([about("claims"), about("claims", "policies")], {"claims"}),
        ([about("claims"), about("policies")], set()),
        ([about("claims"), FINE], set()),
        ([about("claims", failures=1)], set()),
        ([about("claims"), about(None)], {"claims"}),
        ([about("claims", None)], {"claims", "policies"}),
        ([about("gateway-1")], {"claims", "policies"}),
        ([about()], {"claims", "policies"}),
        ([about("claims"), SILENT], {"claims"}),
        ([SILENT], {"claims", "policies"}),
    ],
)
def test_only_the_workflows_that_no_process_is_fit_for_go_down(reports: list[Report], rows: set[str]) -> None:
    assert down(*reports) == rows


def test_a_process_that_could_not_be_heard_may_be_fit_for_everything() -> None:
    assert down(about("claims"), SILENT, is_blind=True) == set()
    assert down(about("claims"), is_blind=True) == {"claims"}
