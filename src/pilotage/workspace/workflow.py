"""One workflow as its folder declares it: owners, targets, budgets, plan, and the parts that a release seals.

Rule: owners are named people; a KPI has unit, direction, baseline, target and source. `sources` holds the bytes and
plain values that sealing digests. Fail mode: the parser refuses; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.guard.policy import GuardPolicy
from pilotage.release.model import ModelSettings
from pilotage.release.prompt import Prompt
from pilotage.retrieval.settings import RetrievalSettings
from pilotage.workspace.golden import EvaluationSettings, GoldenFile
from pilotage.workspace.plan import Rollout


class RiskTier(StrEnum):
    """`high` needs shadow before canary."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Direction(StrEnum):
    """Which way a KPI should move."""

    UP = "up"
    DOWN = "down"


class SloMetric(StrEnum):
    """What an objective is about."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    QUALITY = "quality"


class OnExceeded(StrEnum):
    """What happens at the end of a budget."""

    ALERT = "alert"
    DEGRADE = "degrade"
    STOP = "stop"


class Unpriced(StrEnum):
    """What happens to usage without a price."""

    REJECT = "reject"
    ALLOW = "allow"


class KpiSource(StrEnum):
    """Where a KPI's numbers come from."""

    MEASURED = "measured"
    LOG = "log"
    SURVEY = "survey"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """A measurable outcome. `baseline` None: not measured yet (a warning, and half the weight in the portfolio)."""

    id: str
    name: str
    unit: str
    direction: Direction
    baseline: float | None
    baseline_date: date | None
    target: float
    source: KpiSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """One objective over `window_days`; a latency one has its threshold in milliseconds."""

    name: str
    metric: SloMetric
    objective: float
    window_days: int = 30
    threshold_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Money in nano-units (1e-9 of the currency), tokens as counts. None: no limit."""

    latency_p95_ms: int | None = None
    cost_hour_nano: int | None = None
    cost_day_nano: int | None = None
    cost_month_nano: int | None = None
    cost_per_query_nano: int | None = None
    tokens_day: int | None = None
    evaluation_day_nano: int | None = None
    shadow_day_nano: int | None = None
    on_exceeded: OnExceeded = OnExceeded.STOP
    unpriced: Unpriced = Unpriced.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanReview:
    """Answers are drafts until a person in `role` released them, for questions with one of `tags` (empty: all)."""

    id: str
    when: str
    role: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPath:
    """A path that must be covered: test name globs, golden tags, code file globs (gates.md 2.5)."""

    id: str
    tests: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """An outside system the workflow must be tested with."""

    id: str
    system: str
    owner: PersonId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTrigger:
    """`metric OP limit` that rolls back at once, or a named hard event."""

    name: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDocument:
    """One file of `documents/`. `type` is its name; front matter says owner, version and how long it is valid."""

    type: str
    file: str
    owner: PersonId | None
    version: str | None
    valid_until: date | None
    words: int
    notes: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSources:
    """What sealing digests: bytes of prompt and golden files (paths relative to the workflow), plain YAML values."""

    prompt: bytes
    workflow: Mapping[str, Json]
    model: Mapping[str, Json]
    retrieval: Mapping[str, Json]
    guard: Mapping[str, Json]
    golden: Mapping[str, bytes] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One business use case. `code` is False when the workflow is configuration only (requirement coverage, 2.5).

    `targets` map a metric to its limit (`answer_accuracy: 0.85`); `sla_p95_ms` is the one source of the latency limit.
    `support` says in words whom users of the workflow turn to; empty: its owner.
    """

    name: WorkflowName
    title: str
    description: str = ""
    owner: PersonId
    data_owner: PersonId
    security_owner: PersonId
    on_call: str
    support: str = ""
    risk_tier: RiskTier
    code: bool
    sla_p95_ms: int
    targets: Mapping[str, float] = field(default_factory=dict)
    kpis: tuple[Kpi, ...] = ()
    slos: tuple[Slo, ...] = ()
    budgets: Budgets = Budgets()
    human_review: tuple[HumanReview, ...] = ()
    critical_paths: tuple[CriticalPath, ...] = ()
    must_include: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    integrations: tuple[Integration, ...] = ()
    operating_cycle_days: int = 28
    expected_per_day: int | None = None
    rollout: Rollout | None = None
    rollback_triggers: tuple[RollbackTrigger, ...] = ()
    prompt: Prompt
    model: ModelSettings
    retrieval: RetrievalSettings
    guard: GuardPolicy
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    golden: tuple[GoldenFile, ...] = ()
    documents: Mapping[str, WorkflowDocument] = field(default_factory=dict)
    sources: WorkflowSources
