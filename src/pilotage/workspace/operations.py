"""What `oncall.yaml`, `costs.yaml` and `training.yaml` declare (operations.md 3.3, 7, 10); `portfolio.py` has the rest.

Money is a decimal in the stated currency.
Fail mode: the parser refuses; arithmetic is `monitoring/`, `incident/` and `portfolio/`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.workspace.portfolio import Portfolio


class Handoff(StrEnum):
    """How often duty changes hands."""

    DAILY = "daily"
    WEEKLY = "weekly"


class CostClass(StrEnum):
    """What a cost line pays for."""

    PEOPLE = "people"
    USAGE = "usage"
    INFRASTRUCTURE = "infrastructure"
    TOOL = "tool"


class Per(StrEnum):
    """Once, or every month from `starts_month` on."""

    ONCE = "once"
    MONTH = "month"


class CostSource(StrEnum):
    """Where an amount comes from."""

    PLAN = "plan"
    INVOICE = "invoice"
    METER = "meter"


class TrainingKind(StrEnum):
    """What a course qualifies for."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    ON_CALL = "on-call"
    TRAINER = "trainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a rota: people in turn, from `start`, changing at local wall time `at` (`HH:MM`)."""

    people: tuple[PersonId, ...]
    start: date
    handoff: Handoff
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A person on duty instead, between two local times (`YYYY-MM-DDTHH:MM`), entered by `by`."""

    person: PersonId
    start: str
    end: str
    by: PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Whom to page next (`layer:<n>`, `person:<id>` or `role:<role>`), after how many minutes."""

    to: str
    after_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rota:
    """Who is on duty when. `minimum` people must be on duty at any time."""

    name: str
    time_zone: str
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()
    escalation: tuple[Escalation, ...] = ()
    minimum: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One cost line; `weight` shares it between workflows when it names none."""

    id: str
    cost_class: CostClass
    phase: str
    amount: Decimal
    per: Per
    starts_month: int = 1
    source: CostSource
    space: SpaceName | None = None
    workflow: WorkflowName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """All cost lines, in one currency."""

    currency: str = "USD"
    lines: tuple[CostLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """A completed course; valid for `Training.valid_days`."""

    person: PersonId
    course: str
    kind: TrainingKind
    date: date
    result: str
    trainer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Training records of the organisation."""

    valid_days: int = 365
    records: tuple[TrainingRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """All four files."""

    rotas: Mapping[str, Rota] = field(default_factory=dict)
    costs: Costs = Costs()
    portfolio: Portfolio = field(default_factory=Portfolio)
    training: Training = Training()
