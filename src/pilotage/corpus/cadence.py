"""When a corpus is refreshed: an interval (`6h`) or a 5-field cron line in the organisation's time zone (2.3).

A missed run runs once: the next due moment is computed from the last run, and anything due in the past is due now.
Cron: minute hour day-of-month month day-of-week (0-7, 0 and 7 are Sunday); `*`, lists, ranges, steps, month and day
names; when both day fields are set, either matches (POSIX crontab). An hour the clock skips runs at the next valid
minute, one it repeats runs once. Fail mode: `CadenceProblem`; a corpus without cadence is never due.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

_INTERVAL = re.compile(r"([1-9][0-9]{0,4})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "1w"}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_ANY_YEAR = date(2024, 1, 1)
_YEARS = 1_530
"""Days that hold two leap days."""
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),
)


class CadenceProblem(ValueError):
    """The text is neither an interval nor a cron line; says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A fixed distance between runs."""

    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A parsed cron line. `any_day` holds when at least one of the two day fields is `*`: then both must match."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool


@lru_cache(maxsize=256)
def parse_cadence(text: str) -> Interval | Cron:
    """Read `30m`, `6h`, `1d`, `daily` or `15 2 * * mon-fri`; raise CadenceProblem."""
    plain = " ".join(text.lower().split())
    match = _INTERVAL.fullmatch(_WORDS.get(plain, plain))
    if match is not None:
        return Interval(every=timedelta(**{_UNITS[match[2]]: int(match[1])}))
    parts = plain.split(" ")
    if len(parts) != 5:
        message = f"{text!r} is no cadence; write an interval such as 6h or five cron fields such as '15 2 * * mon-fri'"
        raise CadenceProblem(message)
    minute, hour, day, month, weekday = (
        _field(part, name, low, high, names) for part, (name, low, high, names) in zip(parts, _FIELDS, strict=True)
    )
    cron = Cron(
        minutes=tuple(sorted(minute)),
        hours=tuple(sorted(hour)),
        days=day,
        months=month,
        weekdays=frozenset(n % 7 for n in weekday),
        any_day=parts[2].startswith("*") or parts[4].startswith("*"),
    )
    if not any(_LONGEST[m - 1] >= min(cron.days) for m in cron.months) and cron.any_day:
        message = f"{text!r} never happens: no such day in that month"
        raise CadenceProblem(message)
    return cron


def period(cadence: Interval | Cron, *, zone: ZoneInfo, near: datetime) -> timedelta:
    """Return the distance between the two next runs after `near`: what `stale` measures against."""
    first = next_due(cadence, last=near, zone=zone)
    return next_due(cadence, last=first, zone=zone) - first


def longest_gap(cadence: Interval | Cron) -> timedelta:
    """Return the longest distance between two runs, by the wall clock: over a weekend, or to the next leap day."""
    if isinstance(cadence, Interval):
        return cadence.every
    times = [timedelta(hours=hour, minutes=minute) for hour in cadence.hours for minute in cadence.minutes]
    days = [day for day in range(_YEARS) if _day_fits(cadence, _ANY_YEAR + timedelta(days=day))]
    nights = max((after - before for before, after in pairwise(days)), default=_YEARS)
    between = [after - before for before, after in pairwise(times)]
    return max([timedelta(days=nights) - times[-1] + times[0], *between])


def next_due(cadence: Interval | Cron, *, last: datetime, zone: ZoneInfo) -> datetime:
    """Return the first due moment after the run at `last`, in UTC. It may lie in the past: then one run is due now."""
    if isinstance(cadence, Interval):
        return last.astimezone(UTC) + cadence.every
    local = last.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    day = local.date()
    while True:  # ends: parsing refuses a line whose day never comes
        if _day_fits(cadence, day):
            for hour in cadence.hours:
                for minute in cadence.minutes:
                    due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
                    if due > last:
                        return due
        day += timedelta(days=1)


def _day_fits(cron: Cron, day: date) -> bool:
    dom, dow = day.day, day.isoweekday() % 7
    if day.month not in cron.months:
        return False
    if cron.any_day:
        return dom in cron.days and dow in cron.weekdays
    return dom in cron.days or dow in cron.weekdays


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([1-9][0-9]?))?", part)
        if match is None:
            message = f"{part!r} is no cron {name}"
            raise CadenceProblem(message)
        first, last, step = match[1], match[2], int(match[3] or 1)
        start = low if first == "*" else _number(first, name, low, high, names)
        if last is not None:
            stop = _number(last, name, low, high, names)
        else:
            stop = high if first == "*" or match[3] else start
        if stop < start or (first == "*" and last is not None):
            message = f"{part!r} is no cron {name} range"
            raise CadenceProblem(message)
        found.update(range(start, stop + 1, step))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    number = names.get(text, int(text) if text.isdigit() else -1)
    if not low <= number <= high:
        message = f"{text!r} is no cron {name}; write {low} to {high}"
        raise CadenceProblem(message)
    return number
