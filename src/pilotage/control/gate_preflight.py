"""How many go-criteria of the workflow's plan its traffic cannot decide: a fact of the board's gate.

Rule: the arithmetic depends on plan and traffic alone, so it is done once for each. Fail mode: None where there is no
plan or no figure of the traffic; the fact is then absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from pilotage.control.rollout_preflight import Asked, foreseen_traffic, places_of
from pilotage.core.canonical import Form, canonical_bytes, parse_json
from pilotage.core.ids import SpaceName
from pilotage.core.remembered import remembered
from pilotage.rollout.plan_form import plan_json, read_plan
from pilotage.rollout.preflight import Decidability, Preflight, Traffic, preflight
from pilotage.store.cohorts import History, Place
from pilotage.workspace.plan import Plan
from pilotage.workspace.workflow import Workflow

_OPEN = frozenset({Decidability.UNDECIDABLE, Decidability.UNKNOWN})
_Figures = tuple[tuple[str, float | None, tuple[tuple[str, float], ...]], ...]


def gate_places(workflow: Workflow) -> tuple[Place, ...]:
    """Return the places whose history the forecast of the workflow's default plan rests on."""
    rollout = workflow.rollout
    return () if rollout is None else places_of(rollout.plans[rollout.default_plan], workflow.name)


def gate_forecast(workflow: Workflow, history: Mapping[tuple[str, str], History]) -> Preflight | None:
    """Return what the default plan can prove with the traffic there is; None without a plan or a figure."""
    rollout = workflow.rollout
    if rollout is None:
        return None
    plan = rollout.plans[rollout.default_plan]
    asked = Asked(workflow=workflow.name, attempt=1, accepted=True, expected=workflow.expected_per_day)
    traffic = foreseen_traffic(plan, asked, history)
    if any(one.per_day is None for one in traffic.values()):
        return None
    figures: _Figures = tuple(
        (str(space), one.per_day, tuple(sorted((one.cohort_share or {}).items())))
        for space, one in sorted(traffic.items())
    )
    return _forecast(_exact(plan), figures)


@remembered
def _exact(plan: Plan) -> bytes:
    return canonical_bytes(plan_json(plan), form=Form.PLAIN)


@lru_cache(maxsize=64)
def _forecast(plan: bytes, figures: _Figures) -> Preflight:
    """Return the forecast of a plan's JSON with these figures of traffic per space."""
    value = parse_json(plan)
    assert isinstance(value, Mapping)
    traffic = {
        SpaceName(space): Traffic(per_day=per_day, cohort_share=dict(shares)) for space, per_day, shares in figures
    }
    return preflight(read_plan(value), traffic)


def undecidable_metrics(workflow: Workflow, history: Mapping[tuple[str, str], History]) -> int | None:
    """Return the number of undecidable go-criteria over all steps of the default plan."""
    found = gate_forecast(workflow, history)
    if found is None:
        return None
    return sum(1 for step in found.steps for criterion in step.criteria if criterion.decidability in _OPEN)
