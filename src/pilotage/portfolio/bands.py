"""Investment bands: how much each gate may release, beside what is planned and spent of it (operations.md 8).

Money is a decimal in the currency of the workspace; lines of a band's phases are paid from it. Rule: a plan or a
spending over a band's max is a finding, and so is a portfolio with one band. Fail mode: what no invoice or meter says
is unknown, never 0; with lines of each month, whose months are not counted, plan and spending are unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.workspace.operations import CostLine, CostSource, Per
from pilotage.workspace.portfolio import Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """A band with the lines that are paid from it. None: no line says, or one is paid each month."""

    band: Band
    planned: Decimal | None
    spent: Decimal | None
    findings: tuple[Reason, ...] = ()

    def as_json(self, currency: str) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "band": self.band.name,
            "min": str(self.band.minimum),
            "max": str(self.band.maximum),
            "currency": currency,
            "released_by": self.band.released_by,
            "signer": self.band.signer,
            "phases": list(self.band.phases),
            "planned": None if self.planned is None else str(self.planned),
            "spent": None if self.spent is None else str(self.spent),
            "findings": [dict(one.as_json()) for one in self.findings],
        }


def fund(bands: Sequence[Band], lines: Sequence[CostLine], currency: str) -> tuple[Funding, ...]:
    """Return the bands in their order, with what is planned and spent of each."""
    return tuple(_funding(band, lines, currency) for band in bands)


def plan_findings(bands: Sequence[Band]) -> tuple[Reason, ...]:
    """Return what is wrong with the bands together: a single one funds everything at once."""
    if len(bands) != 1:
        return ()
    text = f"The one band {bands[0].name!r} funds the whole project at once. Write a band for each gate that decides."
    return (Reason(code="ONE_BAND", text=text, observed="1 band", limit=">= 2"),)


def _funding(band: Band, lines: Sequence[CostLine], currency: str) -> Funding:
    paid = [line for line in lines if line.phase in band.phases]
    own, monthly = ([line for line in paid if line.per is per] for per in (Per.ONCE, Per.MONTH))
    planned = _sum([line.amount for line in own if line.source is CostSource.PLAN])
    spent = _sum([line.amount for line in own if line.source is not CostSource.PLAN])
    found = [_uncounted(band, monthly)] if monthly else []
    found += [
        Reason(
            code=code,
            text=f"{said} {amount:,} {currency} of the band {band.name!r}, whose max is {band.maximum:,} {currency}. "
            f"Put it to the gate {band.released_by!r} before more is spent.",
            where=band.name,
            observed=f"{amount:,} {currency}",
            limit=f"{band.maximum:,} {currency}",
        )
        for code, said, amount in (
            ("BAND_OVERPLANNED", "The plan takes", planned),
            ("BAND_OVERSPENT", "Spent are", spent),
        )
        if amount is not None and amount > band.maximum
    ]
    if monthly:
        planned = spent = None
    return Funding(band=band, planned=planned, spent=spent, findings=tuple(found))


def _uncounted(band: Band, monthly: Sequence[CostLine]) -> Reason:
    names = ", ".join(line.id for line in monthly)
    text = (
        f"What is planned and spent of the band {band.name!r} is unknown: {names} of costs.yaml are paid each month, "
        "and their months are not counted here. Give them a phase of no band, or read `pilotage report cost`."
    )
    return Reason(code="BAND_MONTHLY", text=text, where=band.name, observed=f"{len(monthly)} monthly lines")


def _sum(amounts: Sequence[Decimal]) -> Decimal | None:
    return sum(amounts, Decimal(0)) if amounts else None
