"""From assessments to one metric over a set of cases (evaluation.md 3.2), as scored and as it would be at its worst.

Rule: a case is the mean of its repeats; it counts as unscored when any repeat lacks a number for a harmful reason.
Harmful-unscored cases are left out of `scored` and stand at the worst (or best) end of the range in `imputed`. Fail
mode: an open range cannot be imputed, so such a metric reports no worst and can decide no GO.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pilotage.core.draws import seed_of
from pilotage.evaluation.assessment import Assessment, Measure, MetricResult, Status
from pilotage.evaluation.intervals import Floats, Interval, clopper_pearson, clustered, mean_intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One metric of one arm, case by case.

    `scored`: case id to the mean over repeats. `unscored`: case id to its reason. `failed`: cases where some repeat
    failed. `repeats`: the largest number of repeats of a case.
    """

    measure: Measure
    scored: Mapping[str, float]
    unscored: Mapping[str, str] = field(default_factory=dict)
    harmful: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    repeats: int = 1

    def imputed(self, end: float) -> Mapping[str, float] | None:
        """Return scored cases and harmful ones at `end`; None when there are such cases and the range is open."""
        if not self.harmful:
            return self.scored
        return {**self.scored, **dict.fromkeys(self.harmful, end)} if math.isfinite(end) else None

    @property
    def is_binary(self) -> bool:
        """Tell whether rates and exact tests apply: a binary measure, asked once."""
        return self.measure.is_binary and self.repeats == 1


def sample(measure: Measure, assessments: Iterable[Assessment]) -> Sample:
    """Collect one scorer's assessments of one arm; others are ignored, so the whole arm may be passed."""
    cases: dict[str, list[Assessment]] = {}
    for one in assessments:
        if one.scorer == measure.name:
            cases.setdefault(one.case_id, []).append(_in_range(one, measure))
    scored: dict[str, float] = {}
    unscored: dict[str, str] = {}
    for case in sorted(cases):
        harmful = [one for one in cases[case] if one.is_harmful]
        values = [one.value for one in cases[case] if one.value is not None]
        if harmful or not values:
            unscored[case] = (harmful or cases[case])[0].reason
        else:
            scored[case] = math.fsum(values) / len(values)
    return Sample(
        measure=measure,
        scored=scored,
        unscored=unscored,
        harmful=frozenset(case for case in unscored if any(one.is_harmful for one in cases[case])),
        failed=frozenset(case for case, found in cases.items() if any(one.status is Status.FAIL for one in found)),
        repeats=max((len(found) for found in cases.values()), default=1),
    )


def _in_range(one: Assessment, measure: Measure) -> Assessment:
    if one.value is not None and not measure.low <= one.value <= measure.high:
        return Assessment(
            case_id=one.case_id,
            case_digest=one.case_digest,
            generation_digest=one.generation_digest,
            scorer=one.scorer,
            version=one.version,
            source=one.source,
            status=Status.UNSCORED,
            reason="scorer_error",
            repeat=one.repeat,
        )
    return one


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A mean with its one-sided bounds at alpha and its two-sided interval."""

    mean: float
    one_sided: Interval
    two_sided: Interval
    clusters: int
    deff: float


def bounds(
    values: Mapping[str, float], clusters: Mapping[str, str], measure: Measure, *, is_binary: bool, alpha: float
) -> Bounds | None:
    """Return what the values say about the metric's mean; None without values. A case without cluster is its own."""
    if not values:
        return None
    found, groups = _arrays(values, clusters)
    facts = clustered(found, groups)
    if is_binary:
        hits = float(np.count_nonzero(found == measure.high))
        scale = measure.high - measure.low
        deff = facts.deff if 5 <= hits <= facts.n - 5 else max(1.0, facts.n / facts.clusters)
        one = _scaled(clopper_pearson(hits, facts.n, tail=alpha, deff=deff), measure.low, scale)
        two = _scaled(clopper_pearson(hits, facts.n, tail=0.025, deff=deff), measure.low, scale)
        return Bounds(mean=facts.mean, one_sided=one, two_sided=two, clusters=facts.clusters, deff=deff)
    seed = seed_of(measure.name, *sorted(values))
    span = measure.high - measure.low
    spread = span if math.isfinite(span) else float(np.ptp(found))
    drawn = mean_intervals(found, groups, tails=(alpha, 0.025), seed=seed, span=spread)
    one, two = (_clipped(interval, measure) for interval in drawn)
    return Bounds(mean=facts.mean, one_sided=one, two_sided=two, clusters=facts.clusters, deff=facts.deff)


def _arrays(values: Mapping[str, float], clusters: Mapping[str, str]) -> tuple[Floats, NDArray[np.int64]]:
    cases = sorted(values)
    names = {name: place for place, name in enumerate(sorted({clusters.get(case, case) for case in cases}))}
    found = np.array([values[case] for case in cases], dtype=np.float64)
    return found, np.array([names[clusters.get(case, case)] for case in cases], dtype=np.int64)


def _scaled(interval: Interval, low: float, scale: float) -> Interval:
    return Interval(lower=low + scale * interval.lower, upper=low + scale * interval.upper)


def _clipped(interval: Interval, measure: Measure) -> Interval:
    return Interval(lower=max(measure.low, interval.lower), upper=min(measure.high, interval.upper))


def metric_of(found: Sample, clusters: Mapping[str, str], *, alpha: float = 0.05) -> MetricResult:
    """Return the metric as scored, with its counts of unscored and its worst."""
    known = bounds(found.scored, clusters, found.measure, is_binary=found.is_binary, alpha=alpha)
    worst = found.imputed(found.measure.worst)
    unscored = dict(sorted(Counter(found.unscored.values()).items()))
    worst_mean = math.fsum(worst.values()) / len(worst) if worst else None
    if known is None:
        return MetricResult(name=found.measure.name, value=None, n=0, unscored=unscored, worst=worst_mean)
    return MetricResult(
        name=found.measure.name,
        value=known.mean,
        n=len(found.scored),
        lcb=_finite(known.one_sided.lower),
        ucb=_finite(known.one_sided.upper),
        ci=(known.two_sided.lower, known.two_sided.upper)
        if math.isfinite(known.two_sided.lower) and math.isfinite(known.two_sided.upper)
        else None,
        unscored=unscored,
        worst=worst_mean,
        clusters=known.clusters,
        deff=known.deff,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
