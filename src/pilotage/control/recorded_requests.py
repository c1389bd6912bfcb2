"""What a record says of the request it was made of, for everything that counts requests (rollouts.md 5.1).

Rule: reads one row; who counts it decides whose request it was. Fail mode: a latency nobody recorded is NaN, which
counts as lost; a grounding nobody checked is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from pilotage.analysis.counters import Metric
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import Ladder, StepLimits
from pilotage.rollout.observation import LatencyLimits
from pilotage.rollout.tally import Caps
from pilotage.store.observation_rows import RecordRow
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.routes import Route
from pilotage.workspace.plan import Plan, Step

COUNTED: Final = frozenset({Arm.STABLE.value, Arm.CANDIDATE.value})


def latency_ms(row: RecordRow) -> float:
    """Return time to the first byte of a stream, else to the last; NaN when none was recorded."""
    value = row.detail.get("t_first_sent", row.detail.get("t_total"))
    return value / 1000 if isinstance(value, int | float) else float("nan")


def ungrounded(row: RecordRow) -> bool | None:
    """Return what the pinned grounding check said; None where it said nothing."""
    findings = row.detail.get("findings") or []
    flagged = [one for one in findings if isinstance(one, Mapping) and one.get("check") == "grounding"]
    if any(one.get("type") == "check_failed" for one in flagged):
        return None
    if flagged or row.detail.get("refusal") == "grounding":
        return True
    checks = row.detail.get("checks")
    return False if isinstance(checks, Mapping) and "grounding" in checks else None


def is_answer(row: RecordRow) -> bool:
    """Tell whether the request was answered, so that the answer should carry a grounding score."""
    return row.outcome == "ok" and not row.refused


def pinned_in(connection: Connection, route: Route) -> frozenset[str]:
    """Return the pseudonyms of testers who are pinned to an arm, outside every statistic."""
    return frozenset(pseudonym_of(connection, principal) for principal in route.pins)


def caps_of(plan: Plan) -> Caps:
    """Return how much one principal counts."""
    return Caps(failures=plan.failures_per_principal, successes=plan.successes_per_principal)


def latency_limits(step: Step) -> LatencyLimits:
    """Return a step's limits of latency."""
    return LatencyLimits(go_ms=step.limits.latency_go_ms, trip_ms=step.limits.latency_trip_ms)


def ladder_of(steps: Sequence[Step], now: Step) -> Ladder:
    """Return the limits of a space's steps; it stands in `now`."""
    return Ladder(now=_limits(now), every=tuple(_limits(step) for step in steps))


def _limits(step: Step) -> StepLimits:
    return StepLimits(latency=latency_limits(step), trips=_trips(step))


def _trips(step: Step) -> Mapping[Metric, float]:
    limits = step.limits
    return {
        Metric.ERROR: limits.error_trip,
        Metric.STALLED: round(1.0 - limits.latency_quantile, 9),
        Metric.UNGROUNDED: limits.ungrounded_trip,
        Metric.POLICY: limits.policy_trip,
    }
