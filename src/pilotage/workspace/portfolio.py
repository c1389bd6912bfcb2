"""What `portfolio.yaml` declares: use cases with sourced numbers, and money that gates release (operations.md 8).

Money is a decimal in the currency of the workspace. Rule: every number has a source and a date, or says that nobody
knows it. Fail mode: None is unknown, never 0; the arithmetic is `portfolio/`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pilotage.core.durations import parse_duration
from pilotage.core.ids import CorpusName, PersonId, WorkflowName
from pilotage.corpus.settings import Classification
from pilotage.workspace.workflow import Direction


class NumberSource(StrEnum):
    """How well a number of the inventory is known."""

    MEASURED = "measured"
    LOG = "log"
    ESTIMATE = "estimate"


class Aspect(StrEnum):
    """What data readiness is the mean of."""

    QUALITY = "quality"
    LINEAGE = "lineage"
    RETENTION = "retention"
    ACCESS_POLICY = "access_policy"
    FRESHNESS = "freshness"
    OWNERS = "owners"
    EXCLUSIONS = "exclusions"
    CLASSIFICATION = "classification"


class Purpose(StrEnum):
    """What a model would be adapted for; `facts` are never learnt into weights."""

    NOTHING = "nothing"
    FORM = "form"
    TONE = "tone"
    CLASSIFICATION = "classification"
    FACTS = "facts"


_FREQUENCIES: Final[Mapping[str, float]] = {
    "hourly": 1 / 24,
    "daily": 1,
    "weekly": 7,
    "monthly": 30,
    "quarterly": 91,
    "yearly": 365,
    "never": 36_500,
}


def update_days(written: str) -> float:
    """Return days between updates, of a word such as `weekly` or a duration such as `36h`; raise ValueError."""
    if written in _FREQUENCIES:
        return _FREQUENCIES[written]
    try:
        return parse_duration(written).total_seconds() / 86_400
    except ValueError:
        words = ", ".join(_FREQUENCIES)
        message = f"{written[:40]!r} is not how often. Write one of {words}, or a duration such as 14d or PT36H."
        raise ValueError(message) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedNumber:
    """A number with its source and the day it was taken."""

    value: Decimal
    source: NumberSource
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioKpi:
    """A measure of success. One written as a bare name has that alone, unless the workflow declares the rest."""

    name: str
    unit: str | None = None
    direction: Direction | None = None
    baseline: SourcedNumber | None = None
    target: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's answer on one aspect: 0, 0.25, 0.5, 0.75 or 1."""

    score: Decimal
    by: PersonId
    date: date
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the choice between retrieval and fine-tuning depends on. None: nobody answered yet."""

    per_person_permissions: bool | None = None
    takedown_duty: bool | None = None
    citations_required: bool | None = None
    content_residency: bool | None = None
    adapt_for: Purpose | None = None
    reviewed_examples: int | None = None
    examples_for_everyone: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """One row of the inventory. `share` is the part that help can change, in [0, 1]; `error_rate` in [0, 1].

    `update_frequency` is written as `update_days` reads it.
    `volume` a year, `minutes` each; None: declared as unknown.
    """

    name: str
    unit: str
    owner: PersonId
    volume: SourcedNumber | None
    minutes: SourcedNumber | None
    hourly_cost: SourcedNumber | None
    error_rate: SourcedNumber | None
    cost_per_error: SourcedNumber | None
    share: SourcedNumber | None
    kpis: tuple[PortfolioKpi, ...] = ()
    corpora: tuple[CorpusName, ...] = ()
    sensitivity: Classification | None = None
    update_frequency: str | None = None
    human_review: tuple[str, ...] = ()
    workflow: WorkflowName | None = None
    data_owner: PersonId | None = None
    security_owner: PersonId | None = None
    readiness: Mapping[Aspect, Answer] = field(default_factory=dict)
    needs: Needs = Needs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Money a gate may release: `minimum`..`maximum`, signed by `signer`; `phases` of costs.yaml are paid from it."""

    name: str
    minimum: Decimal
    maximum: Decimal
    released_by: str
    signer: str
    phases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """The inventory and its investment bands, in the order they are released."""

    use_cases: tuple[UseCase, ...] = ()
    bands: tuple[Band, ...] = ()
