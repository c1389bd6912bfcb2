"""Which use case first: value, times what is known of its measures, times how ready its data is (operations.md 8).

value = volume x minutes / 60 x hourly cost x share + volume x error rate x cost per error x 0.5, in money a year;
index = value x K x D. An estimate counts with 80 % of its value. Ties: higher D, then name. Exact fractions inside,
cents outside. Fail mode: a number nobody knows, or dated in the future, leaves value and index unknown, and the row
is not ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.portfolio.data_readiness import FUNDABLE, DataReadiness
from pilotage.portfolio.measures import Measure, weight_of
from pilotage.workspace.portfolio import NumberSource, SourcedNumber, UseCase

ESTIMATE_COUNTS: Final = Fraction(4, 5)
OLD_AFTER: Final = timedelta(days=180)
"""An estimate older than this is marked."""
_ERRORS_AVOIDED: Final = Fraction(1, 2)
_NUMBERS: Final = ("volume", "minutes", "hourly_cost", "error_rate", "cost_per_error", "share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """A use case with its measures and how ready its data is."""

    case: UseCase
    measures: tuple[Measure, ...]
    readiness: DataReadiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A number as it counted. `written` None: declared as unknown. `is_old`: an estimate of more than 180 days."""

    name: str
    written: SourcedNumber | None
    is_old: bool
    is_ahead: bool

    @property
    def counted(self) -> Fraction | None:
        """What it counts with; None is unknown."""
        if self.written is None or self.is_ahead:
            return None
        value = Fraction(self.written.value)
        return value * ESTIMATE_COUNTS if self.written.source is NumberSource.ESTIMATE else value

    @property
    def counts_with(self) -> Decimal | None:
        """What it counts with, to six places."""
        return None if self.counted is None else cents(self.counted, 6)

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        written, counts = self.written, self.counts_with
        return {
            "name": self.name,
            "value": None if written is None else str(written.value),
            "source": None if written is None else written.source.value,
            "date": None if written is None else written.date.isoformat(),
            "counted": None if counts is None else f"{counts.normalize():f}",
            "old": self.is_old,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A use case in the ranking. Money a year, to the cent. `rank` None: not ranked, and `reasons` say why.

    `marks` are what to know about a row whether ranked or not.
    """

    assessed: Assessed
    inputs: tuple[Input, ...]
    value: Decimal | None
    weight: Decimal
    index: Decimal | None
    rank: int | None = None
    reasons: tuple[Reason, ...] = ()
    marks: tuple[Reason, ...] = ()

    @property
    def case(self) -> UseCase:
        """The use case."""
        return self.assessed.case

    @property
    def readiness(self) -> DataReadiness:
        """How ready its data is."""
        return self.assessed.readiness

    def as_json(self, currency: str, today: date) -> dict[str, Json]:
        """Return the documented record: money as decimal text."""
        case = self.case
        return {
            "use_case": case.name,
            "unit": case.unit,
            "owner": case.owner,
            "workflow": case.workflow,
            "corpora": list(case.corpora),
            "sensitivity": None if case.sensitivity is None else case.sensitivity.value,
            "update_frequency": case.update_frequency,
            "human_review": list(case.human_review),
            "rank": self.rank,
            "index": None if self.index is None else str(self.index),
            "value": None if self.value is None else str(self.value),
            "currency": currency,
            "k": str(self.weight),
            "kpis": [one.as_json(today) for one in self.assessed.measures],
            "inputs": [one.as_json() for one in self.inputs],
            "readiness": self.readiness.as_json(),
            "reasons": [dict(one.as_json()) for one in self.reasons],
            "marks": [dict(one.as_json()) for one in self.marks],
        }


def rank(rows: Iterable[Assessed], *, today: date) -> tuple[Ranked, ...]:
    """Return the ranked use cases, best first, then those that are not ranked, by name."""
    drafts = [_draft(one, today) for one in rows]
    ranked = sorted((one for one in drafts if not one.row.reasons), key=lambda one: one.key)
    others = sorted((one.row for one in drafts if one.row.reasons), key=lambda one: one.case.name)
    return (*(replace(one.row, rank=place) for place, one in enumerate(ranked, start=1)), *others)


def cents(value: Fraction, places: int = 2) -> Decimal:
    """Return a fraction rounded half to even: money to the cent."""
    return Decimal(round(value * 10**places)).scaleb(-places)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    row: Ranked
    exact: Fraction
    ready: Decimal

    @property
    def key(self) -> tuple[Fraction, Decimal, str]:
        return -self.exact, -self.ready, self.row.case.name


def _draft(assessed: Assessed, today: date) -> _Draft:
    inputs = tuple(_input(name, getattr(assessed.case, name), today) for name in _NUMBERS)
    weight = weight_of(assessed.measures, today)
    ready, value = assessed.readiness.value, _value([one.counted for one in inputs])
    index = _index(value, weight, ready)
    row = Ranked(
        assessed=assessed,
        inputs=inputs,
        value=None if value is None else cents(value),
        weight=weight,
        index=None if index is None else cents(index),
        reasons=_unranked(inputs, value, weight, assessed.readiness),
        marks=_marks(inputs, assessed.readiness),
    )
    return _Draft(row=row, exact=index or Fraction(0), ready=ready or Decimal(0))


def _input(name: str, written: SourcedNumber | None, today: date) -> Input:
    is_estimate = written is not None and written.source is NumberSource.ESTIMATE
    return Input(
        name=name,
        written=written,
        is_old=is_estimate and written is not None and today - written.date > OLD_AFTER,
        is_ahead=written is not None and written.date > today,
    )


def _value(counted: Sequence[Fraction | None]) -> Fraction | None:
    known = [one for one in counted if one is not None]
    if len(known) < len(counted):
        return None
    volume, minutes, hourly, errors, per_error, share = known
    return volume * minutes / 60 * hourly * share + volume * errors * per_error * _ERRORS_AVOIDED


def _index(value: Fraction | None, weight: Decimal, ready: Decimal | None) -> Fraction | None:
    if value is None:
        return None
    if weight == 0 or ready == 0:
        return Fraction(0)
    return None if ready is None else value * Fraction(weight) * Fraction(ready)


def _unranked(
    inputs: Sequence[Input], value: Fraction | None, weight: Decimal, readiness: DataReadiness
) -> tuple[Reason, ...]:
    found = []
    for one in inputs:
        if one.written is None:
            text = f"Nobody knows {_said(one.name)} yet. Measure it, or write an estimate with its date."
            found.append(Reason(code="NUMBER_UNKNOWN", text=text, where=one.name))
        elif one.is_ahead:
            text = f"{_said(one.name).capitalize()} is dated {one.written.date}, which has not come. Correct the date."
            found.append(Reason(code="NUMBER_AHEAD", text=text, where=one.name))
    if value == 0:
        found.append(Reason(code="NO_VALUE", text="Its numbers give a value of 0.", observed="0", limit="> 0"))
    if weight == 0:
        text = "No KPI: nobody could tell whether it helped. Name one with unit, baseline and target."
        found.append(Reason(code="NO_KPI", text=text))
    if readiness.vetoes:
        names = ", ".join(_said(one.value) for one in readiness.vetoes)
        text = f"Data readiness is 0, because {names} scored 0."
        found.append(Reason(code="READINESS_ZERO", text=text, where=names, observed="0", limit="> 0"))
    elif readiness.unknown:
        names = ", ".join(_said(one.value) for one in readiness.unknown)
        text = f"Data readiness is unknown (between {readiness.least} and {readiness.most}): nobody answered {names}."
        found.append(Reason(code="READINESS_UNKNOWN", text=text, where=names))
    return tuple(found)


def _marks(inputs: Sequence[Input], readiness: DataReadiness) -> tuple[Reason, ...]:
    found = []
    for one in inputs:
        if one.is_old and one.written is not None:
            text = f"The estimate of {_said(one.name)} is of {one.written.date}, more than {OLD_AFTER.days} days ago."
            found.append(Reason(code="ESTIMATE_OLD", text=text, where=one.name, limit=f"{OLD_AFTER.days} days"))
    if readiness.value is not None and readiness.value < FUNDABLE:
        text = f"Data readiness {readiness.value} is below {FUNDABLE}: only the discovery band may be funded."
        found.append(Reason(code="DISCOVERY_ONLY", text=text, observed=str(readiness.value), limit=f">= {FUNDABLE}"))
    return tuple(found)


def _said(name: str) -> str:
    return name.replace("_", " ")
