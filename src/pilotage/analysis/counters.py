"""What was observed of a candidate, as sums: the only input of a verdict besides limits and context (rollouts.md 5).

Rule: counters are sums over interaction records, so the same records in any order and any batching give the same
counters. Two counts per metric, because caps per principal only ever weaken a conclusion: `go` drops successes of busy
principals, `guard` counts failures beyond the cap as successes. Fail mode: an impossible count (negative, more failures
than requests) does not construct.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MOST = 10**9
"""Largest count a test accepts."""


class Metric(StrEnum):
    """What is counted of one request. Each has its own denominator (rollouts.md 5.1)."""

    ERROR = "error"
    SLOW = "slow"
    """Over the GO latency limit."""
    STALLED = "stalled"
    """Over the trip latency limit."""
    UNGROUNDED = "ungrounded"
    POLICY = "policy"
    FEEDBACK = "feedback"
    """`down` among the rated answers."""
    SHED = "shed"
    REFUSED = "refused"
    CLIENT_GONE = "client_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`x` failures in `n` requests (or principals, or pairs)."""

    n: int = 0
    x: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.x <= self.n <= MOST:
            message = f"{self.x} failures in {self.n} is no count: 0 <= x <= n <= {MOST:,} must hold."
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCount:
    """One metric of the candidate. `failing`: distinct principals with a failure.

    `cusum` is the e-CUSUM's highest value in its present phase, None where none is kept; `is_past_plan` tells whether
    that phase lies beyond the requests the plan reckoned with.
    """

    go: Count = Count()
    guard: Count = Count()
    failing: int = 0
    cusum: float | None = None
    is_past_plan: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureArms:
    """Eligible principals by the arm of their first failure, while `fraction_ppm` was in force (rollouts.md 6.3)."""

    fraction_ppm: int
    candidate: int = 0
    stable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Eligible principals routed in the step and how many met the candidate, under one fraction (sample ratio)."""

    fraction_ppm: int
    principals: int = 0
    candidate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Everything counted for one release in one space. A missing metric was never observed: no data, never a pass."""

    metrics: Mapping[Metric, MetricCount] = field(default_factory=dict)
    principals: int = 0
    """Distinct principals seen on the candidate."""
    relative: Mapping[Metric, tuple[FailureArms, ...]] = field(default_factory=dict)
    """ERROR, SLOW, REFUSED, CLIENT_GONE: one row per fraction that was in force."""
    routed: tuple[Routed, ...] = ()
    """One row per fraction in force during the current step."""
    admitted: int = 0
    """Requests routed to the candidate."""
    recorded: int = 0
    """Requests with a usable interaction record."""
    answers: int = 0
    """Answers that should carry a grounding score."""
    unscored: int = 0
    """Answers whose scorer failed."""

    def metric(self, metric: Metric) -> MetricCount:
        """Return the counts of a metric; zeros when it was never observed."""
        return self.metrics.get(metric, MetricCount())


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounters:
    """Shadow or replay pairs. Both arms failing is a tie; a candidate failure where stable succeeded is `worse`."""

    worse: int = 0
    better: int = 0
    ties: int = 0
    lost: int = 0
    """Pairs that were sampled and never completed."""
    swapped_checked: int = 0
    """Pairs scored twice with A and B exchanged."""
    swapped_changed: int = 0

    @property
    def discordant(self) -> Count:
        """Pairs with a winner; failures are those the candidate lost."""
        return Count(n=self.worse + self.better, x=self.worse)

    @property
    def every(self) -> Count:
        """All completed pairs; failures are those the candidate lost."""
        return Count(n=self.worse + self.better + self.ties, x=self.worse)
