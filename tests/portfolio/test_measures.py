"""What success is measured by weighs as much as is known of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.portfolio.inventory import DAY, MEASURED, NAMED, TODAY, number, use_case

from pilotage.portfolio.measures import Measure, measures_of, weight_of
from pilotage.workspace.portfolio import NumberSource, PortfolioKpi
from pilotage.workspace.workflow import Direction, Kpi, KpiSource

KPI = Kpi(
    id="minutes",
    name="Minutes to an answer",
    unit="minutes",
    direction=Direction.DOWN,
    baseline=11.5,
    baseline_date=DAY,
    target=5.0,
    source=KpiSource.MEASURED,
)


@pytest.mark.parametrize(
    ("changes", "is_measured"),
    [
        ({}, True),
        ({"baseline": None}, False),
        ({"target": None}, False),
        ({"day": None}, False),
        ({"day": TODAY + timedelta(days=1)}, False),
        ({"source": None}, False),
        ({"source": "estimate"}, False),
        ({"source": "survey"}, True),
    ],
)
def test_a_measure_counts_whole_with_a_measured_baseline_and_a_target(
    changes: dict[str, Any], *, is_measured: bool
) -> None:
    one = replace(MEASURED, **changes)
    assert one.is_measured(TODAY) is is_measured
    assert weight_of([one], TODAY) == (Decimal(1) if is_measured else Decimal("0.5"))


def test_the_best_measure_decides_and_none_weighs_nothing() -> None:
    assert weight_of([NAMED, MEASURED], TODAY) == 1
    assert weight_of([], TODAY) == 0


def test_a_bare_name_is_looked_up_in_the_workflow() -> None:
    case = use_case(kpis=(PortfolioKpi(name="minutes"), PortfolioKpi(name="elsewhere")))
    known, bare = measures_of(case, {"minutes": KPI})
    assert (known.title, known.baseline, known.target, known.source, known.day) == (
        "Minutes to an answer",
        Decimal("11.5"),
        Decimal("5.0"),
        "measured",
        DAY,
    )
    assert bare == Measure(name="elsewhere", title="elsewhere")
    assert bare.as_json(TODAY)["measured"] is False


def test_without_any_they_are_those_of_the_workflow() -> None:
    unmeasured = replace(KPI, baseline=None, baseline_date=None)
    assert [one.name for one in measures_of(use_case(), {"minutes": unmeasured})] == ["minutes"]
    assert measures_of(use_case(), {"minutes": unmeasured})[0].baseline is None


def test_a_measure_written_whole_has_unit_direction_baseline_target_and_source() -> None:
    written = PortfolioKpi(
        name="share",
        unit="share",
        direction=Direction.UP,
        baseline=number("0.71", NumberSource.LOG),
        target=Decimal("0.9"),
    )
    (found,) = measures_of(use_case(kpis=(written,)), {})
    assert found.as_json(TODAY) == {
        "name": "share",
        "title": "share",
        "unit": "share",
        "direction": "up",
        "baseline": "0.71",
        "source": "log",
        "date": "2026-10-01",
        "target": "0.9",
        "measured": True,
    }
    (unknown,) = measures_of(use_case(kpis=(replace(written, baseline=None, direction=None),)), {})
    assert (unknown.baseline, unknown.direction, unknown.is_measured(TODAY)) == (None, None, False)
