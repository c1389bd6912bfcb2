"""Confidence intervals of evaluation (evaluation.md 7.2): exact, score, clustered and bootstrapped.

Rule: every function takes `tail`, the error of each side: 0.025 gives a two-sided 95 % interval, 0.05 a pair of
one-sided 95 % bounds. `deff` (design effect) divides counts, so clustered cases weigh as fewer. Fail mode: no
observation gives the whole range, never a point; impossible counts raise ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilotage.core.draws import index_blocks, indices
from pilotage.core.tails import beta_quantile, bisect, normal_cdf, normal_quantile, t_quantile

Floats = NDArray[np.float64]
BOOTSTRAPS = 10_000
FEW_CLUSTERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Lower and upper bound, both in the unit of what they bound."""

    lower: float
    upper: float

    def union(self, other: Interval) -> Interval:
        """Return the smallest interval that holds both."""
        return Interval(lower=min(self.lower, other.lower), upper=max(self.upper, other.upper))


def _check(x: float, n: float) -> None:
    if not 0 <= x <= n:
        message = f"{x} of {n} is no proportion."
        raise ValueError(message)


def clopper_pearson(x: float, n: float, *, tail: float, deff: float = 1.0) -> Interval:
    """Return the exact interval of a proportion x/n (Clopper and Pearson 1934), counts divided by `deff`."""
    _check(x, n)
    hits, misses = x / deff, (n - x) / deff
    lower = beta_quantile(tail, hits, misses + 1.0) if hits > 0 else 0.0
    upper = beta_quantile(1.0 - tail, hits + 1.0, misses) if misses > 0 else 1.0
    return Interval(lower=lower, upper=upper)


def wilson(x: float, n: float, *, tail: float) -> Interval:
    """Return the score interval of a proportion (Wilson 1927)."""
    _check(x, n)
    if n == 0:
        return Interval(lower=0.0, upper=1.0)
    z = normal_quantile(1.0 - tail)
    p = x / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(lower=centre - half if x > 0 else 0.0, upper=centre + half if x < n else 1.0)


def tango(gains: float, losses: float, n: float, *, tail: float, deff: float = 1.0) -> Interval:
    """Return the score interval of the difference of paired proportions, (gains - losses)/n (Tango 1998)."""
    _check(gains + losses, n)
    if n == 0:
        return Interval(lower=-1.0, upper=1.0)
    g, lost, size = gains / deff, losses / deff, n / deff
    z = normal_quantile(1.0 - tail)
    return Interval(
        lower=bisect(lambda at: _tango_score(at, g, lost, size) - z, -1.0, 1.0),
        upper=bisect(lambda at: _tango_score(at, g, lost, size) + z, -1.0, 1.0),
    )


def _tango_score(at: float, g: float, lost: float, n: float) -> float:
    a = 2.0 * n
    b = -g - lost + (2.0 * n - g + lost) * at
    e = -lost * at * (1.0 - at)
    q = (math.sqrt(max(0.0, b * b - 4.0 * a * e)) - b) / (2.0 * a)
    above = g - lost - n * at
    below = n * (2.0 * q + at * (1.0 - at))
    if below <= 0.0:
        return 0.0 if above == 0.0 else math.copysign(math.inf, above)
    return above / math.sqrt(below)


def newcombe(x1: int, n1: int, x2: int, n2: int, *, tail: float) -> Interval:
    """Return the interval of x1/n1 - x2/n2 of two separate samples (Newcombe 1998, method 10)."""
    one, two = wilson(x1, n1, tail=tail), wilson(x2, n2, tail=tail)
    if n1 == 0 or n2 == 0:
        return Interval(lower=-1.0, upper=1.0)
    p1, p2 = x1 / n1, x2 / n2
    return Interval(
        lower=p1 - p2 - math.hypot(p1 - one.lower, two.upper - p2),
        upper=p1 - p2 + math.hypot(one.upper - p1, p2 - two.lower),
    )


