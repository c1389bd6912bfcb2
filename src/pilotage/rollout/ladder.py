"""The limits by which the steps of a space judge, and the names under which sums are kept for each of them.

Every request counts by the latency limits of every step and every e-CUSUM watches each trip limit, so a step's tests
read what its own limits say, whichever step a request came in (rollouts.md 6.6: a changed limit is another test). Rule:
where all steps share a limit, sums have the metric's name, else name and limit; the same records in any batches give
the same sums. Fail mode: a name that is no metric's raises ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pilotage.analysis.counters import Metric
from pilotage.rollout.observation import LatencyLimits, Observation, marks

TRIPPING = (Metric.ERROR, Metric.STALLED, Metric.UNGROUNDED, Metric.POLICY)
_BY_LATENCY = (Metric.SLOW, Metric.STALLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """The limits of a step. `trips`: the share above which a metric trips."""

    latency: LatencyLimits
    trips: Mapping[Metric, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """`now`: the limits of the step a space stands in; `every`: those of all its steps, `now` among them."""

    now: StepLimits
    every: tuple[StepLimits, ...]

    @staticmethod
    def level(limits: StepLimits) -> Ladder:
        """Return the ladder of steps that all have the same limits."""
        return Ladder(now=limits, every=(limits,))

    def sum_name(self, metric: Metric, step: StepLimits | None = None) -> str:
        """Return the name under which requests of a metric are summed for a step (None: the one now)."""
        if metric not in _BY_LATENCY or len({_limit_ms(metric, one) for one in self.every}) == 1:
            return metric.value
        return f"{metric.value}@{_limit_ms(metric, step or self.now)!r}"

    def alarm_name(self, metric: Metric, step: StepLimits | None = None) -> str:
        """Return the name of the e-CUSUM that watches a metric for a step (None: the one now)."""
        name = self.sum_name(metric, step)
        if len({one.trips[metric] for one in self.every}) == 1:
            return name
        return f"{name}>{(step or self.now).trips[metric]!r}"

    def alarms(self) -> Iterator[tuple[str, str, float]]:
        """Yield each e-CUSUM once: its name, the sums it follows, and the share it watches."""
        told = set[str]()
        for metric in TRIPPING:
            for step in self.every:
                name = self.alarm_name(metric, step)
                if name not in told:
                    told.add(name)
                    yield name, self.sum_name(metric, step), step.trips[metric]

    def latency_names(self) -> frozenset[str]:
        """Return the names of sums that mean something else under other latency limits."""
        return frozenset(self.sum_name(metric, step) for metric in _BY_LATENCY for step in self.every)

    def marks(self, seen: Observation) -> dict[str, bool]:
        """Return, under each name the request counts for, whether it failed."""
        found = {metric.value: failed for metric, failed in marks(seen, self.now.latency).items()}
        for metric in _BY_LATENCY:
            if metric.value in found and self.sum_name(metric) != metric.value:
                del found[metric.value]
                found |= {self.sum_name(metric, one): marks(seen, one.latency)[metric] for one in self.every}
        return found


def metric_of(name: str) -> Metric:
    """Return the metric of a sum; raise ValueError for a name that is none."""
    return Metric(name.partition("@")[0])


def _limit_ms(metric: Metric, step: StepLimits) -> float:
    return step.latency.go_ms if metric is Metric.SLOW else step.latency.trip_ms
