"""Limits, error budgets and context of a verdict: small frozen records the rollout room maps its plan to.

Units: shares in (0, 1); latencies are already reduced to counts over a limit, so only the tolerated share appears.
Rule: budgets are split here once, so no two tests can spend the same alpha (rollouts.md 6.5). Fail mode: a limit or
alpha outside (0, 1) does not construct.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pilotage.analysis.verdict import Subject
from pilotage.core.reason import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Shares that GO must stay below and guards fire above; `slow` is 1 - quantile; `ratio` is over stable's."""

    error_go: float = 0.001
    error_trip: float = 0.01
    slow: float = 0.05
    ungrounded_go: float = 0.02
    ungrounded_trip: float = 0.05
    policy_go: float = 0.005
    policy_trip: float = 0.01
    feedback_down: float = 0.20
    shed: float = 0.001
    ratio: float = 2.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            top = math.inf if name == "ratio" else 1.0
            if not 0.0 < value < top:
                message = f"Limit {name} is {value!r}; it must lie between 0 and {top:g}."
                raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphas:
    """Error budgets: `go` for each criterion, totals for all trips and all holds, `srm` for the sample ratio."""

    go: float = 0.05
    trip_total: float = 0.01
    hold_total: float = 0.10
    srm: float = 0.001

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if not 0.0 < getattr(self, name) < 1.0:
                message = f"Alpha {name} is {getattr(self, name)!r}; it must lie between 0 and 1."
                raise ValueError(message)

    @property
    def trip(self) -> float:
        """Each of the four trip tests; with four e-CUSUMs they spend `trip_total`."""
        return self.trip_total * 0.10

    @property
    def trip_cusum(self) -> float:
        """Each of the four e-CUSUMs beside the trip tests."""
        return self.trip_total * 0.15

    @property
    def hold(self) -> float:
        """Each of the ten hold guards."""
        return self.hold_total / 10


def go_alpha(alpha: float, attempt: int) -> float:
    """Return the GO level of attempt k of a workflow in a space since its last completed rollout (rollouts.md 6.6).

    The first has `alpha`, the k-th alpha * 6 / (pi^2 k^2): any number of attempts together stay below 1.393 alpha.
    """
    if attempt < 1:
        message = f"Attempt {attempt} does not exist; the first is 1."
        raise ValueError(message)
    return alpha if attempt == 1 else alpha * 6.0 / (math.pi * attempt) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a verdict must know besides counts; everything here is decided by the caller and recorded.

    `latched`: guards that fired earlier and that no person has released. `hard_events`: section 8.1, each a reason.
    `blockers`: reasons the caller found itself (record_lag, clock_error, judge_error, internal_error ...).
    `planned_requests`: candidate requests at the plan's longest durations; beyond them the e-CUSUM limit follows
    `requests_per_year`. `has_control`: both arms are possible now; without it GO is refused unless the plan itself
    sends all traffic (`full_weight`). `incidents`: open SEV1 and SEV2 since the step began that name the candidate or
    its space.
    """

    subject: Subject
    bake_over: bool = False
    gate_holds: bool = False
    has_control: bool = True
    full_weight: bool = False
    feedback_required: bool = False
    attempt: int = 1
    latched: tuple[str, ...] = ()
    hard_events: tuple[Reason, ...] = ()
    incidents: tuple[Reason, ...] = ()
    blockers: tuple[Reason, ...] = ()
    planned_requests: int = 0
    requests_per_year: float = 0.0
