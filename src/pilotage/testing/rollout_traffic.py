"""Traffic as counts: what many askers would have left in the records, drawn for each stretch of simulated time.

The `events` mode of rollouts.md 12: for tests and benchmarks of the controller, never written to a ledger. Failures are
drawn per arm with a generator seeded by what a test fixes, never by an id, which differs in every run. Nobody asks more
than the caps allow, so go and guard counts are alike. Counts have no order, so no e-CUSUM is kept.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.counters import Count, Counters, FailureArms, Metric, MetricCount, Routed
from pilotage.control.rollout_ports import Observed
from pilotage.core.ids import SpaceName
from pilotage.rollout.assignment import PPM
from pilotage.store.rollouts import StoredRollout, StoredStep, StoredWave, steps_of

_DAY_S = 86_400.0
_RELATIVE = (Metric.ERROR, Metric.SLOW, Metric.REFUSED, Metric.CLIENT_GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How an arm behaves: the share of requests that fail, per metric."""

    error: float = 0.00005
    slow: float = 0.005
    stalled: float = 0.0005
    ungrounded: float = 0.002
    policy: float = 0.0002
    refused: float = 0.03
    client_gone: float = 0.002

    def shares(self) -> Mapping[Metric, float]:
        """Return the shares by metric."""
        return {
            Metric.ERROR: self.error,
            Metric.SLOW: self.slow,
            Metric.STALLED: self.stalled,
            Metric.UNGROUNDED: self.ungrounded,
            Metric.POLICY: self.policy,
            Metric.REFUSED: self.refused,
            Metric.CLIENT_GONE: self.client_gone,
            Metric.SHED: 0.0,
        }


HEALTHY = Behaviour()


@dataclass(slots=True)
class _Sums:
    until: datetime | None = None
    counts: dict[Metric, list[int]] = field(default_factory=dict)
    relative: dict[Metric, dict[int, list[int]]] = field(default_factory=dict)
    requests: int = 0
    routed: dict[int, list[int]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class CountedTraffic:
    """An `Observations` port: `per_day` requests in every space, `candidate` behaving as told from `bad_from` on.

    `exact`: as many fail as are expected, so that two processes which count the same hours agree.
    """

    per_day: Mapping[SpaceName, float]
    principals: int = 20_000
    candidate: Behaviour = HEALTHY
    stable: Behaviour = HEALTHY
    bad: Behaviour | None = None
    bad_from: datetime | None = None
    bad_space: SpaceName | None = None
    seed: int = 7
    exact: bool = False
    _sums: dict[tuple[str, int], _Sums] = field(default_factory=dict)

    def __call__(
        self, connection: Connection, _instance: object, rollout: StoredRollout, wave: StoredWave, now: datetime, /
    ) -> Observed:
        """Draw what happened since the last look, and return the totals."""
        steps = [step for step in steps_of(connection, rollout.id) if step.wave == wave.number]
        if not steps:
            return Observed(counters=Counters())
        sums = self._sums.setdefault((rollout.id, wave.number), _Sums())
        began = steps[-1]
        since = max(sums.until or began.started_at, began.started_at)
        fraction = 0 if rollout.zeroed else began.fraction_ppm
        self._draw(sums, wave, began, fraction, since=since, now=now)
        sums.until = now
        return Observed(
            counters=self._counters(sums, began),
            ledger_to=sums.requests,
            cohort_share=began.cohort_share,
        )

    def _draw(
        self,
        sums: _Sums,
        wave: StoredWave,
        began: StoredStep,
        fraction: int,
        *,
        since: datetime,
        now: datetime,
    ) -> None:
        seconds = max(0.0, (now - since).total_seconds())  # a clock may step back
        total = self.per_day[wave.space] * seconds / _DAY_S
        eligible = total * began.cohort_share
        mine, theirs = round(eligible * fraction / PPM), round(eligible * (PPM - fraction) / PPM)
        dice = random.Random(f"{self.seed} {wave.space} {wave.number} {now.isoformat()}")  # noqa: S311 - a simulation
        sums.requests += mine
        for metric, share in self._behaviour(wave, now).shares().items():
            failed = self._failing(dice, mine, share)
            kept = sums.counts.setdefault(metric, [0, 0])
            kept[0], kept[1] = kept[0] + mine, kept[1] + failed
            if metric in _RELATIVE and fraction:
                arms = sums.relative.setdefault(metric, {}).setdefault(fraction, [0, 0])
                arms[0] += failed
                arms[1] += self._failing(dice, theirs, self.stable.shares()[metric])
        if fraction and began.step not in sums.routed:
            seen = round(self.principals * began.cohort_share)
            sums.routed[began.step] = [seen, self._failing(dice, seen, fraction / PPM)]

    def _failing(self, dice: random.Random, n: int, share: float) -> int:
        return round(n * share) if self.exact else _binomial(dice, n, share)

    def _behaviour(self, wave: StoredWave, now: datetime) -> Behaviour:
        is_here = self.bad_space is None or self.bad_space == wave.space
        if self.bad is None or not is_here or (self.bad_from is not None and now < self.bad_from):
            return self.candidate
        return self.bad

    def _counters(self, sums: _Sums, began: StoredStep) -> Counters:
        metrics = {}
        for metric, (n, x) in sums.counts.items():
            count = Count(n=n, x=x)
            metrics[metric] = MetricCount(go=count, guard=count, failing=min(x, self.principals))
        routed = sums.routed.get(began.step)
        return Counters(
            metrics=metrics,
            principals=min(self.principals, sums.requests),
            relative={
                metric: tuple(
                    FailureArms(fraction_ppm=fraction, candidate=arms[0], stable=arms[1])
                    for fraction, arms in found.items()
                )
                for metric, found in sums.relative.items()
            },
            routed=()
            if routed is None
            else (Routed(fraction_ppm=began.fraction_ppm, principals=routed[0], candidate=routed[1]),),
            admitted=sums.requests,
            recorded=sums.requests,
            answers=sums.requests,
        )


def _binomial(dice: random.Random, n: int, p: float) -> int:
    """Draw how many of n fail; by waiting times, so the cost follows the failures."""
    if n <= 0 or p <= 0:
        return 0
    if p >= 1:
        return n
    if n * min(p, 1 - p) > 5000:  # a normal draw is exact enough for a routing count
        draw = round(dice.gauss(n * p, (n * p * (1 - p)) ** 0.5))
        return min(max(draw, 0), n)
    count, place = 0, 0
    while True:
        place += 1 + int(dice.expovariate(1.0) / -math.log1p(-p))
        if place > n:
            return count
        count += 1
