"""Freeze windows: when no traffic may go up (rollouts.md 2).

A window is two local times. Where a clock change makes a local time exist twice, `from` takes the earlier and `to` the
later; where it does not exist, `from` takes the instant before the gap and `to` the one after: a freeze never shrinks.
Fail mode: none of its own; pausing, aborting and rolling back never ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.workspace.plan import Freeze

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One occurrence in UTC; `end` is the first instant outside."""

    start: datetime
    end: datetime


def opening(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a window's local start; `local` has no zone."""
    first, second = _both(local, zone)
    if _exists(local, zone):
        return min(first, second)
    # In a gap: the last valid instant before it is the transition itself.
    return _transition(first, second, zone)


def closing(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a window's local end; `local` has no zone."""
    first, second = _both(local, zone)
    if _exists(local, zone):
        return max(first, second)
    return _transition(first, second, zone)


def _both(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return first, local.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _exists(local: datetime, zone: ZoneInfo) -> bool:
    back = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return back.replace(tzinfo=None) == local


def _transition(one: datetime, other: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the zone's offset changes between two instants, to the second."""
    low, high = min(one, other), max(one, other)
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def window_at(freeze: Freeze, now: datetime) -> Window | None:
    """Return the occurrence that `now` stands in, or None."""
    zone = ZoneInfo(freeze.timezone)
    start, end = datetime.fromisoformat(freeze.start), datetime.fromisoformat(freeze.end)
    weeks: tuple[int, ...] = (0,)
    if freeze.weekly:
        # Local times repeat; the week of `now` and its neighbours cover every offset and every length up to a week.
        passed = (now.astimezone(zone).replace(tzinfo=None) - start) // _WEEK
        weeks = tuple(week for week in range(passed - 1, passed + 2) if week >= 0)
    for week in weeks:
        window = Window(start=opening(start + week * _WEEK, zone), end=closing(end + week * _WEEK, zone))
        if window.start <= now < window.end:
            return window
    return None


def is_over(freeze: Freeze, now: datetime) -> bool:
    """Tell whether a freeze will never hold again; a weekly one always will."""
    return not freeze.weekly and closing(datetime.fromisoformat(freeze.end), ZoneInfo(freeze.timezone)) <= now


def frozen(freezes: Iterable[Freeze], space: SpaceName, now: datetime) -> tuple[Reason, ...]:
    """Return a reason for every window the space stands in now."""
    return tuple(
        Reason(
            code="FREEZE",
            text=f"{space} is frozen by {freeze.name} until {window.end:%Y-%m-%d %H:%M} UTC: {freeze.reason}.",
            where=space,
            observed=f"{now:%Y-%m-%d %H:%M} UTC",
            limit=f"{window.end:%Y-%m-%d %H:%M} UTC",
        )
        for freeze in freezes
        if space in freeze.spaces and (window := window_at(freeze, now)) is not None
    )
