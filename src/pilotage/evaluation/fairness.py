"""Fairness over counterfactual families (evaluation.md 5): flips, selection rates, gaps, and a policy of ranges.

Rule: a family asks the same question once per group; a favourable outcome that differs is a flip. GO when the 95 %
interval lies inside the range, NO-GO when wholly outside or a must_pass family flips. Fail mode: fewer than 100
families or 30 observations in a group, or more than 2 % unscored, is INCONCLUSIVE; `unknown` is shown, never merged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from pilotage.core.canonical import Json
from pilotage.core.draws import index_blocks, seed_of
from pilotage.core.reason import Reason
from pilotage.core.tails import normal_quantile
from pilotage.evaluation.criteria import Verdict, worst_verdict
from pilotage.evaluation.intervals import BOOTSTRAPS, Floats, Interval, katz, mean_interval, newcombe, wilson

TAIL = 0.025
UNKNOWN = "unknown"
MIN_FAMILIES = 100
MIN_GROUP = 30
UNSCORED_ALLOWED = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One member of a family. `favourable` None: no outcome could be read. `values`: figures whose gap is shown.

    `is_answerable`: whether an answer is expected, None where the case does not say; `is_answered`: whether one was
    given.
    """

    family: str
    group: str
    favourable: bool | None
    must_pass: bool = False
    is_answerable: bool | None = None
    is_answered: bool | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The acceptable range of one attribute; the defaults are those of evaluation.md 5."""

    flip_rate: float = 0.02
    impact_ratio: float = 0.80
    difference: float = 0.10
    odds: float = 0.10
    bias: float = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its two-sided 95 % interval."""

    value: float
    interval: Interval

    def as_json(self) -> dict[str, Json]:
        """Return value and interval; an infinite end is null."""
        ends = [end if math.isfinite(end) else None for end in (self.interval.lower, self.interval.upper)]
        return {"value": self.value, "interval": list(ends)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """What was found for one attribute. `gap`, `ratio` and their ends are the worst over all pairs of groups.

    `odds` is its equalized odds difference, None where no case says whether it can be answered.
    """

    attribute: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    rates: Mapping[str, tuple[int, int]]
    families: int
    flipped: tuple[str, ...]
    scored: int
    unscored: int
    flip_rate: Estimate | None = None
    gap: Estimate | None = None
    ratio: Estimate | None = None
    odds: Estimate | None = None
    gaps: Mapping[str, float] = field(default_factory=dict)

    def claims(self) -> dict[str, float]:
        """Return the claims a gate reads; what could not be estimated is absent, so a criterion on it cannot pass."""
        known = {group: counts for group, counts in self.rates.items() if group != UNKNOWN}
        found: dict[str, float] = {
            "groups": len(known),
            "min_group_n": min((n for _, n in known.values()), default=0),
            "scored": self.scored,
            "unscored": self.unscored,
            "flips": len(self.flipped),
        }
        gaps = [one for one in (self.gap, self.odds) if one is not None]
        gap = None if self.gap is None else _extreme(gaps, max)
        for name, one in (("worst_gap", gap), ("worst_ratio", self.ratio)):
            if one is not None:
                bounds = {"": one.value, "_lcb": one.interval.lower, "_ucb": one.interval.upper}
                found |= {f"{name}{end}": value for end, value in bounds.items() if math.isfinite(value)}
        return found

    def as_json(self) -> dict[str, Json]:
        """Return everything, verdict and reasons first."""
        figures = {"flip_rate": self.flip_rate, "gap": self.gap, "ratio": self.ratio, "odds": self.odds}
        return {
            "attribute": self.attribute,
            "verdict": self.verdict.value,
            "reasons": [dict(reason.as_json()) for reason in self.reasons],
            "rates": {group: {"favourable": x, "n": n} for group, (x, n) in self.rates.items()},
            "families": self.families,
            "flipped": list(self.flipped),
            "scored": self.scored,
            "unscored": self.unscored,
            "gaps": dict(self.gaps),
            **{name: None if one is None else one.as_json() for name, one in figures.items()},
        }


def assess(attribute: str, observations: Sequence[Observation], policy: Policy) -> Fairness:
    """Return the verdict and figures of one attribute over its families."""
    scored = [one for one in observations if one.favourable is not None]
    families = _families(scored)
    flipped = tuple(sorted(name for name, found in families.items() if len(set(found.values())) > 1))
    rates = _rates(scored)
    flips = _flips(len(flipped), len(families))
    gap, ratio = _worst_pair(attribute, families)
    odds = _odds(attribute, observations)
    is_known = any(one.is_answerable is not None for one in observations)
    strict = {one.family for one in observations if one.must_pass}
    checks = [
        *_enough(rates, len(families), unscored=len(observations) - len(scored), total=len(observations)),
        _at_most("flip_rate", flips, policy.flip_rate),
        _at_most("difference", gap, policy.difference),
        _at_least("impact_ratio", ratio, policy.impact_ratio),
        *([_at_most("equalized_odds", odds, policy.odds)] if is_known else ()),
        _strict(sorted(strict.intersection(flipped))),
    ]
    return Fairness(
        attribute=attribute,
        verdict=worst_verdict(*(verdict for verdict, _ in checks)),
        reasons=tuple(reason for verdict, reason in checks if verdict is not Verdict.GO),
        rates=rates,
        families=len(families),
        flipped=flipped,
        scored=len(scored),
        unscored=len(observations) - len(scored),
        flip_rate=flips,
        gap=gap,
        ratio=ratio,
        odds=odds,
        gaps=_gaps(scored),
    )


def _families(scored: Iterable[Observation]) -> dict[str, dict[str, bool]]:
    """Return family -> group -> favourable, of families with at least two groups; a group is all of its members."""
    found: dict[str, dict[str, bool]] = {}
    for one in scored:
        if one.group != UNKNOWN and one.favourable is not None:
            members = found.setdefault(one.family, {})
            members[one.group] = members.get(one.group, True) and one.favourable
    return {name: members for name, members in sorted(found.items()) if len(members) > 1}


def _rates(scored: Iterable[Observation]) -> dict[str, tuple[int, int]]:
    rates: dict[str, tuple[int, int]] = {}
    for one in sorted(scored, key=lambda one: one.group):
        hits, n = rates.get(one.group, (0, 0))
        rates[one.group] = (hits + bool(one.favourable), n + 1)
    return rates


def _flips(flips: int, families: int) -> Estimate | None:
    return Estimate(value=flips / families, interval=wilson(flips, families, tail=TAIL)) if families else None


def _gaps(scored: Iterable[Observation]) -> dict[str, float]:
    """Return, by figure, the mean over families of its largest minus its smallest value."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in scored:
        for name, value in one.values.items():
            found.setdefault(name, {}).setdefault(one.family, []).append(value)
    return {
        name: math.fsum(max(values) - min(values) for values in families.values()) / len(families)
        for name, families in sorted(found.items())
    }


def _worst_pair(attribute: str, families: Mapping[str, Mapping[str, bool]]) -> tuple[Estimate | None, Estimate | None]:
    """Return the worst gap and the worst ratio of all pairs of groups, each over the families holding both.

    The ends are the worst of any pair: all of them must lie inside the range, and one outside is enough.
    """
    gaps: list[Estimate] = []
    ratios: list[Estimate] = []
    groups = sorted({group for members in families.values() for group in members})
    for one, two in combinations(groups, 2):
        both = [(members[one], members[two]) for members in families.values() if one in members and two in members]
        if both:
            first, second = np.array(both, dtype=np.float64).T
            seed = seed_of("fairness", attribute, one, two)
            gaps.append(_paired_gap(first, second, seed))
            ratios.extend(_paired_ratio(first, second, seed))
    return _extreme(gaps, max), _extreme(ratios, min)


def _extreme(found: Sequence[Estimate], worst: Callable[[Iterable[float]], float]) -> Estimate | None:
    """Return the worst value and the worst of each end; None of nothing."""
    if not found:
        return None
    ends = ([one.interval.lower for one in found], [one.interval.upper for one in found])
    lower, upper = (worst(end) for end in ends)
    return Estimate(value=worst(one.value for one in found), interval=Interval(lower=lower, upper=upper))


def _odds(attribute: str, observations: Iterable[Observation]) -> Estimate | None:
    """Return the larger of the ranges of true and of false positive rates, a positive being an answer (7.2's pairs)."""
    found: list[Estimate] = []
    for is_answerable in (True, False):
        answered = [
            replace(one, favourable=one.is_answered)
            for one in observations
            if one.is_answerable is is_answerable and one.is_answered is not None
        ]
        worst, _ = _worst_pair(f"{attribute}/{is_answerable}", _families(answered))
        found += [] if worst is None else [worst]
    return _extreme(found, max)


def _paired_gap(first: Floats, second: Floats, seed: int) -> Estimate:
    d = first - second if first.mean() >= second.mean() else second - first
    found = mean_interval(d, np.arange(d.size), tail=TAIL, seed=seed, span=1.0)
    return Estimate(value=float(d.mean()), interval=Interval(lower=max(0.0, found.lower), upper=min(1.0, found.upper)))


def _paired_ratio(first: Floats, second: Floats, seed: int) -> tuple[Estimate, ...]:
    """Return smaller/larger rate with a bootstrap over families; nothing when no group ever has the outcome."""
    small, large = sorted((first, second), key=lambda found: float(found.mean()))
    if large.mean() == 0.0:
        return ()
    value = float(small.mean() / large.mean())
    if np.array_equal(small, large):
        # No family differs, so a bootstrap sees nothing: the rule of 7.2 for equal values, in units of the rate.
        z = normal_quantile(1.0 - TAIL)
        slack = z * z / (small.size + z * z) / float(large.mean())
        return (Estimate(value=1.0, interval=Interval(lower=max(0.0, 1.0 - slack), upper=1.0 + slack)),)
    rates = [
        (small.take(picks).mean(axis=1), large.take(picks).mean(axis=1))
        for picks in index_blocks(seed, rows=BOOTSTRAPS, size=small.size)
    ]
    tops, bottoms = (np.concatenate(parts) for parts in zip(*rates, strict=True))
    ratios = np.divide(tops, bottoms, out=np.full_like(tops, np.inf), where=bottoms > 0)
    lower, upper = np.quantile(ratios, [TAIL, 1.0 - TAIL], method="inverted_cdf")
    return (Estimate(value=value, interval=Interval(lower=float(lower), upper=float(upper))),)


_Check = tuple[Verdict, Reason]


def _enough(rates: Mapping[str, tuple[int, int]], families: int, *, unscored: int, total: int) -> list[_Check]:
    checks: list[_Check] = []
    if families < MIN_FAMILIES:
        text = f"{families} families are too few; {MIN_FAMILIES} are needed."
        checks.append(_unknown("TOO_FEW_FAMILIES", text, observed=str(families), limit=str(MIN_FAMILIES)))
    for group, (_, n) in rates.items():
        if n < MIN_GROUP and group != UNKNOWN:
            text = f"{group} has {n} observations; {MIN_GROUP} are needed."
            checks.append(_unknown("GROUP_TOO_SMALL", text, observed=str(n), limit=str(MIN_GROUP)))
    if unscored > UNSCORED_ALLOWED * total:
        text = f"{unscored} of {total} members have no outcome; at most 2 % may lack one."
        checks.append(_unknown("UNSCORED", text, observed=f"{unscored / total:.1%}", limit="2 %"))
    return checks


def _unknown(code: str, text: str, *, observed: str, limit: str) -> _Check:
    return Verdict.INCONCLUSIVE, Reason(code=code, text=text, observed=observed, limit=limit)


def _at_most(name: str, found: Estimate | None, limit: float) -> _Check:
    if found is None:
        return _unknown("NOT_MEASURED", f"{name} could not be measured.", observed="none", limit=f"<= {limit:g}")
    inside, outside = found.interval.upper <= limit, found.interval.lower > limit
    return _ranged(name, found, f"<= {limit:g}", inside=inside, outside=outside)


def _at_least(name: str, found: Estimate | None, limit: float) -> _Check:
    if found is None:
        return _unknown("NOT_MEASURED", f"{name} could not be measured.", observed="none", limit=f">= {limit:g}")
    inside, outside = found.interval.lower >= limit, found.interval.upper < limit
    return _ranged(name, found, f">= {limit:g}", inside=inside, outside=outside)


def _ranged(name: str, found: Estimate, limit: str, *, inside: bool, outside: bool) -> _Check:
    verdict = Verdict.GO if inside else Verdict.NO_GO if outside else Verdict.INCONCLUSIVE
    place = {Verdict.GO: "inside", Verdict.NO_GO: "outside", Verdict.INCONCLUSIVE: "partly outside"}[verdict]
    text = (
        f"{name} is {found.value:.4f}, 95 % interval {found.interval.lower:.4f} to {found.interval.upper:.4f}, "
        f"{place} the range {limit}."
    )
    return verdict, Reason(code=f"FAIRNESS_{name.upper()}", text=text, observed=f"{found.value:.4f}", limit=limit)


def _strict(flipped: Sequence[str]) -> _Check:
    if not flipped:
        return Verdict.GO, Reason(code="MUST_PASS_FLIP", text="No must-pass family flips.", observed="0", limit="0")
    text = f"{len(flipped)} must-pass families flip: {', '.join(flipped[:5])}."
    reason = Reason(code="MUST_PASS_FLIP", text=text, where=flipped[0], observed=str(len(flipped)), limit="0")
    return Verdict.NO_GO, reason


def demographic_parity(one: tuple[int, int], two: tuple[int, int]) -> Estimate:
    """Return the difference of selection rates of two separate samples (favourable, n), larger minus smaller."""
    (x1, n1), (x2, n2) = sorted((one, two), key=lambda found: found[0] / found[1], reverse=True)
    return Estimate(value=x1 / n1 - x2 / n2, interval=newcombe(x1, n1, x2, n2, tail=TAIL))


def impact_ratio(one: tuple[int, int], two: tuple[int, int]) -> Estimate | None:
    """Return smaller over larger selection rate of two separate samples; None when nobody is selected."""
    (x1, n1), (x2, n2) = sorted((one, two), key=lambda found: found[0] / found[1])
    if x2 == 0:
        return None
    return Estimate(value=(x1 / n1) / (x2 / n2), interval=katz(x1, n1, x2, n2, tail=TAIL))


def equal_opportunity(true_positive: Iterable[float]) -> float:
    """Return the range of true positive rates over groups."""
    rates = list(true_positive)
    return max(rates) - min(rates)


def equalized_odds(true_positive: Iterable[float], false_positive: Iterable[float]) -> float:
    """Return the larger of the ranges of true and of false positive rates over groups."""
    return max(equal_opportunity(true_positive), equal_opportunity(false_positive))


def observations_needed(rate: float, *, ratio: float = 0.80) -> int:
    """Return the observations per group with which equal observed rates show an impact ratio of at least `ratio`."""
    z = normal_quantile(1.0 - TAIL)
    return math.ceil(2.0 * (1.0 - rate) / rate * (z / math.log(ratio)) ** 2)
