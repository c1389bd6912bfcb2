"""Freeze windows block while they last, also over a change of the clocks, which never makes them shorter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.ids import SpaceName
from pilotage.rollout.freezes import closing, frozen, is_over, opening, window_at
from pilotage.workspace.plan import Freeze

SPACE = SpaceName("production-us-east-space")
NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")


def freeze(start: str, end: str, zone: str = "America/New_York", *, weekly: bool = False) -> Freeze:
    return Freeze(name="f", spaces=(SPACE,), start=start, end=end, timezone=zone, weekly=weekly, reason="year end")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "start", "end"),
    [
        ("2026-06-01T12:00", "2026-06-01T16:00", "2026-06-01T16:00"),
        ("2026-11-01T01:30", "2026-11-01T05:30", "2026-11-01T06:30"),  # exists twice
        ("2026-03-08T02:30", "2026-03-08T07:00", "2026-03-08T07:00"),  # does not exist
    ],
)
def test_a_local_time_that_exists_twice_or_never_makes_a_freeze_longer(local: str, start: str, end: str) -> None:
    moment = datetime.fromisoformat(local)
    assert opening(moment, NEW_YORK) == at(start)
    assert closing(moment, NEW_YORK) == at(end)


def test_a_freeze_holds_from_its_first_to_its_last_second() -> None:
    one = freeze("2026-12-20T00:00", "2027-01-02T00:00")
    assert window_at(one, at("2026-12-20T04:59:59")) is None
    assert window_at(one, at("2026-12-20T05:00:00")) is not None
    assert window_at(one, at("2027-01-02T04:59:59")) is not None
    assert window_at(one, at("2027-01-02T05:00:00")) is None


def test_a_weekly_freeze_comes_back_each_week_at_local_time() -> None:
    one = freeze("2026-03-06T18:00", "2026-03-08T23:00", weekly=True)
    assert window_at(one, at("2026-03-06T22:59")) is None
    assert window_at(one, at("2026-03-06T23:00")) is not None  # 18:00 in winter time
    assert window_at(one, at("2026-03-09T02:59")) is not None  # 23:00 in summer time is 03:00 UTC
    assert window_at(one, at("2026-03-09T03:00")) is None
    assert window_at(one, at("2026-07-10T22:00")) is not None
    assert window_at(one, at("2026-02-27T23:30")) is None  # before the first


def test_only_the_named_space_is_frozen_and_the_reason_is_given() -> None:
    one = freeze("2026-12-20T00:00", "2027-01-02T00:00")
    (reason,) = frozen([one], SPACE, at("2026-12-25T12:00"))
    assert (reason.code, reason.limit) == ("FREEZE", "2027-01-02 05:00 UTC")
    assert "year end" in reason.text
    assert frozen([one], SpaceName("staging-space"), at("2026-12-25T12:00")) == ()


@given(
    st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 12, 31)),  # noqa: DTZ001 - local times
    st.integers(min_value=1, max_value=10_000),
    st.sampled_from([NEW_YORK, BERLIN]),
)
def test_a_window_is_never_shorter_than_its_wall_clock_says(start: datetime, minutes: int, zone: ZoneInfo) -> None:
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    first, last = opening(start, zone), closing(end, zone)
    assert first < last
    for moment in (start, end):
        inside = moment.replace(tzinfo=zone).astimezone(UTC)
        assert first <= max(first, inside) <= last or moment == end


def test_a_freeze_is_over_from_its_end_on_and_a_weekly_one_never() -> None:
    once = freeze("2026-12-20T00:00", "2027-01-02T00:00")
    assert not is_over(once, at("2027-01-02T04:59:59"))
    assert is_over(once, at("2027-01-02T05:00:00"))
    weekly = freeze("2026-01-02T12:00", "2026-01-02T20:00", weekly=True)
    assert not is_over(weekly, at("2030-01-01T00:00:00"))
