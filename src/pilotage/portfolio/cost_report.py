"""The cost report of a month as facts: plan beside what was spent, where it ends, what a question costs.

Rule: every amount is decimal text in one currency; what nobody knows is named with its reason, and a sum that lacks a
price is marked ">=". Fail mode: another currency of model prices leaves everything that was spent unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import SpaceName
from pilotage.monitoring.outcomes import PEOPLE, Traffic, traffic_of
from pilotage.portfolio.cost import (
    FEWEST_DAYS,
    HISTORY_DAYS,
    Forecast,
    forecast_month,
    last_day,
    month_number,
    month_of,
    monthly_of,
    once_of,
    year_of,
)
from pilotage.portfolio.spending import Spent
from pilotage.space.settings import Tier
from pilotage.workspace.operations import CostClass, CostLine, Costs, CostSource, Per

_PHASES: Final = {"development": (Tier.SANDBOX, Tier.DEV), "testing": (Tier.QA, Tier.STAGING)}
_NANO: Final = Decimal(10**9)
_SHOWN: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFacts:
    """What is known.

    `rows` are of production, in the month and the 28 days before its last whole day; `before` of every other space as
    far back as it is kept. `runs` and `shadows` are 1e-9 of the currency in the month, `runs_ever` as far back as kept;
    `currencies` are those of model prices. `is_kept`: requests of the month are kept still; `is_whole`: so are those of
    every space since its first release.
    """

    organisation: str
    workflow: str
    first: date
    now: datetime
    costs: Costs
    tiers: Mapping[SpaceName, Tier]
    rows: Sequence[Spent]
    before: Sequence[Spent]
    currencies: frozenset[str]
    runs: int
    runs_ever: int
    shadows: int
    share: Decimal | None
    live_since: date | None
    is_kept: bool = True
    is_whole: bool = True

    @property
    def through(self) -> date:
        """The last day of the month that is over; the day before the month while none is."""
        return last_whole_day(self.first, self.now)

    @property
    def month(self) -> Sequence[Spent]:
        """The rows of the month itself."""
        return [row for row in self.rows if row.day >= self.first]

    @property
    def is_foreign(self) -> bool:
        """Whether model prices are in another currency than the costs."""
        return bool(self.currencies - {self.costs.currency})


def last_whole_day(first: date, now: datetime) -> date:
    """Return the last day of a month that is over; the day before the month while none is."""
    return min(last_day(first), now.astimezone(UTC).date() - timedelta(days=1))


def cost_report(known: CostFacts) -> dict[str, Json]:
    """Return the report."""
    lines = [line for line in known.costs.lines if line.workflow in {None, known.workflow}]
    number = None if known.live_since is None else month_number(known.live_since, known.first)
    unknown = _lacking(known, lines)
    facts: dict[str, Json] = {
        "v": 1,
        "report": "cost",
        "organisation": known.organisation,
        "workflow": known.workflow,
        "month": f"{known.first:%Y-%m}",
        "as_of": to_text(known.now),
        "currency": known.costs.currency,
        "live_since": None if known.live_since is None else known.live_since.isoformat(),
        "month_number": number,
        "share_of_common_lines": None if known.share is None else f"{known.share:.6f}",
        "plan": _plan(known, lines, number),
        "lines": [_line(known, line, lines) for line in lines],
    }
    if known.is_kept and not known.is_foreign:
        facts |= _spending(known, unknown)
    return facts | {"unknown": unknown}


def _lacking(known: CostFacts, lines: Sequence[CostLine]) -> list[Json]:
    found: list[Json] = []
    if not lines:
        found.append(_lack("plan", "costs.yaml has no line for this workflow: write one for each thing paid."))
    if known.is_foreign:
        others = ", ".join(sorted(known.currencies - {known.costs.currency}))
        why = f"model prices are in {others}, the costs in {known.costs.currency}: write one currency."
        found.append(_lack("spent", why))
    if not known.is_kept:
        found.append(_lack("spent", "requests of this month are not kept any more."))
    if known.live_since is None:
        found.append(_lack("this month's plan", "no release stood in a production space yet."))
    if known.share is None:
        found.append(_lack("share of common lines", "no workflow used a token this month."))
    return found


def _lack(what: str, why: str) -> Json:
    return {"what": what, "why": why}


def _plan(known: CostFacts, lines: Sequence[CostLine], number: int | None) -> Json:
    """Return the workflow's own part of the plan: of a common line its share."""
    if known.share is None and any(line.workflow is None for line in lines):
        return None
    own = [line if line.workflow else replace(line, amount=line.amount * (known.share or 0)) for line in lines]
    once, year = once_of(own), year_of(own)
    paid = sum(once.values(), Decimal(0))
    return {
        "phases": [{"phase": phase, "amount": money(amount)} for phase, amount in once.items()],
        "all_phases": money(paid),
        "each_month": money(monthly_of(own)),
        "this_month": None if number is None else money(month_of(own, number)),
        "first_year": money(year),
        "first_year_and_phases": money(year + paid),
    }


