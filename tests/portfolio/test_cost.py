"""The cost template of the mission to the dollar, and where a month ends (operations.md 7)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.control.load_workspace import load_workspace
from pilotage.portfolio.cost import (
    Forecast,
    forecast_month,
    last_day,
    month_number,
    month_of,
    monthly_of,
    once_of,
    token_share,
    year_of,
)
from pilotage.workspace.operations import CostLine

BANK = Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"
WEEK = (100, 110, 105, 120, 115, 60, 55)
WEDNESDAY = date(2026, 6, 10)
NANO = 10**9


@pytest.fixture(scope="module")
def lines() -> tuple[CostLine, ...]:
    """The cost lines of the sample bank: the mission's own."""
    return load_workspace(BANK).operations.costs.lines


@pytest.mark.feature("DC.3", "DC.4", "DC.5", "DC.7", "DC.8", "DC.9", "DC.12")
def test_each_phase_costs_what_the_mission_says(lines: tuple[CostLine, ...]) -> None:
    amounts = {line.id: line.amount for line in lines}
    assert amounts["development-people"] == 50_000
    assert amounts["development-models"] == 2_000
    assert amounts["development-security-tools"] == 1_000
    assert amounts["testing-people"] == 30_000
    assert amounts["testing-spaces"] == 3_000
    assert amounts["testing-load-tools"] == 2_000
    assert amounts["deployment-people"] == 20_000
    phases = once_of(lines)
    assert phases == {"development": Decimal(53_000), "testing": Decimal(35_000), "deployment": Decimal(38_000)}
    assert sum(phases.values()) == 126_000


@pytest.mark.feature("DC.10", "DC.11", "DC.13", "DC.16", "DC.18")
def test_the_first_month_is_not_charged_for_what_the_deployment_paid(lines: tuple[CostLine, ...]) -> None:
    amounts = {line.id: line.amount for line in lines}
    assert [amounts[f"deployment-{name}"] for name in ("infrastructure", "monitoring")] == [15_000, 3_000]
    assert [amounts[f"run-{name}"] for name in ("spaces", "vectors", "monitoring")] == [15_000, 2_000, 3_000]
    assert monthly_of(lines) == 70_000
    assert month_of(lines, 1) == 52_000
    assert sum(month_of(lines, number) for number in range(2, 13)) == 770_000
    assert year_of(lines) == 822_000
    assert year_of(lines) + sum(once_of(lines).values()) == 948_000


def history(weeks: int, week: tuple[int, ...] = WEEK) -> dict[date, int]:
    """So many weeks up to the 10th, a Wednesday; a week begins on Monday."""
    days = [WEDNESDAY - timedelta(days=number) for number in range(7 * weeks)]
    return {day: week[day.weekday()] * NANO for day in days}


def test_a_month_ends_where_its_weekdays_lead() -> None:
    # The specification's vector: day 10 of 30 has spent 980, and the month ends at 2,870.
    assert sum(history(4)[date(2026, 6, day)] for day in range(1, 11)) == 980 * NANO
    found = forecast_month(history(4), WEDNESDAY, month=WEDNESDAY, seed="x")
    assert found == Forecast(nano=2_870 * NANO, low=2_870 * NANO, high=2_870 * NANO, days=28)


def test_days_that_differ_give_an_interval_that_the_seed_repeats() -> None:
    days = {day: nano + (day.toordinal() % 5) * 10 * NANO for day, nano in history(4).items()}
    found, again, other = (forecast_month(days, WEDNESDAY, month=WEDNESDAY, seed=seed) for seed in ("a", "a", "b"))
    assert found is not None
    assert found == again != other
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.nano < found.high


def test_fewer_than_fourteen_days_are_a_run_rate_without_an_interval() -> None:
    days = {WEDNESDAY - timedelta(days=number): 10 * NANO for number in range(10)}
    found = forecast_month(days, WEDNESDAY, month=WEDNESDAY, seed="x")
    assert found == Forecast(nano=300 * NANO, low=None, high=None, days=10)
    assert found.is_run_rate
    assert forecast_month({}, WEDNESDAY, month=WEDNESDAY, seed="x") is None
    assert forecast_month({WEDNESDAY - timedelta(days=28): 5}, WEDNESDAY, month=WEDNESDAY, seed="x") is None


@given(st.integers(1, 28), st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.integers(0, 10**12))
def test_equal_days_end_at_their_number_times_the_month(known: int, through: date, nano: int) -> None:
    days = {through - timedelta(days=number): nano for number in range(max(known, through.day))}
    found = forecast_month(days, through, month=through, seed="x")
    assert found is not None
    assert abs(found.nano - nano * last_day(through).day) <= last_day(through).day


def test_a_weekday_never_seen_costs_what_the_others_do() -> None:
    days = {day: nano for day, nano in history(4).items() if day.weekday() != 6}
    found = forecast_month(days, WEDNESDAY, month=WEDNESDAY, seed="x")
    assert found is not None
    assert not found.is_run_rate
    mean = sum(days.values()) / len(days)
    spent = sum(nano for day, nano in days.items() if day.month == 6)
    weekdays = [(WEDNESDAY + timedelta(days=number)).weekday() for number in range(1, 21)]
    assert found.nano == round(spent + sum(mean if weekday == 6 else WEEK[weekday] * NANO for weekday in weekdays))


def test_on_its_first_day_a_month_is_all_to_come() -> None:
    days = {date(2026, 5, 31) - timedelta(days=number): 7 * NANO for number in range(28)}
    found = forecast_month(days, date(2026, 5, 31), month=date(2026, 6, 1), seed="x")
    assert found == Forecast(nano=210 * NANO, low=210 * NANO, high=210 * NANO, days=28)


def test_months_are_counted_from_going_live() -> None:
    live = date(2026, 11, 20)
    assert [month_number(live, day) for day in (date(2026, 10, 1), date(2026, 11, 1), date(2027, 1, 31))] == [0, 1, 3]


def test_what_names_no_workflow_is_shared_by_tokens() -> None:
    assert token_share(0, 0, 1) == 1
    assert token_share(25, 100, 2) == Decimal("0.25")
    assert token_share(0, 0, 2) is None
