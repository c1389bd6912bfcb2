"""The five ways out when a step cannot prove its limits, each with its new numbers (rollouts.md 4.3).

Rule: a choice names the smallest change that lifts the chance of GO to 80 % for a release as good as assumed, or says
that none does. Fail mode: without a traffic figure only holding and measuring first are offered with numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pilotage.analysis.limits import go_alpha
from pilotage.analysis.power import chance_of_go, requests_for_chance
from pilotage.rollout.preflight import ENOUGH_CHANCE, Criterion, StepForecast, percent, told
from pilotage.workspace.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way out: `key` is `longer_bake`, `higher_weight`, `relaxed_limit`, `shadow_first` or `hold`."""

    key: str
    text: str
    possible: bool = True


def choices(plan: Plan, step: StepForecast, criterion: Criterion, *, attempt: int = 1) -> tuple[Choice, ...]:
    """Return the five choices for a criterion that a step cannot, or hardly, prove."""
    alpha = go_alpha(plan.alpha.go, attempt)
    needed = requests_for_chance(criterion.limit, alpha, true_share=criterion.assumed, chance=ENOUGH_CHANCE)
    return (
        _longer_bake(step, needed),
        _higher_weight(step, needed),
        _relaxed_limit(step, criterion, alpha),
        _shadow_first(plan, step, criterion),
        Choice(
            key="hold",
            text=f"undecidable: hold - start knowing that {step.step} ends INCONCLUSIVE and needs a risk acceptance. "
            f"{told(step, criterion)}",
        ),
    )


def _missing(step: StepForecast, needed: int) -> int:
    return max(0, needed - (step.requests or 0))


def _longer_bake(step: StepForecast, needed: int | None) -> Choice:
    daily = (step.per_day or 0.0) * step.share
    if needed is None or daily <= 0:
        return Choice(key="longer_bake", text="A longer bake: no length is known to be enough.", possible=False)
    hours = math.ceil(24 * (step.bake_days + _missing(step, needed) / daily))
    text = f"bake: {hours}h ({hours / 24:.1f} days) instead of {24 * step.bake_days:g}h gives {needed:,} requests."
    return Choice(key="longer_bake", text=text)


def _higher_weight(step: StepForecast, needed: int | None) -> Choice:
    at_full = (step.per_day or 0.0) * step.bake_days
    if needed is None or at_full <= 0:
        return Choice(key="higher_weight", text="A higher weight: none is known to be enough.", possible=False)
    weight = step.share + _missing(step, needed) / at_full
    if weight > 1.0:
        text = f"A higher weight: even 100 % of {at_full:,.0f} requests in this bake is short of {needed:,}."
        return Choice(key="higher_weight", text=text, possible=False)
    text = f"weight: {math.ceil(1000 * weight) / 10:g}% instead of {percent(step.share)} gives {needed:,} requests."
    return Choice(key="higher_weight", text=text)


def _relaxed_limit(step: StepForecast, criterion: Criterion, alpha: float) -> Choice:
    name = {"error": "error_go", "ungrounded": "ungrounded_go", "policy": "policy_go"}.get(criterion.name)
    n = step.requests or 0
    if name is None:
        text = "A relaxed limit: lower latency_quantile or raise latency_go after measuring; nothing is known yet."
        return Choice(key="relaxed_limit", text=text, possible=False)
    limit = criterion.limit
    while limit < 0.5 and chance_of_go(n, limit, alpha, true_share=criterion.assumed) < ENOUGH_CHANCE:
        limit *= 1.05
    if limit >= 0.5:
        text = f"A relaxed limit: {n:,} requests prove no useful share."
        return Choice(key="relaxed_limit", text=text, possible=False)
    digits = 1 - math.floor(math.log10(limit))
    rounded = math.ceil(limit * 10**digits) / 10**digits
    text = (
        f"limits: {{{name}: {percent(rounded).replace(' ', '')}}} for this step; a new plan digest, seen by the gate."
    )
    return Choice(key="relaxed_limit", text=text)


def _shadow_first(plan: Plan, step: StepForecast, criterion: Criterion) -> Choice:
    if step.per_day is None:
        text = "Shadow or replay first: measures the traffic too, without a user seeing the candidate."
        return Choice(key="shadow_first", text=text)
    sample = plan.shadow.sample
    pairs, every = (math.floor(step.per_day * share * plan.shadow.duration_s / 86_400) for share in (sample, 1.0))
    hours = plan.shadow.duration_s / 3600
    text = (
        f"Shadow or replay first: {pairs:,} pairs in {hours:g} h at {percent(sample)}, {every:,} at 100 %, without a "
        f"user seeing the candidate ({criterion.clean_needed:,} clean answers prove < {percent(criterion.limit)})."
    )
    return Choice(key="shadow_first", text=text)
