"""Money is released gate by gate, and what is planned or spent over a band is said."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pilotage.portfolio.bands import fund, plan_findings
from pilotage.workspace.operations import CostClass, CostLine, CostSource, Per
from pilotage.workspace.portfolio import Band


def band(name: str = "first workflow", maximum: str = "130000", *phases: str) -> Band:
    return Band(
        name=name,
        minimum=Decimal(53_000),
        maximum=Decimal(maximum),
        released_by="cab",
        signer="business-sponsor",
        phases=phases,
    )


def line(amount: str, phase: str = "testing", source: CostSource = CostSource.PLAN, per: Per = Per.ONCE) -> CostLine:
    return CostLine(
        id=f"{phase}-{amount}", cost_class=CostClass.TOOL, phase=phase, amount=Decimal(amount), per=per, source=source
    )


@pytest.mark.feature("R1.9")
def test_a_band_has_its_gate_its_signer_and_what_is_planned_and_spent_of_it() -> None:
    lines = [
        line("30000"),
        line("5000.50"),
        line("38000", "deployment"),
        line("50000", "development"),
        line("40000", "run", per=Per.MONTH),
        line("1200.25", source=CostSource.INVOICE),
        line("10", source=CostSource.METER),
    ]
    (found,) = fund([band("first workflow", "130000", "testing", "deployment")], lines, "EUR")
    assert found.as_json("EUR") == {
        "band": "first workflow",
        "min": "53000",
        "max": "130000",
        "currency": "EUR",
        "released_by": "cab",
        "signer": "business-sponsor",
        "phases": ["testing", "deployment"],
        "planned": "73000.50",
        "spent": "1210.25",
        "findings": [],
    }


def test_what_no_line_says_is_unknown_and_not_zero() -> None:
    (found,) = fund([band()], [line("30000")], "USD")
    assert (found.planned, found.spent) == (None, None)
    assert (found.as_json("USD")["planned"], found.as_json("USD")["spent"]) == (None, None)


@pytest.mark.parametrize(
    ("source", "amount", "codes"),
    [
        (CostSource.PLAN, "130000", []),
        (CostSource.PLAN, "130000.01", ["BAND_OVERPLANNED"]),
        (CostSource.INVOICE, "130000.01", ["BAND_OVERSPENT"]),
        (CostSource.METER, "130000.01", ["BAND_OVERSPENT"]),
    ],
)
def test_a_band_may_not_fund_more_than_its_gate_released(source: CostSource, amount: str, codes: list[str]) -> None:
    (found,) = fund([band("first workflow", "130000", "testing")], [line(amount, source=source)], "USD")
    assert [one.code for one in found.findings] == codes
    assert all((one.observed, one.limit) == ("130,000.01 USD", "130,000 USD") for one in found.findings)


@pytest.mark.parametrize("source", [CostSource.PLAN, CostSource.INVOICE])
def test_a_band_that_pays_each_month_is_unknown_and_says_why(source: CostSource) -> None:
    lines = [line("900000", per=Per.MONTH, source=source), line("130000.01", source=CostSource.INVOICE)]
    (found,) = fund([band("run", "130000", "testing")], lines, "USD")
    assert (found.planned, found.spent) == (None, None)
    assert [one.code for one in found.findings] == ["BAND_MONTHLY", "BAND_OVERSPENT"]
    assert "testing-900000 of costs.yaml are paid each month" in found.findings[0].text
    assert "signature" not in found.findings[1].text


def test_one_band_for_everything_is_a_finding() -> None:
    assert [one.code for one in plan_findings([band()])] == ["ONE_BAND"]
    assert plan_findings([band(), band("hypercare")]) == ()
    assert plan_findings([]) == ()
