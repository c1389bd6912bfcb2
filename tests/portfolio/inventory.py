"""Use cases to rank, with every number measured unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pilotage.core.ids import PersonId
from pilotage.portfolio.data_readiness import AspectScore, Basis, DataReadiness
from pilotage.portfolio.measures import Measure
from pilotage.portfolio.ranking import Assessed
from pilotage.workspace.portfolio import Aspect, NumberSource, SourcedNumber, UseCase

TODAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = date(2026, 10, 1)


def number(value: str, source: NumberSource = NumberSource.MEASURED, day: date = DAY) -> SourcedNumber:
    return SourcedNumber(value=Decimal(value), source=source, date=day)


def use_case(name: str = "letters", **changes: Any) -> UseCase:
    case = UseCase(
        name=name,
        unit="letters",
        owner=PersonId("ada"),
        volume=number("42000"),
        minutes=number("11"),
        hourly_cost=number("48"),
        error_rate=number("0.04"),
        cost_per_error=number("35"),
        share=number("0.5"),
    )
    return replace(case, **changes)


MEASURED = Measure(
    name="days",
    title="Days",
    unit="days",
    direction="down",
    baseline=Decimal(9),
    source="log",
    day=DAY,
    target=Decimal(3),
)
NAMED = Measure(name="days", title="days")


def ready(value: str | None) -> DataReadiness:
    """Eight equal scores; None: nobody answered."""
    score = None if value is None else Decimal(value)
    return DataReadiness(
        scores=tuple(AspectScore(aspect=one, score=score, basis=Basis.ANSWER, text="") for one in Aspect)
    )


def assessed(case: UseCase | None = None, *measures: Measure, d: str | None = "0.75") -> Assessed:
    return Assessed(case=case or use_case(), measures=measures or (MEASURED,), readiness=ready(d))
