"""Rollout plans and freeze windows as declared (rollouts.md 2). Running them is `rollout/`'s work.

Units: shares in [0, 1], times in seconds. Rule: weights rise to 100 %, GO limits are stricter than trip limits.
Fail mode: the parser refuses a bad plan with every mistake at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.ids import SpaceName
from pilotage.identity.roles import Role


class Approach(StrEnum):
    """Step by step, or one flip after proof from shadow or replay."""

    CANARY = "canary"
    BLUE_GREEN = "blue_green"


class Undecidable(StrEnum):
    """What a plan does when the traffic cannot prove its limits: refuse to start, or hold there."""

    REFUSE = "refuse"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """GO and trip limits. Shares in [0, 1]; latency in milliseconds at `latency_quantile`."""

    error_go: float = 0.001
    error_trip: float = 0.01
    latency_go_ms: float = 2000.0
    latency_trip_ms: float = 5000.0
    latency_quantile: float = 0.95
    ungrounded_go: float = 0.02
    ungrounded_trip: float = 0.05
    policy_go: float = 0.005
    policy_trip: float = 0.01
    ratio: float = 2.0
    feedback_down: float = 0.20
    shed: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Alpha:
    """Error budgets of the sequential tests."""

    go: float = 0.05
    trip_total: float = 0.01
    hold_total: float = 0.10
    srm: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Shadow traffic before or beside the candidate. `max_cost_per_day` is `<amount> <currency>`."""

    enabled: bool = False
    sample: float = 0.25
    duration_s: int = 86_400
    max_cost_per_day: str | None = None
    replay_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One traffic step. `cohort` empty: all. `decide` empty: `auto`. `limits`: the plan's, with the step's changes."""

    name: str
    weight: float
    cohort: tuple[str, ...] = ()
    bake_s: int
    max_s: int | None = None
    decide: tuple[Role, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The steps in one space. `isolated`: own gate, evidence and rollback target; nothing personal leaves."""

    space: SpaceName
    steps: tuple[Step, ...]
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One rollout plan. `plain` is the declared value, which sign-offs bind by its digest."""

    name: str
    approach: Approach = Approach.CANARY
    undecidable: Undecidable = Undecidable.REFUSE
    shadow: Shadow = Shadow()
    waves: tuple[Wave, ...]
    limits: Limits = Limits()
    alpha: Alpha = Alpha()
    failures_per_principal: int = 3
    successes_per_principal: int = 50
    pause_limit_s: int = 72 * 3600
    watch_s: int = 14 * 86_400
    plain: Mapping[str, Json] = field(default_factory=dict)

    @property
    def stated(self) -> timedelta:
        """How long it takes where nothing has to wait: its shadow and every bake."""
        shadow_s = self.shadow.duration_s if self.shadow.enabled else 0
        return timedelta(seconds=shadow_s + sum(step.bake_s for wave in self.waves for step in wave.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The plans of a workflow and the one used unless another is named."""

    default_plan: str
    plans: Mapping[str, Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """No traffic goes up in these spaces between two local times (`YYYY-MM-DDTHH:MM`); `weekly` repeats it."""

    name: str
    spaces: tuple[SpaceName, ...]
    start: str
    end: str
    timezone: str
    weekly: bool = False
    reason: str
