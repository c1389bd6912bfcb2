"""What a plan can prove with the traffic there is, told before anybody starts (rollouts.md 4).

Per step and GO criterion: decidable (chance of GO >= 80 % for a release as good as assumed), unlikely, undecidable
(not even a clean record proves the limit), unknown (no traffic figure). Counts of a wave's steps add up. Rule: every
figure is on the cautious side: caps per principal are taken off, a cohort reaches at most its own share. Fail mode:
undecidable or unknown refuses the start unless the plan says `hold`; a figure that is no figure raises UsageError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pilotage.analysis.limits import go_alpha
from pilotage.analysis.power import (
    bound_if_clean,
    chance_of_go,
    chance_of_trip,
    clean_requests,
    fixed_requests,
    most_failures,
)
from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.workspace.plan import Limits, Plan, Step, Undecidable, Wave

ENOUGH_CHANCE = 0.80
CAUGHT = (0.02, 0.05, 0.20)
_DAY_S = 86_400
_LEAST_HISTORY = 7


class Decidability(StrEnum):
    """How likely a step is to reach GO on one criterion."""

    DECIDABLE = "decidable"
    UNLIKELY = "unlikely"
    UNDECIDABLE = "undecidable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """True failure shares of a good release, for the chance of GO; a share over half its limit is taken as half."""

    error: float = 0.0002
    slow: float = 0.02
    ungrounded: float = 0.005
    policy: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is known of a space. `cohort_share`: by step name, the cohort's share of requests; absent: 1.

    `principals`: distinct askers a day, for the caps; None: the caps are taken as not binding.
    """

    per_day: float | None = None
    principals: int | None = None
    cohort_share: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        shares = self.cohort_share or {}
        figures = {"requests per day": self.per_day, **{f"cohort share of {step}": shares[step] for step in shares}}
        for name, value in figures.items():
            if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise UsageError("BAD_FIGURE", f"{name} is {value!r}.", hint="Give a number of at least 0.")
        if self.principals is not None and self.principals < 0:
            raise UsageError("BAD_FIGURE", f"principals is {self.principals!r}.", hint="Give a number of at least 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One GO criterion of a step. `most_failures` is b(n); `bound`: the tightest share a clean record proves."""

    name: str
    limit: float
    assumed: float
    clean_needed: int
    fixed_needed: int
    most_failures: int | None = None
    chance: float | None = None
    bound: float | None = None
    decidability: Decidability = Decidability.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """The chance that a trip catches a release with this true failure share within the step."""

    name: str
    true_share: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """One step: `requests` counts the candidate's requests until its bake is over, earlier steps included."""

    space: SpaceName
    step: str
    share: float
    per_day: float | None
    bake_days: float
    requests: int | None
    criteria: tuple[Criterion, ...]
    catches: tuple[Catch, ...]
    no_control: bool = False

    @property
    def worst(self) -> Criterion:
        """Return the criterion that is hardest to prove."""
        order = list(Decidability)
        return max(self.criteria, key=lambda one: (order.index(one.decidability), one.clean_needed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The forecast of every step, and what it means for the start."""

    plan: str
    undecidable: Undecidable
    attempt: int
    steps: tuple[StepForecast, ...]

    def refusals(self) -> tuple[Reason, ...]:
        """Return why the rollout may not start; nothing when the plan says `hold` or everything may be proven."""
        if self.undecidable is Undecidable.HOLD:
            return ()
        return tuple(
            _reason(step, criterion)
            for step in self.steps
            for criterion in step.criteria
            if criterion.decidability in {Decidability.UNDECIDABLE, Decidability.UNKNOWN}
        )

    def doubts(self) -> tuple[Reason, ...]:
        """Return the criteria that are unlikely to be proven: the start asks for a confirmation (`--yes`)."""
        return tuple(
            _reason(step, criterion)
            for step in self.steps
            for criterion in step.criteria
            if criterion.decidability is Decidability.UNLIKELY
        )


def daily_figure(history: Sequence[int], expected: float | None) -> float | None:
    """Return requests per day: the 10th percentile (nearest rank) of the last 14 days, else the expected figure.

    Fewer than seven days of history are no figure; None means nobody knows.
    """
    days = sorted(history[-14:])
    if any(count < 0 for count in days):
        raise UsageError("BAD_FIGURE", "A day has a negative number of requests.", hint="Count the requests anew.")
    if len(days) < _LEAST_HISTORY:
        return expected
    return float(days[math.ceil(0.10 * len(days)) - 1])


def preflight(
    plan: Plan, traffic: Mapping[SpaceName, Traffic], *, attempt: int = 1, assumed: Assumed | None = None
) -> Preflight:
    """Return what each step of a plan can prove and catch. A space without an entry has no traffic figure."""
    found: list[StepForecast] = []
    for wave in plan.waves:
        known = traffic.get(wave.space, Traffic())
        found += _wave(plan, wave, known, go_alpha(plan.alpha.go, attempt), assumed or Assumed())
    return Preflight(plan=plan.name, undecidable=plan.undecidable, attempt=attempt, steps=tuple(found))


def _wave(plan: Plan, wave: Wave, known: Traffic, alpha: float, assumed: Assumed) -> list[StepForecast]:
    found: list[StepForecast] = []
    total, proving = 0, 0
    for step in wave.steps:
        reach = (known.cohort_share or {}).get(step.name, 1.0)
        share = min(step.weight, reach)
        days = step.bake_s / _DAY_S
        if known.per_day is not None:
            new = math.floor(known.per_day * share * days + 1e-6)
            total += new
            proving += min(new, _capped(plan, known, share, days, new))
        requests = None if known.per_day is None else total
        found.append(
            StepForecast(
                space=wave.space,
                step=step.name,
                share=share,
                per_day=known.per_day,
                bake_days=days,
                requests=requests,
                criteria=_criteria(step.limits, None if requests is None else proving, alpha, assumed),
                catches=() if requests is None else _catches(plan, step, requests),
                no_control=reach <= step.weight < 1.0,
            )
        )
    return found


def _capped(plan: Plan, known: Traffic, share: float, days: float, requests: int) -> int:
    """Return the most successes that count for GO: `successes_per_principal` for each asker of the arm and day."""
    if known.principals is None:
        return requests
    return math.floor(known.principals * share) * plan.successes_per_principal * math.ceil(days)


def _criteria(limits: Limits, n: int | None, alpha: float, assumed: Assumed) -> tuple[Criterion, ...]:
    wanted = (
        ("error", limits.error_go, assumed.error),
        ("p95", round(1.0 - limits.latency_quantile, 9), assumed.slow),
        ("ungrounded", limits.ungrounded_go, assumed.ungrounded),
        ("policy", limits.policy_go, assumed.policy),
    )
    return tuple(_criterion(name, limit, n, alpha, min(share, limit / 2)) for name, limit, share in wanted)


def _criterion(name: str, limit: float, n: int | None, alpha: float, assumed: float) -> Criterion:
    clean, fixed = clean_requests(limit, alpha), fixed_requests(limit, alpha)
    if n is None:
        return Criterion(name=name, limit=limit, assumed=assumed, clean_needed=clean, fixed_needed=fixed)
    most = most_failures(n, limit, alpha)
    chance = chance_of_go(n, limit, alpha, true_share=assumed)
    state = Decidability.DECIDABLE if chance >= ENOUGH_CHANCE else Decidability.UNLIKELY
    return Criterion(
        name=name,
        limit=limit,
        assumed=assumed,
        clean_needed=clean,
        fixed_needed=fixed,
        most_failures=most,
        chance=chance,
        bound=bound_if_clean(n, alpha),
        decidability=Decidability.UNDECIDABLE if most < 0 else state,
    )


def _catches(plan: Plan, step: Step, requests: int) -> tuple[Catch, ...]:
    """Return the chances of catching 2, 5 and 20 %, where that is over the trip's limit."""
    alpha = plan.alpha.trip_total * 0.10
    trips = (
        ("error", step.limits.error_trip),
        ("p95", round(1.0 - step.limits.latency_quantile, 9)),
        ("ungrounded", step.limits.ungrounded_trip),
        ("policy", step.limits.policy_trip),
    )
    return tuple(
        Catch(name=name, true_share=share, chance=chance_of_trip(requests, limit, alpha, true_share=share))
        for name, limit in trips
        for share in CAUGHT
        if share > limit
    )


def percent(share: float) -> str:
    """Return a share with three significant digits: `3.33 %`."""
    return f"{100.0 * share:.3g} %"


def _reason(step: StepForecast, criterion: Criterion) -> Reason:
    where = f"{step.space}/{step.step}/{criterion.name}"
    limit = f"< {percent(criterion.limit)}"
    match criterion.decidability:
        case Decidability.UNKNOWN:
            text = (
                f"Nobody knows how many requests {step.space} gets, so {criterion.name} {limit} may never be proven. "
                f"Set expected_requests_per_day; {criterion.clean_needed:,} clean requests are needed."
            )
            return Reason(code="PREFLIGHT_UNKNOWN", text=text, where=where, observed="no figure", limit=limit)
        case Decidability.UNDECIDABLE:
            return Reason(
                code="PREFLIGHT_UNDECIDABLE",
                text=told(step, criterion),
                where=where,
                observed=f"{step.requests:,} requests",
                limit=f"{criterion.clean_needed:,} requests",
            )
        case Decidability.UNLIKELY | Decidability.DECIDABLE:
            chance = percent(criterion.chance or 0.0)
            text = (
                f"Step {step.step} sees about {step.requests:,} requests. A release with {percent(criterion.assumed)} "
                f"failures proves {criterion.name} {limit} in {chance} of such steps."
            )
            code = f"PREFLIGHT_{criterion.decidability.value.upper()}"
            return Reason(code=code, text=text, where=where, observed=chance, limit=percent(ENOUGH_CHANCE))
    assert_never(criterion.decidability)


def told(step: StepForecast, criterion: Criterion) -> str:
    """Return what a step proves at best, what it would need, and what it catches, in plain words."""
    best = "this proves nothing" if criterion.bound is None else f"this proves < {percent(criterion.bound)}"
    daily = (step.per_day or 0.0) * step.share
    days = f" = {criterion.clean_needed / daily:.1f} days at this traffic" if daily > 0 else ""
    text = (
        f"Step {step.step} sees about {step.requests or 0:,} requests. With no failure at all {best}, not < "
        f"{percent(criterion.limit)} ({criterion.clean_needed:,} needed{days})."
    )
    caught = next((one for one in step.catches if one.name == criterion.name and one.true_share == 0.05), None)
    if caught is None:
        return text
    return f"{text} A release with 5 % such failures is caught in {percent(caught.chance)} of such steps."


def as_json(forecast: Preflight) -> dict[str, Json]:
    """Return the forecast for ledger, API and command line; shares as decimal text, so it may stand in an entry."""
    return {
        "plan": forecast.plan,
        "undecidable": forecast.undecidable.value,
        "attempt": forecast.attempt,
        "steps": [_step_json(step) for step in forecast.steps],
    }


def _step_json(step: StepForecast) -> dict[str, Json]:
    return {
        "space": step.space,
        "step": step.step,
        "share": _decimal(step.share),
        "per_day": _decimal(step.per_day),
        "requests": step.requests,
        "no_control": step.no_control,
        "criteria": [
            {
                "name": one.name,
                "limit": _decimal(one.limit),
                "assumed": _decimal(one.assumed),
                "clean_needed": one.clean_needed,
                "fixed_needed": one.fixed_needed,
                "most_failures": one.most_failures,
                "chance": _decimal(one.chance),
                "bound": _decimal(one.bound),
                "decidability": one.decidability.value,
            }
            for one in step.criteria
        ],
        "catches": [
            {"name": one.name, "true_share": _decimal(one.true_share), "chance": _decimal(one.chance)}
            for one in step.catches
        ],
    }


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
