"""Reads `workflows/<name>/workflow.yaml`: owners, targets, budgets, reviews, integrations, plan.

Rule: owners are named people; a KPI has unit, direction, baseline, target and source; a written `slo` or budget may
only be stricter than `sla.p95_ms`. Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.core.fields import TEXT, Fields, choice, integer, list_of, matching, number, record
from pilotage.core.ids import PersonId
from pilotage.core.readers import DATE, MONEY_NANO, PERSON, SLUG_TEXT
from pilotage.workspace.evaluation_file import metric_numbers
from pilotage.workspace.gate_file import ROLE
from pilotage.workspace.plan import Rollout
from pilotage.workspace.plan_file import parse_rollout
from pilotage.workspace.workflow import (
    Budgets,
    CriticalPath,
    Direction,
    HumanReview,
    Integration,
    Kpi,
    KpiSource,
    OnExceeded,
    RiskTier,
    RollbackTrigger,
    Slo,
    SloMetric,
    Unpriced,
)

_CODE = matching(re.compile("none|present"), "none (configuration only) or present")
_NAMES = list_of(TEXT, or_one=True)
_SIGNED = number(-(10**15), 10**15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What `workflow.yaml` itself holds; fields as in `workflow.Workflow`."""

    title: str
    description: str
    owner: PersonId
    data_owner: PersonId
    security_owner: PersonId
    on_call: str
    support: str
    risk_tier: RiskTier
    code: bool
    sla_p95_ms: int
    targets: Mapping[str, float]
    kpis: tuple[Kpi, ...]
    slos: tuple[Slo, ...]
    budgets: Budgets
    human_review: tuple[HumanReview, ...]
    critical_paths: tuple[CriticalPath, ...]
    must_include: tuple[str, ...]
    requirements: tuple[str, ...]
    integrations: tuple[Integration, ...]
    operating_cycle_days: int
    expected_per_day: int | None
    rollout: Rollout | None
    rollback_triggers: tuple[RollbackTrigger, ...]


def parse_declaration(fields: Fields) -> Declaration:
    """Read `workflow.yaml`."""
    mistakes = len(fields.problems.found)
    sla = fields.need("sla", record(lambda inner: inner.need("p95_ms", integer(1, 600_000))))
    has_sla = mistakes == len(fields.problems.found)
    cycle = fields.get("operating_cycle_days", integer(7, 364), 28)
    if cycle % 7:
        fields.problem("operating_cycle_days", f"{cycle} days are not whole weeks", "Write a multiple of 7.")
    declaration = Declaration(
        title=fields.need("title", TEXT),
        description=fields.get("description", TEXT, ""),
        owner=fields.need("owner", PERSON),
        data_owner=fields.need("data_owner", PERSON),
        security_owner=fields.need("security_owner", PERSON),
        on_call=fields.get("on_call", TEXT, "default"),
        support=fields.get("support", TEXT, ""),
        risk_tier=fields.need("risk_tier", choice(RiskTier)),
        code=fields.get("code", _CODE, "none") == "present",
        sla_p95_ms=sla,
        targets=fields.get("targets", metric_numbers(), {}),
        kpis=fields.get("kpis", list_of(record(_kpi)), ()),
        slos=fields.get("slo", list_of(record(_slo)), ()),
        budgets=fields.get("budgets", record(_budgets), Budgets()),
        human_review=fields.get("human_review", list_of(record(_human_review)), ()),
        critical_paths=fields.get("critical_paths", list_of(record(_critical_path)), ()),
        must_include=fields.get("coverage", record(lambda inner: inner.get("must_include", _NAMES, ())), ()),
        requirements=fields.get("requirements", _NAMES, ()),
        integrations=fields.get("integrations", list_of(record(_integration)), ()),
        operating_cycle_days=cycle,
        expected_per_day=fields.get("expected_requests_per_day", integer(1), None),
        rollout=fields.get("rollout", record(parse_rollout), None),
        rollback_triggers=fields.get("rollback_triggers", list_of(record(_trigger)), ()),
    )
    if has_sla:
        _check_latency(declaration, fields)
    _check(declaration, fields)
    return declaration


def _check(declaration: Declaration, fields: Fields) -> None:
    _check_ids("kpis", [kpi.id for kpi in declaration.kpis], fields)
    _check_ids("integrations", [one.id for one in declaration.integrations], fields)
    _check_ids("critical_paths", [path.id for path in declaration.critical_paths], fields)
    if fields.has("on_call"):
        fields.problems.refer("rota", declaration.on_call, fields.place("on_call"))
    if not declaration.kpis:
        what = "The workflow has no KPI, so its success cannot be measured"
        fields.problems.warn(fields.place("kpis"), what, "Write kpis with unit, direction, baseline, target, source.")


