"""A candidate against its baseline on the same cases: paired differences, their bounds, and what got worse (7.1-7.3).

Rule: differences are oriented so that higher is better. What may let a release in is computed with the candidate's
harmful-unscored cases at their worst and the baseline's at their best; what may keep it out, on scored cases only.
Fail mode: no baseline, under 90 % of pairs, or a missing must_pass pair leaves every comparison inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pilotage.core.canonical import Json
from pilotage.core.draws import seed_of
from pilotage.core.multiple import benjamini_hochberg
from pilotage.core.reason import Reason
from pilotage.evaluation.aggregate import Sample, sample
from pilotage.evaluation.assessment import Assessment, Direction, Measure
from pilotage.evaluation.intervals import Interval, log_ratio_interval
from pilotage.evaluation.paired import (
    Pair,
    Pairs,
    difference_interval,
    difference_intervals,
    mcnemar,
    pair_up,
    sign_flip,
)
from pilotage.workspace.golden import GoldenCase

PAIRS_NEEDED = 0.90
SLICE_CASES = 10
SLICE_FDR = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What was found for one release: every assessment of every case, scorer and repeat."""

    release: str
    assessments: Sequence[Assessment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What both arms share. `cases` are those that gate, by id; `golden` the golden digest; margins per metric."""

    golden: str
    cases: Mapping[str, GoldenCase]
    measures: Mapping[str, Measure]
    margins: Mapping[str, float] = field(default_factory=dict)
    primary: str = "answer_accuracy"
    alpha: float = 0.05

    @property
    def clusters(self) -> Mapping[str, str]:
        """The cluster of each case."""
        return {case.id: case.cluster for case in self.cases.values()}

    def of_arm(self, arm: Arm, metric: str) -> Sample:
        """Return one metric of an arm over the cases that gate."""
        known = (one for one in arm.assessments if one.case_id in self.cases)
        return sample(self.measures[metric], known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric, new minus old, higher better whatever the metric's direction; for open ranges -log(new/old).

    `lower` and `upper` are one-sided bounds on scored pairs, `ci` the two-sided 95 % interval, `lower_worst` the lower
    bound with missing numbers imputed against the candidate (None: cannot be imputed). `p` is the one-sided p of a
    regression, `p_holm` adjusted over the compared metrics.
    """

    metric: str
    old: float | None
    new: float | None
    value: float | None
    lower: float
    upper: float
    ci: Interval
    lower_worst: float | None
    n: int
    clusters: int
    deff: float
    pairs_share: float
    gains: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    p: float = 1.0
    p_holm: float = 1.0
    margin: float | None = None
    is_relative: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return the row of the comparison table."""
        return {
            "metric": self.metric,
            "old": self.old,
            "new": self.new,
            "difference": self.value,
            "lower": _finite(self.lower),
            "upper": _finite(self.upper),
            "ci": [_finite(self.ci.lower), _finite(self.ci.upper)],
            "lower_worst": None if self.lower_worst is None else _finite(self.lower_worst),
            "n": self.n,
            "clusters": self.clusters,
            "deff": self.deff,
            "pairs_share": self.pairs_share,
            "gains": list(self.gains),
            "losses": list(self.losses),
            "p": self.p,
            "p_holm": self.p_holm,
            "margin": self.margin,
            "relative": self.is_relative,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDifference:
    """The primary metric within one tag of at least 10 pairs. `q` is p adjusted for the number of slices."""

    tag: str
    n: int
    value: float
    p: float
    q: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The whole comparison. `missing_must_pass` lists must_pass cases without a pair in the primary metric."""

    candidate: str
    baseline: str
    differences: Mapping[str, Difference]
    slices: tuple[SliceDifference, ...] = ()
    missing_must_pass: tuple[str, ...] = ()
    regressions: tuple[Reason, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return everything, for the report."""
        return {
            "candidate": self.candidate,
            "baseline": self.baseline,
            "differences": [found.as_json() for found in self.differences.values()],
            "slices": [{"tag": one.tag, "n": one.n, "value": one.value, "p": one.p, "q": one.q} for one in self.slices],
            "missing_must_pass": list(self.missing_must_pass),
            "regressions": [dict(reason.as_json()) for reason in self.regressions],
        }


def compare(candidate: Arm, baseline: Arm, settings: Settings) -> Comparison:
    """Return the paired comparison of two releases over every measure of the settings; see `family` for its p."""
    found = {name: _difference(candidate, baseline, settings, name) for name in sorted(settings.measures)}
    slices = _slices(candidate, baseline, settings)
    return Comparison(
        candidate=candidate.release,
        baseline=baseline.release,
        differences=found,
        slices=slices,
        missing_must_pass=_missing(candidate, baseline, settings),
        regressions=(
            *_lost_must_pass(candidate, baseline, settings),
            *_worse_slices(slices, settings.primary),
        ),
    )


def _pairs(
    old: Mapping[str, float], new: Mapping[str, float], settings: Settings, sides: tuple[Sample, Sample]
) -> Pairs:
    measure = sides[0].measure
    sign = 1.0 if measure.direction is Direction.HIGHER else -1.0
    clusters = settings.clusters
    return pair_up(
        (
            Pair(case_id=case, cluster=clusters[case], old=sign * old[case], new=sign * new[case])
            for case in old.keys() & new.keys()
        ),
        is_binary=all(side.is_binary for side in sides),
    )


def _difference(candidate: Arm, baseline: Arm, settings: Settings, metric: str) -> Difference:
    new, old = settings.of_arm(candidate, metric), settings.of_arm(baseline, metric)
    measure = new.measure
    asked = len(_asked(new) | _asked(old)) - len(_benign(new) | _benign(old))
    pairs = _pairs(old.scored, new.scored, settings, (old, new))
    seed = seed_of(candidate.release, baseline.release, settings.golden, metric)
    shared = {"asked": max(asked, pairs.n), "seed": seed}
    if math.isinf(measure.high):
        return _relative(new, old, pairs, settings, **shared)
    span = measure.high - measure.low
    (one, two), deff = difference_intervals(pairs, tails=(settings.alpha, 0.025), seed=seed, span=span)
    test = (
        mcnemar(len(pairs.gains), len(pairs.losses)) if _is_mcnemar(pairs) else sign_flip(pairs.cluster_sums, seed=seed)
    )
    return Difference(
        metric=metric,
        old=_mean(old.scored, pairs),
        new=_mean(new.scored, pairs),
        value=float(pairs.d.mean()) if pairs.n else None,
        lower=one.lower,
        upper=one.upper,
        ci=two,
        lower_worst=_lower_worst(new, old, settings, seed=seed, known=one.lower),
        n=pairs.n,
        clusters=pairs.clusters,
        deff=deff,
        pairs_share=pairs.n / shared["asked"] if shared["asked"] else 0.0,
        gains=pairs.gains,
        losses=pairs.losses,
        p=test.p_worse,
        p_holm=test.p_worse,
        margin=settings.margins.get(metric),
    )


def _asked(side: Sample) -> set[str]:
    """Return the cases that are the metric's, whatever came of them; a case an arm never answered is the other's."""
    return {*side.scored, *side.unscored}


def _benign(side: Sample) -> set[str]:
    return side.unscored.keys() - side.harmful


def _is_mcnemar(pairs: Pairs) -> bool:
    return pairs.is_binary and pairs.clusters == pairs.n


def _lower_worst(new: Sample, old: Sample, settings: Settings, *, seed: int, known: float) -> float | None:
    """Return the lower bound with missing numbers against the candidate, never above the one on scored pairs."""
    if not new.harmful and not old.harmful:
        return known
    worst, best = new.imputed(new.measure.worst), old.imputed(old.measure.best)
    if worst is None or best is None:
        return None
    pairs = _pairs(best, worst, settings, (old, new))
    span = new.measure.high - new.measure.low
    return min(known, difference_interval(pairs, tail=settings.alpha, seed=seed, span=span)[0].lower)


def _relative(new: Sample, old: Sample, pairs: Pairs, settings: Settings, *, asked: int, seed: int) -> Difference:
    """Compare latency or cost: -log(new mean/old mean), so 0.05 is about 5 % cheaper."""
    olds = np.array([old.scored[case] for case in pairs.case_ids], dtype=np.float64)
    news = np.array([new.scored[case] for case in pairs.case_ids], dtype=np.float64)
    known = pairs.n > 0 and float(olds.min()) > 0.0 and float(news.min()) > 0.0
    whole = Interval(lower=-math.inf, upper=math.inf)
    one, two = whole, whole
    if known:
        one, two = (
            log_ratio_interval(
                olds, news, pairs.groups, statistic=lambda found: float(found.mean()), seed=seed, tail=tail
            )
            for tail in (settings.alpha, 0.025)
        )
    margin = settings.margins.get(new.measure.name)
    p = sign_flip(pairs.cluster_sums, seed=seed).p_worse if known else 1.0
    return Difference(
        metric=new.measure.name,
        old=_mean(old.scored, pairs),
        new=_mean(new.scored, pairs),
        value=math.log(float(olds.mean()) / float(news.mean())) if known else None,
        lower=one.lower,
        upper=one.upper,
        ci=two,
        lower_worst=None if new.harmful or old.harmful else one.lower,
        n=pairs.n,
        clusters=pairs.clusters,
        deff=1.0,
        pairs_share=pairs.n / asked if asked else 0.0,
        p=p,
        p_holm=p,
        margin=None if margin is None else math.log1p(margin),
        is_relative=True,
    )


def _mean(values: Mapping[str, float], pairs: Pairs) -> float | None:
    return math.fsum(values[case] for case in pairs.case_ids) / pairs.n if pairs.n else None


def _missing(candidate: Arm, baseline: Arm, settings: Settings) -> tuple[str, ...]:
    if settings.primary not in settings.measures:
        return ()
    new, old = settings.of_arm(candidate, settings.primary), settings.of_arm(baseline, settings.primary)
    asked = new.scored.keys() | new.unscored.keys() | old.scored.keys() | old.unscored.keys()
    paired = new.scored.keys() & old.scored.keys()
    return tuple(case for case in sorted(asked - paired) if settings.cases[case].must_pass)


def _lost_must_pass(candidate: Arm, baseline: Arm, settings: Settings) -> list[Reason]:
    lost: list[Reason] = []
    for name in sorted(settings.measures):
        new, old = settings.of_arm(candidate, name), settings.of_arm(baseline, name)
        lost.extend(
            Reason(
                code="MUST_PASS_LOST",
                text=f"Case {case} passed {name} before and fails it now.",
                where=case,
                observed=f"{new.scored[case]:g}",
                limit=f"{old.scored[case]:g}",
            )
            for case in sorted((new.failed & new.scored.keys() & old.scored.keys()) - old.failed)
            if settings.cases[case].must_pass
        )
    return lost


def worse_metrics(
    found: Mapping[str, Difference], gating: Sequence[str], alpha: float, margins: Mapping[str, float | None]
) -> list[Reason]:
    """Return a reason for each of these metrics that is worse, by its adjusted p; a loss inside its margin is none."""
    return [
        Reason(
            code="METRIC_WORSE",
            text=f"{name} is worse by {-(one.value or 0.0):.4f} over {one.n} pairs (p {one.p_holm:.4g} after Holm).",
            where=name,
            observed=f"{one.value or 0.0:+.4f}",
            limit=f"p >= {alpha:g}",
        )
        for name in gating
        for one in (found[name],)
        if one.p_holm < alpha and not _is_within(one, margins.get(name))
    ]


def _is_within(found: Difference, margin: float | None) -> bool:
    """Tell whether the scored pairs show the loss to lie inside the margin (evaluation.md 7.3)."""
    return margin is not None and found.lower > -(math.log1p(margin) if found.is_relative else margin)


def _slices(candidate: Arm, baseline: Arm, settings: Settings) -> tuple[SliceDifference, ...]:
    if settings.primary not in settings.measures:
        return ()
    new, old = settings.of_arm(candidate, settings.primary), settings.of_arm(baseline, settings.primary)
    tags = sorted({tag for case in settings.cases.values() for tag in case.tags})
    found: list[SliceDifference] = []
    for tag in tags:
        inside = {case.id for case in settings.cases.values() if tag in case.tags}
        pairs = _pairs(_only(old.scored, inside), _only(new.scored, inside), settings, (old, new))
        if pairs.n >= SLICE_CASES:
            seed = seed_of(candidate.release, baseline.release, settings.golden, settings.primary, tag)
            p = sign_flip(pairs.cluster_sums, seed=seed).p_worse
            found.append(SliceDifference(tag=tag, n=pairs.n, value=float(pairs.d.mean()), p=p, q=p))
    adjusted = benjamini_hochberg([one.p for one in found])
    return tuple(replace(one, q=q) for one, q in zip(found, adjusted, strict=True))


def _only(values: Mapping[str, float], cases: set[str]) -> dict[str, float]:
    return {case: value for case, value in values.items() if case in cases}


def _worse_slices(slices: Sequence[SliceDifference], primary: str) -> list[Reason]:
    return [
        Reason(
            code="SLICE_WORSE",
            text=f"{primary} is worse by {-one.value:.4f} over the {one.n} pairs of {one.tag} (q {one.q:.4g}).",
            where=one.tag,
            observed=f"{one.value:+.4f}",
            limit=f"q >= {SLICE_FDR:g}",
        )
        for one in slices
        if one.q < SLICE_FDR
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
