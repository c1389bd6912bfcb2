"""What success of a use case is measured by, and how much of it is known before any money is spent (operations.md 8).

Rule: K is 1 with a measured baseline and a target, 0.5 for a measure without that, 0 without any. Fail mode: a baseline
that is estimated, undated or dated in the future is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from pilotage.core.canonical import Json
from pilotage.workspace.portfolio import NumberSource, PortfolioKpi, UseCase
from pilotage.workspace.workflow import Kpi, KpiSource

MEASURED: Final = Decimal(1)
NAMED: Final = Decimal("0.5")
NONE: Final = Decimal(0)
_GUESSED: Final = frozenset({NumberSource.ESTIMATE.value, KpiSource.ESTIMATE.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure, from `portfolio.yaml` or from the workflow it belongs to. `source` and `day` are the baseline's."""

    name: str
    title: str
    unit: str | None = None
    direction: str | None = None
    baseline: Decimal | None = None
    source: str | None = None
    day: date | None = None
    target: Decimal | None = None

    def is_measured(self, today: date) -> bool:
        """Tell whether somebody measured where it stands, and says where it should go."""
        is_known = self.baseline is not None and self.source is not None and self.source not in _GUESSED
        return is_known and self.target is not None and self.day is not None and self.day <= today

    def as_json(self, today: date) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "direction": self.direction,
            "baseline": None if self.baseline is None else str(self.baseline),
            "source": self.source,
            "date": None if self.day is None else self.day.isoformat(),
            "target": None if self.target is None else str(self.target),
            "measured": self.is_measured(today),
        }


def measures_of(case: UseCase, declared: Mapping[str, Kpi]) -> tuple[Measure, ...]:
    """Return a use case's measures: a bare name is looked up in its workflow; without any they are the workflow's."""
    if not case.kpis:
        return tuple(_of_workflow(one) for one in declared.values())
    return tuple(_measure(one, declared) for one in case.kpis)


def weight_of(measures: Sequence[Measure], today: date) -> Decimal:
    """Return K, of the best measure."""
    if not measures:
        return NONE
    return MEASURED if any(one.is_measured(today) for one in measures) else NAMED


def _measure(one: PortfolioKpi, declared: Mapping[str, Kpi]) -> Measure:
    if one.unit is None:
        found = declared.get(one.name)
        return Measure(name=one.name, title=one.name) if found is None else _of_workflow(found)
    known = one.baseline
    return Measure(
        name=one.name,
        title=one.name,
        unit=one.unit,
        direction=None if one.direction is None else one.direction.value,
        baseline=None if known is None else known.value,
        source=None if known is None else known.source.value,
        day=None if known is None else known.date,
        target=one.target,
    )


def _of_workflow(kpi: Kpi) -> Measure:
    return Measure(
        name=kpi.id,
        title=kpi.name,
        unit=kpi.unit,
        direction=kpi.direction.value,
        baseline=None if kpi.baseline is None else Decimal(str(kpi.baseline)),
        source=kpi.source.value,
        day=kpi.baseline_date,
        target=Decimal(str(kpi.target)),
    )