def _line(known: CostFacts, line: CostLine, lines: Sequence[CostLine]) -> Json:
    actual, why = (None, "another currency") if known.is_foreign else _actual(known, line, lines)
    share = Decimal(1) if line.workflow is not None else known.share
    return {
        "id": line.id,
        "class": line.cost_class.value,
        "phase": line.phase,
        "per": "once" if line.per is Per.ONCE else f"month from {line.starts_month}",
        "source": line.source.value,
        "space": line.space,
        "amount": money(line.amount),
        "own_part": None if share is None else money(line.amount * share),
        "actual": actual,
        "why_unknown": why,
    }


def _actual(known: CostFacts, line: CostLine, lines: Sequence[CostLine]) -> tuple[str | None, str | None]:
    """Return what a line really cost, or why nobody knows."""
    if line.source is not CostSource.PLAN:
        return money(line.amount), None
    if line.cost_class is not CostClass.USAGE:
        return None, "no invoice entered"
    if any(_is_same_spending(line, one) for one in lines if one is not line):
        return None, "another usage line is of the same spending: give each its space"
    if line.per is Per.MONTH:
        if not known.is_kept:
            return None, "requests of this month are not kept any more"
        return _at_least([row for row in known.month if line.space in {None, row.space}]), None
    tiers = _PHASES.get(line.phase)
    if tiers is None:
        return None, f"phase {line.phase} is not metered: only development and testing are"
    wanted = [name for name, tier in known.tiers.items() if tier in tiers and line.space in {None, name}]
    rows = [row for row in known.before if row.space in wanted]
    runs = known.runs_ever if line.phase == "development" and line.space is None else 0
    return _at_least(rows, more=runs, is_whole=known.is_whole), None


def _is_same_spending(line: CostLine, other: CostLine) -> bool:
    """Tell whether two usage lines are metered from the same requests."""
    if other.cost_class is not CostClass.USAGE or other.source is not CostSource.PLAN or other.per is not line.per:
        return False
    is_one_phase = line.per is Per.MONTH or line.phase == other.phase
    return is_one_phase and (line.space is None or other.space in {None, line.space})


def _at_least(rows: Sequence[Spent], *, more: int = 0, is_whole: bool = True) -> str:
    """Return what rows cost; ">=" where a price is missing, or older ones are not kept."""
    return (_sign(rows) if is_whole else ">= ") + _of_nano(sum(row.nano for row in rows) + more)


def _sign(rows: Sequence[Spent]) -> str:
    return ">= " if any(row.without_price for row in rows) else ""


def _of_nano(nano: int) -> str:
    return money(Decimal(nano) / _NANO)


def _spending(known: CostFacts, unknown: list[Json]) -> dict[str, Json]:
    people = [row for row in known.month if row.kind in PEOPLE]
    unpriced = sum(row.without_price for row in people)
    if unpriced:
        why = f"Answers without a price: {unpriced:,}. Declare it in model.yaml, or use `pilotage release price`."
        unknown.append(_lack("part of what was spent", why))
    return {
        "spent": {
            "people": _at_least(people),
            "other_traffic": _at_least([row for row in known.month if row.kind not in PEOPLE]),
            "shadow": _of_nano(known.shadows),
            "evaluation_under_a_cap": _of_nano(known.runs),
            "unpriced_answers": unpriced,
        },
        "per_query": _per_query(people, unknown),
        "forecast": _forecast(known, unknown),
    }


def _per_query(people: Sequence[Spent], unknown: list[Json]) -> Json:
    whole, sign = Decimal(sum(row.nano for row in people)) / _NANO, _sign(people)
    traffic: Traffic = traffic_of((row.outcome, row.was_slow, row.requests) for row in people)
    if not traffic.eligible:
        unknown.append(_lack("cost of a question", "nobody asked one in production this month."))
    return {
        "requests": traffic.eligible,
        "answers": traffic.answered,
        "left_out": traffic.left_out,
        "each_request": sign + money(whole / traffic.eligible) if traffic.eligible else None,
        "each_answer": sign + money(whole / traffic.answered) if traffic.answered else None,
    }


def _forecast(known: CostFacts, unknown: list[Json]) -> Json:
    days: dict[date, int] = {}
    if known.live_since is not None:  # a day on which nothing was asked is known to have cost nothing
        begin = max(known.live_since, min(known.first, known.through - timedelta(days=HISTORY_DAYS - 1)))
        days = {begin + timedelta(days=number): 0 for number in range((known.through - begin).days + 1)}
    for row in known.rows:
        if row.day <= known.through:
            days[row.day] = days.get(row.day, 0) + row.nano
    seed = f"{known.workflow} {known.first:%Y-%m}"
    found = forecast_month(days, known.through, month=known.first, seed=seed)
    if found is None:
        unknown.append(_lack("end of the month", "no whole day in production is known yet."))
        return None
    return _told(found, known.through, sign=_sign(known.rows))


def _told(found: Forecast, through: date, *, sign: str) -> Json:
    how = f"run rate of {found.days} days, fewer than {FEWEST_DAYS}" if found.is_run_rate else "mean of each weekday"
    return {
        "month_ends_at": sign + _of_nano(found.nano),
        "low": None if found.low is None else _of_nano(found.low),
        "high": None if found.high is None else _of_nano(found.high),
        "how": how,
        "days": found.days,
        "through": through.isoformat(),
    }


def money(amount: Decimal) -> str:
    """Return an amount as decimal text: two decimals, up to six where it has them."""
    whole, _, decimals = f"{amount.quantize(_SHOWN):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
