"""What a workflow costs: its plan by phase and month, and where a month ends (operations.md 7).

Money is a decimal in one currency; spending is counted in whole 1e-9 of it. Rule: a line that starts later is not in
the months before, so what a phase paid is not paid twice; a month that cannot be foreseen has no figure. Fail mode: a
forecast of fewer than 14 days is a run rate and says so.
"""

from __future__ import annotations

import calendar
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from pilotage.workspace.operations import CostLine, Per

YEAR: Final = 12
HISTORY_DAYS: Final = 28
FEWEST_DAYS: Final = 14
_RESAMPLES: Final = 1000
_LOW, _HIGH = 0.10, 0.90


def once_of(lines: Sequence[CostLine]) -> dict[str, Decimal]:
    """Return what each phase pays once, in the order in which phases are declared."""
    found: dict[str, Decimal] = {}
    for line in lines:
        if line.per is Per.ONCE:
            found[line.phase] = found.get(line.phase, Decimal(0)) + line.amount
    return found


def monthly_of(lines: Sequence[CostLine]) -> Decimal:
    """Return what a month costs once every monthly line has started."""
    return sum((line.amount for line in lines if line.per is Per.MONTH), Decimal(0))


def month_of(lines: Sequence[CostLine], number: int) -> Decimal:
    """Return what the nth month after go-live costs; the first is 1."""
    return sum((line.amount for line in lines if line.per is Per.MONTH and line.starts_month <= number), Decimal(0))


def year_of(lines: Sequence[CostLine]) -> Decimal:
    """Return what the first year after go-live costs, phases left out."""
    return sum((month_of(lines, number) for number in range(1, YEAR + 1)), Decimal(0))


def month_number(live_since: date, month: date) -> int:
    """Return which month after go-live a month is: 1 is that of going live, 0 and less are before it."""
    return (month.year - live_since.year) * 12 + month.month - live_since.month + 1


def last_day(month: date) -> date:
    """Return the last day of a date's month."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Where a month ends, in 1e-9 of the currency. `low` and `high` (10th and 90th percentile) None: a run rate."""

    nano: int
    low: int | None
    high: int | None
    days: int

    @property
    def is_run_rate(self) -> bool:
        """Tell whether too few days are known for more than their mean."""
        return self.low is None


def forecast_month(days: Mapping[date, int], through: date, *, month: date, seed: str) -> Forecast | None:
    """Return where a month ends, from what each day up to `through` cost; None without any of the last 28.

    `days` holds every day known, also one that cost nothing. Of the days to come each costs the mean of its weekday in
    the last 28; the interval is of 1,000 resamples of what the days of a weekday differed by.
    """
    known = {day: nano for day, nano in days.items() if through - timedelta(days=HISTORY_DAYS) < day <= through}
    if not known:
        return None
    first, last = month.replace(day=1), last_day(month)
    spent = sum(nano for day, nano in days.items() if first <= day <= through)
    begin = max(first, through + timedelta(days=1))
    coming = [begin + timedelta(days=number) for number in range((last - begin).days + 1)]
    mean = sum(known.values()) / len(known)
    if len(known) < FEWEST_DAYS:
        return Forecast(nano=round(spent + mean * len(coming)), low=None, high=None, days=len(known))
    by_weekday = [[nano for day, nano in known.items() if day.weekday() == weekday] for weekday in range(7)]
    means = [sum(found) / len(found) if found else mean for found in by_weekday]
    residuals = [[nano - means[weekday] for nano in found] or [0.0] for weekday, found in enumerate(by_weekday)]
    expected = spent + sum(means[day.weekday()] for day in coming)
    chance = random.Random(seed)  # noqa: S311 - reproducible resampling, no secret
    ends = sorted(expected + sum(chance.choice(residuals[day.weekday()]) for day in coming) for _ in range(_RESAMPLES))
    low, high = (ends[math.ceil(part * _RESAMPLES) - 1] for part in (_LOW, _HIGH))
    return Forecast(nano=round(expected), low=round(low), high=round(high), days=len(known))


def token_share(own: int, every: int, workflows: int) -> Decimal | None:
    """Return a workflow's part of lines that name none: its tokens of all; None when nobody has used any."""
    if workflows == 1:
        return Decimal(1)
    return Decimal(own) / Decimal(every) if every else None