def katz(x1: int, n1: int, x2: int, n2: int, *, tail: float) -> Interval:
    """Return the interval of the ratio (x1/n1)/(x2/n2) on the log scale (Katz et al. 1978); (0, inf) with a zero."""
    _check(x1, n1)
    _check(x2, n2)
    if x1 == 0 or x2 == 0:
        return Interval(lower=0.0, upper=math.inf)
    centre = math.log(x1 / n1) - math.log(x2 / n2)
    half = normal_quantile(1.0 - tail) * math.sqrt(max(0.0, 1 / x1 - 1 / n1 + 1 / x2 - 1 / n2))
    return Interval(lower=math.exp(centre - half), upper=math.exp(centre + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """Mean of clustered values. `se_iid` ignores the clusters; `deff` = max(1, (se/se_iid)^2)."""

    mean: float
    n: int
    clusters: int
    se: float
    se_iid: float

    @property
    def deff(self) -> float:
        """How many times fewer cases there are than it seems; all of one cluster are one, equal ones cannot tell."""
        if self.clusters < 2:
            return float(self.n)
        if not (self.se_iid > 0 and math.isfinite(self.se)):
            return 1.0
        return max(1.0, (self.se / self.se_iid) ** 2)


def clustered(values: Floats, groups: NDArray[np.int64]) -> Clustered:
    """Return mean and clustered standard error of `values`; `groups` numbers each value's cluster from 0.

    One cluster says nothing about its own error: its `se` is infinite. Needs at least one value.
    """
    n, count = values.size, int(groups.max()) + 1
    mean = float(values.mean())
    away = values - mean
    sums = np.bincount(groups, weights=away, minlength=count)
    total = float((sums**2).sum())
    se = math.sqrt(total) / n * math.sqrt(count / (count - 1)) if count > 1 else math.inf
    se_iid = math.sqrt(float((away**2).sum()) / (n - 1) / n) if n > 1 else math.inf
    return Clustered(mean=mean, n=n, clusters=count, se=se, se_iid=se_iid)


def clustered_t(found: Clustered, *, tail: float) -> Interval:
    """Return mean +- t(C - 1) * clustered SE; unbounded with fewer than two clusters."""
    if found.clusters < 2:
        return Interval(lower=-math.inf, upper=math.inf)
    half = t_quantile(1.0 - tail, found.clusters - 1) * found.se
    return Interval(lower=found.mean - half, upper=found.mean + half)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A BCa cluster bootstrap of a mean. `z0` is infinite, and nothing is bounded, when all draws lie on one side."""

    mean: float
    z0: float
    acceleration: float
    draws: Floats

    def bound(self, tail: float) -> Interval | None:
        """Return the bias-corrected and accelerated interval (Efron 1987), or None when z0 is infinite."""
        if not math.isfinite(self.z0):
            return None
        return Interval(lower=self._at(normal_quantile(tail)), upper=self._at(normal_quantile(1.0 - tail)))

    def _at(self, z: float) -> float:
        moved = self.z0 + z
        return float(np.quantile(self.draws, normal_cdf(self.z0 + moved / (1.0 - self.acceleration * moved))))


def bootstrap(values: Floats, groups: NDArray[np.int64], *, seed: int, draws: int = BOOTSTRAPS) -> Bootstrap:
    """Return `draws` means over resampled clusters, with the correction's two constants."""
    count = int(groups.max()) + 1
    sums = np.bincount(groups, weights=values, minlength=count).astype(np.float64)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    means = np.empty(draws)
    even = bool((sizes == sizes[0]).all())
    done = 0
    for picks in index_blocks(seed, rows=draws, size=count):
        totals = sums.take(picks).sum(axis=1)
        # Equal clusters always hold as many cases as the sample; asking the draw would double the work.
        means[done : done + len(picks)] = totals / (sizes.sum() if even else sizes.take(picks).sum(axis=1))
        done += len(picks)
    # Added up exactly as each draw is, so the sample itself compares equal to its own mean.
    mean = float(sums.sum() / sizes.sum())
    below = (int((means < mean).sum()) + 0.5 * int((means == mean).sum())) / draws
    z0 = normal_quantile(below) if 0.0 < below < 1.0 else math.copysign(math.inf, below - 0.5)
    return Bootstrap(mean=mean, z0=z0, acceleration=_acceleration(sums, sizes), draws=means)


def _acceleration(sums: Floats, sizes: Floats) -> float:
    if sums.size < 2:
        return 0.0
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    away = without.mean() - without
    spread = float((away**2).sum())
    return float((away**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0


def mean_interval(values: Floats, groups: NDArray[np.int64], *, tail: float, seed: int, span: float) -> Interval:
    """Return the interval of a mean of clustered fractions at one tail; see `mean_intervals`."""
    return mean_intervals(values, groups, tails=(tail,), seed=seed, span=span)[0]


def mean_intervals(
    values: Floats, groups: NDArray[np.int64], *, tails: Sequence[float], seed: int, span: float
) -> tuple[Interval, ...]:
    """Return the intervals of a mean of clustered fractions, one per tail, from one set of draws.

    BCa; below 50 clusters each bound is the wider one of BCa and clustered t; where the bootstrap has nothing to say
    (equal values, or all draws on one side) mean +- z^2/(C + z^2) of the range, whose width is `span`.
    """
    found = clustered(values, groups)
    drawn = bootstrap(values, groups, seed=seed) if np.ptp(values) > 0 and found.clusters > 1 else None
    return tuple(_mean_interval(found, drawn, tail=tail, span=span) for tail in tails)


def _mean_interval(found: Clustered, drawn: Bootstrap | None, *, tail: float, span: float) -> Interval:
    bound = drawn.bound(tail) if drawn is not None else None
    if bound is None:
        return _ruled(found, tail=tail, span=span)
    return bound.union(clustered_t(found, tail=tail)) if found.clusters < FEW_CLUSTERS else bound


def _ruled(found: Clustered, *, tail: float, span: float) -> Interval:
    z = normal_quantile(1.0 - tail)
    half = span * z * z / (found.clusters + z * z)
    return Interval(lower=found.mean - half, upper=found.mean + half)


def log_ratio_interval(
    new: Floats, old: Floats, groups: NDArray[np.int64], *, statistic: Callable[[Floats], float], seed: int, tail: float
) -> Interval:
    """Return the percentile interval of log(statistic(new)/statistic(old)) over resampled clusters, pairs kept.

    For latency and cost: `statistic` is a mean or a quantile of positive numbers. Unbounded below two clusters.
    """
    count = int(groups.max()) + 1
    if count < 2:
        return Interval(lower=-math.inf, upper=math.inf)
    members = [np.flatnonzero(groups == one) for one in range(count)]
    logs = np.empty(2_000)
    for row, picks in enumerate(indices(seed, rows=logs.size, size=count)):
        chosen = np.concatenate([members[pick] for pick in picks])
        logs[row] = math.log(statistic(new[chosen])) - math.log(statistic(old[chosen]))
    return Interval(lower=float(np.quantile(logs, tail)), upper=float(np.quantile(logs, 1.0 - tail)))
