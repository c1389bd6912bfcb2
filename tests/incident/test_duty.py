"""Who is on duty: turns at a local hour, overrides, and how long enough different people are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pilotage.core.ids import PersonId
from pilotage.incident.duty import DEFAULT_LADDER, days_covered, levels_due, next_duty, on_duty, rota_people
from pilotage.workspace.operations import Handoff, Layer, Override, Rota

ANN, BEN, CYD, DAN = (PersonId(name) for name in ("ann", "ben", "cyd", "dan"))
WEEKLY = Layer(people=(ANN, BEN), start=date(2026, 3, 2), handoff=Handoff.WEEKLY, at="09:00")
DAILY = Layer(people=(CYD, DAN), start=date(2026, 3, 2), handoff=Handoff.DAILY, at="09:00")
ROTA = Rota(name="desk", time_zone="America/New_York", layers=(WEEKLY, DAILY))
AWAY = Override(person=DAN, start="2026-03-03T10:00", end="2026-03-03T12:00", by=BEN)


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    """Return a moment of March 2026 in UTC; New York is 5 hours behind until the 8th and 4 from then on."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(("minutes", "due"), [(4.99, 0), (5, 1), (15, 2), (29, 2), (30, 4), (600, 4)])
def test_levels_of_a_ladder_are_due_when_their_minutes_are_over(minutes: float, due: int) -> None:
    found = levels_due(reversed(DEFAULT_LADDER), timedelta(minutes=minutes))
    assert [one.after_minutes for one in found] == [5, 15, 30, 30][:due]


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (at(2, 13, 59), (None, None)),
        (at(2, 14), (ANN, CYD)),
        (at(3, 13, 59), (ANN, CYD)),
        (at(3, 14), (ANN, DAN)),
        (at(9, 12, 59), (ANN, CYD)),
        (at(9, 13), (BEN, DAN)),
        (at(16, 13), (ANN, CYD)),
    ],
    ids=["before the start", "first turn", "last minute", "next day", "last of the week", "next week", "round again"],
)
def test_people_take_turns_at_the_local_hour(now: datetime, wanted: tuple[PersonId | None, ...]) -> None:
    assert on_duty(ROTA, now) == wanted


@pytest.mark.feature("R4.2")
@pytest.mark.parametrize(("now", "primary"), [(at(3, 14, 59), ANN), (at(3, 15), DAN), (at(3, 17), ANN)])
def test_an_override_stands_in_for_the_primary_between_its_times(now: datetime, primary: PersonId) -> None:
    assert on_duty(replace(ROTA, overrides=(AWAY,)), now)[0] == primary


@pytest.mark.parametrize(
    ("person", "now", "wanted"),
    [
        (ANN, at(2, 13, 30), at(2, 14)),
        (BEN, at(2, 14, 30), at(9, 13)),
        (DAN, at(3, 15, 10), at(3, 15)),
        (PersonId("eve"), at(2, 14), None),
    ],
    ids=["before the start", "a week later", "on duty now", "not in the rota"],
)
def test_the_next_duty_is_the_first_hour_that_finds_the_person_there(
    person: PersonId, now: datetime, wanted: datetime | None
) -> None:
    assert next_duty(ROTA, person, now) == wanted
    assert next_duty(ROTA, BEN, at(2, 14), most=3) is None


def test_a_rota_without_anybody_has_nobody_on_duty_whatever_an_override_says() -> None:
    assert on_duty(replace(ROTA, layers=(), overrides=(AWAY,)), at(3, 16)) == ()
    assert on_duty(replace(ROTA, layers=(replace(WEEKLY, people=()),)), at(3, 16)) == (None,)


@pytest.mark.feature("D11.22", "D12.23", "DR.15", "R4.2")
@pytest.mark.parametrize(
    ("rota", "days"),
    [
        (ROTA, 60),
        (replace(ROTA, minimum=3), 0),
        (replace(ROTA, layers=(WEEKLY,)), 0),
        (replace(ROTA, layers=(WEEKLY,), minimum=1), 60),
        (replace(ROTA, layers=(WEEKLY, replace(WEEKLY, people=(CYD, BEN)))), 7),
        (replace(ROTA, layers=(replace(WEEKLY, start=date(2026, 5, 1)), DAILY)), 0),
    ],
    ids=["two layers", "three wanted", "one layer", "one wanted", "one person in both", "not begun"],
)
def test_days_are_covered_until_too_few_different_people_are_there(rota: Rota, days: int) -> None:
    assert days_covered(rota, at(2, 14)) == days


def test_days_are_counted_no_further_than_asked() -> None:
    assert days_covered(ROTA, at(2, 14) + timedelta(days=1), most=5) == 5


def test_the_rota_names_everybody_of_layers_and_overrides() -> None:
    assert rota_people(replace(ROTA, overrides=(replace(AWAY, person=PersonId("eve")),))) == {ANN, BEN, CYD, DAN, "eve"}