def _check_latency(declaration: Declaration, fields: Fields) -> None:
    limit = declaration.sla_p95_ms
    for slo in declaration.slos:
        if slo.threshold_ms is not None and slo.threshold_ms > limit:
            what = f"The objective {slo.name!r} allows {slo.threshold_ms:,} ms and sla.p95_ms is {limit:,}"
            fields.problem("slo", what, "Write a threshold no looser than the SLA.")
    budget = declaration.budgets.latency_p95_ms
    if budget is not None and budget > limit:
        what = f"budgets.latency_p95_ms {budget:,} is looser than sla.p95_ms {limit:,}"
        fields.problem("budgets", what, "Write the same or less, or remove the key.")
    plans = declaration.rollout.plans.values() if declaration.rollout else ()
    for plan in plans:
        if plan.limits.latency_go_ms > limit:
            what = f"The plan {plan.name!r} goes on at {plan.limits.latency_go_ms:,.0f} ms and sla.p95_ms is {limit:,}"
            fields.problem("rollout", what, "Write latency_go no looser than the SLA.")


def _check_ids(key: str, ids: list[str], fields: Fields) -> None:
    for name in sorted({name for name in ids if name and ids.count(name) > 1}):
        fields.problem(key, f"Two entries of {key!r} have the id {name!r}", "Give each an id of its own.")


def _kpi(fields: Fields) -> Kpi:
    mistakes = len(fields.problems.found)
    baseline, day = fields.get("baseline", _SIGNED, None), fields.get("baseline_date", DATE, None)
    kpi = Kpi(
        id=fields.need("id", SLUG_TEXT),
        name=fields.need("name", TEXT),
        unit=fields.need("unit", TEXT),
        direction=fields.need("direction", choice(Direction)),
        baseline=baseline,
        baseline_date=day,
        target=fields.need("target", _SIGNED),
        source=fields.need("source", choice(KpiSource)),
    )
    if baseline is None:
        what = f"The KPI {kpi.id!r} has no baseline"
        fields.problems.warn(fields.at, what, "Measure it before the pilot; improvement cannot be shown without.")
    elif len(fields.problems.found) == mistakes and _is_no_improvement(kpi, baseline):
        what = (
            f"The target {kpi.target:g} is no improvement over the baseline {baseline:g} when {kpi.direction} is better"
        )
        fields.problem("target", what, "Check direction, baseline and target.")
    return kpi


def _is_no_improvement(kpi: Kpi, baseline: float) -> bool:
    return kpi.target <= baseline if kpi.direction is Direction.UP else kpi.target >= baseline


def _slo(fields: Fields) -> Slo:
    slo = Slo(
        name=fields.need("name", SLUG_TEXT),
        metric=fields.need("metric", choice(SloMetric)),
        objective=fields.need("objective", number(0.5, 0.999999)),
        window_days=fields.get("window_days", integer(1, 365), 30),
        threshold_ms=fields.get("threshold_ms", integer(1), None),
    )
    if slo.threshold_ms is not None and slo.metric is not SloMetric.LATENCY:
        fields.problem("threshold_ms", f"An objective of {slo.metric} has no threshold", "Remove the key.")
    return slo


def _budgets(fields: Fields) -> Budgets:
    return Budgets(
        latency_p95_ms=fields.get("latency_p95_ms", integer(1), None),
        cost_hour_nano=fields.get("cost_hour", MONEY_NANO, None),
        cost_day_nano=fields.get("cost_day", MONEY_NANO, None),
        cost_month_nano=fields.get("cost_month", MONEY_NANO, None),
        cost_per_query_nano=fields.get("cost_per_query", MONEY_NANO, None),
        tokens_day=fields.get("tokens_day", integer(1), None),
        evaluation_day_nano=fields.get("evaluation_day", MONEY_NANO, None),
        shadow_day_nano=fields.get("shadow_day", MONEY_NANO, None),
        on_exceeded=fields.get("on_exceeded", choice(OnExceeded), OnExceeded.STOP),
        unpriced=fields.get("unpriced", choice(Unpriced), Unpriced.REJECT),
    )


def _human_review(fields: Fields) -> HumanReview:
    return HumanReview(
        id=fields.need("id", SLUG_TEXT),
        when=fields.need("when", TEXT),
        role=fields.need("role", ROLE),
        tags=fields.get("tags", _NAMES, ()),
    )


def _critical_path(fields: Fields) -> CriticalPath:
    path = CriticalPath(
        id=fields.need("id", SLUG_TEXT),
        tests=fields.get("tests", _NAMES, ()),
        cases=fields.get("cases", _NAMES, ()),
        files=fields.get("files", _NAMES, ()),
    )
    if not (path.tests or path.cases):
        fields.problem("tests", f"The critical path {path.id!r} names no test and no case", "Write tests or cases.")
    return path


def _integration(fields: Fields) -> Integration:
    return Integration(
        id=fields.need("id", SLUG_TEXT), system=fields.need("system", TEXT), owner=fields.get("owner", PERSON, None)
    )


def _trigger(fields: Fields) -> RollbackTrigger:
    return RollbackTrigger(name=fields.need("name", TEXT), rule=fields.need("rule", TEXT))
