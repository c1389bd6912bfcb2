"""One criterion against what was found: GO, NO-GO or INCONCLUSIVE, with its numbers (evaluation.md 3.2, 7.3).

Rule: GO needs the bound to clear on scored data **and** with missing numbers at their worst; NO-GO is computed on
scored data only. So missing data can block, never help, never convict. Fail mode: an unknown metric, no scored case,
too many harmful-unscored or no baseline is INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from pilotage.core.reason import Reason
from pilotage.evaluation.aggregate import Bounds, Sample, bounds
from pilotage.evaluation.comparison import PAIRS_NEEDED, Arm, Comparison, Difference, Settings
from pilotage.evaluation.criteria import Criterion, CriterionResult, DecideOn, Kind, Verdict

HARMFUL_ALLOWED = 0.02
FEW_CLUSTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a criterion may look at. `comparison` None: no baseline; `risk_accepted`: few clusters may be GO."""

    settings: Settings
    candidate: Arm
    comparison: Comparison | None = None
    risk_accepted: bool = False
    samples: dict[str, Sample] = field(default_factory=dict)

    def sample(self, metric: str) -> Sample | None:
        """Return the candidate's sample of a metric, None when nobody measures it."""
        if metric not in self.samples and metric in self.settings.measures:
            self.samples[metric] = self.settings.of_arm(self.candidate, metric)
        return self.samples.get(metric)


def decide(criterion: Criterion, found: Findings) -> CriterionResult:
    """Return the verdict over one criterion."""
    match criterion.kind:
        case Kind.NON_INFERIOR | Kind.SUPERIOR:
            return _comparison(criterion, found)
        case Kind.AT_LEAST | Kind.AT_MOST:
            return _limit(criterion, found)
        case Kind.HARD_ZERO:
            return _hard_zero(criterion, found)
        case Kind.MUST_PASS:
            return _must_pass(criterion, found)
    assert_never(criterion.kind)


def _result(
    criterion: Criterion, verdict: Verdict, code: str, text: str, *, where: str = "", **figures: str
) -> CriterionResult:
    reason = Reason(
        code=code,
        text=text,
        where=where or criterion.metric or None,
        observed=figures.get("observed"),
        limit=figures.get("limit", str(criterion)),
    )
    return CriterionResult(criterion=criterion, verdict=verdict, reason=reason, note=figures.get("note", ""))


def _unknown(criterion: Criterion, code: str, text: str, **figures: str) -> CriterionResult:
    return _result(criterion, Verdict.INCONCLUSIVE, code, text, **figures)


def _gap(criterion: Criterion, sample: Sample | None, *, allowed: float) -> CriterionResult | None:
    """Return why the candidate's data cannot decide GO, or None."""
    if sample is None:
        return _unknown(criterion, "NOT_MEASURED", f"{criterion.metric} was not measured in this run.")
    total = len(sample.scored) + len(sample.harmful)
    if not sample.scored:
        return _unknown(
            criterion, "NO_DATA", f"{criterion.metric} has no scored case.", observed=f"0 of {total} scored"
        )
    if len(sample.harmful) > allowed * total:
        return _unknown(
            criterion,
            "UNSCORED",
            f"{len(sample.harmful)} of {total} cases have no {criterion.metric}; at most {allowed:.0%} may lack it.",
            observed=f"{len(sample.harmful) / total:.2%}",
            limit=f"{allowed:.0%}",
        )
    return None


def _bounds(found: Findings, sample: Sample, *, imputed: bool) -> Bounds | None:
    values = sample.imputed(sample.measure.worst) if imputed else sample.scored
    if values is None:
        return None
    settings = found.settings
    return bounds(values, settings.clusters, sample.measure, is_binary=sample.is_binary, alpha=settings.alpha)


def _limit(criterion: Criterion, found: Findings) -> CriterionResult:
    sample = found.sample(criterion.metric)
    gap = _gap(criterion, sample, allowed=HARMFUL_ALLOWED)
    scored = _bounds(found, sample, imputed=False) if sample is not None else None
    if sample is None or scored is None:
        return gap or _unknown(criterion, "NO_DATA", f"{criterion.metric} has no scored case.")
    sides = (scored, _bounds(found, sample, imputed=True))
    figures = (
        f"{criterion.metric} is {scored.mean:.4f} ({scored.one_sided.lower:.4f} to {scored.one_sided.upper:.4f}) "
        f"over {len(sample.scored)} cases in {scored.clusters} clusters"
    )
    if _misses(criterion, scored):
        return _result(criterion, Verdict.NO_GO, "LIMIT_MISSED", f"{figures}.", observed=f"{scored.mean:.4f}")
    if gap is not None:
        return gap
    if scored.clusters < FEW_CLUSTERS and not found.risk_accepted:
        text = f"{figures}; {FEW_CLUSTERS} clusters are needed to show it."
        return _unknown(criterion, "TOO_FEW_CLUSTERS", text, observed=str(scored.clusters), limit=str(FEW_CLUSTERS))
    if all(side is not None and _clears(criterion, side) for side in sides):
        return _result(criterion, Verdict.GO, "LIMIT_MET", f"{figures}.", observed=f"{scored.mean:.4f}")
    return _unknown(criterion, "LIMIT_UNDECIDED", f"{figures}; that does not decide it.", observed=f"{scored.mean:.4f}")


def _clears(criterion: Criterion, side: Bounds) -> bool:
    point = criterion.decide_on is DecideOn.POINT
    if criterion.kind is Kind.AT_LEAST:
        return (side.mean if point else side.one_sided.lower) >= criterion.limit
    return (side.mean if point else side.one_sided.upper) <= criterion.limit


def _misses(criterion: Criterion, side: Bounds) -> bool:
    point = criterion.decide_on is DecideOn.POINT
    if criterion.kind is Kind.AT_LEAST:
        return (side.mean if point else side.one_sided.upper) < criterion.limit
    return (side.mean if point else side.one_sided.lower) > criterion.limit


def _hard_zero(criterion: Criterion, found: Findings) -> CriterionResult:
    sample = found.sample(criterion.metric)
    if sample is not None and sample.failed:
        first = ", ".join(sorted(sample.failed)[:5])
        text = f"{criterion.metric} failed in {len(sample.failed)} cases: {first}."
        return _result(criterion, Verdict.NO_GO, "HARD_ZERO", text, observed=str(len(sample.failed)))
    gap = _gap(criterion, sample, allowed=0.0)
    if sample is None or gap is not None:
        return gap or _unknown(criterion, "NOT_MEASURED", f"{criterion.metric} was not measured in this run.")
    if len(sample.scored) < criterion.minimum:
        text = f"{criterion.metric} is 0 over {len(sample.scored)} cases; {criterion.minimum} are needed."
        return _unknown(criterion, "TOO_FEW", text, observed=str(len(sample.scored)))
    text = f"{criterion.metric} failed in none of {len(sample.scored)} cases."
    return _result(criterion, Verdict.GO, "HARD_ZERO_MET", text, observed="0")


def _must_pass(criterion: Criterion, found: Findings) -> CriterionResult:
    wanted = {case.id for case in found.settings.cases.values() if case.must_pass}
    # The primary metric says whether the answer is right, a hard zero whether it may ever be given; the rest are rates.
    settings = found.settings
    names = [name for name, one in settings.measures.items() if name == settings.primary or one.hard_zero]
    judged = [sample for name in names if (sample := found.sample(name)) is not None]
    failed = _named(wanted & sample.failed for sample in judged)
    missing = _named(wanted & sample.harmful for sample in judged)
    unasked = sorted(wanted - _union({*s.scored, *s.unscored} for s in judged))
    if failed:
        text = f"{len(failed)} must-pass cases failed: {', '.join(failed[:5])}."
        return _result(criterion, Verdict.NO_GO, "MUST_PASS_FAILED", text, where=failed[0], observed=str(len(failed)))
    if missing or unasked:
        first = [*missing, *unasked]
        text = f"{len(first)} must-pass cases are unscored: {', '.join(first[:5])}."
        return _unknown(criterion, "MUST_PASS_UNSCORED", text, where=first[0], observed=str(len(first)))
    text = f"All {len(wanted)} must-pass cases pass."
    return _result(criterion, Verdict.GO, "MUST_PASS_MET", text, observed="0")


def _named(sets: Iterable[set[str] | frozenset[str]]) -> list[str]:
    return sorted(_union(sets))


def _union(sets: Iterable[set[str] | frozenset[str]]) -> set[str]:
    return {one for found in sets for one in found}


def _comparison(criterion: Criterion, found: Findings) -> CriterionResult:
    comparison = found.comparison
    if comparison is None:
        text = f"There is no baseline to compare {criterion.metric} with."
        return _unknown(criterion, "NO_BASELINE", text)
    difference = comparison.differences.get(criterion.metric)
    if difference is None or difference.value is None:
        return _unknown(criterion, "NO_PAIRS", f"{criterion.metric} has no pair of scored cases.", observed="0 pairs")
    margin = criterion.limit if criterion.kind is Kind.NON_INFERIOR else 0.0
    if difference.is_relative:
        margin = math.log1p(margin)
    text = (
        f"{criterion.metric} differs by {difference.value:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f}) "
        f"over {difference.n} pairs in {difference.clusters} clusters"
    )
    observed = f"{difference.value:+.4f}"
    if _is_worse(criterion, difference, margin, found.settings.alpha):
        return _result(criterion, Verdict.NO_GO, "WORSE", f"{text}; p {difference.p_holm:.4g}.", observed=observed)
    gap = _pair_gap(criterion, comparison, difference, found)
    if gap is not None:
        return gap
    if difference.lower_worst is not None and _is_above(criterion, difference.lower_worst, margin):
        within = criterion.kind is Kind.NON_INFERIOR and difference.p_holm < found.settings.alpha
        note = "detectable_within_margin" if within else ""
        return _result(criterion, Verdict.GO, "NOT_WORSE", f"{text}.", observed=observed, note=note)
    return _unknown(criterion, "DIFFERENCE_UNDECIDED", f"{text}; that does not decide it.", observed=observed)


def _is_above(criterion: Criterion, lower: float, margin: float) -> bool:
    return lower > (-margin if criterion.kind is Kind.NON_INFERIOR else 0.0)


def _is_worse(criterion: Criterion, difference: Difference, margin: float, alpha: float) -> bool:
    return not _is_above(criterion, difference.lower, margin) and difference.p_holm < alpha


def _pair_gap(
    criterion: Criterion, comparison: Comparison, difference: Difference, found: Findings
) -> CriterionResult | None:
    gap = _gap(criterion, found.sample(criterion.metric), allowed=HARMFUL_ALLOWED)
    if gap is not None:
        return gap
    if difference.pairs_share < PAIRS_NEEDED:
        text = f"Only {difference.pairs_share:.0%} of the cases of {criterion.metric} have a pair; 90 % are needed."
        return _unknown(criterion, "TOO_FEW_PAIRS", text, observed=f"{difference.pairs_share:.0%}", limit="90 %")
    if comparison.missing_must_pass:
        missing = comparison.missing_must_pass
        text = f"{len(missing)} must-pass cases have no pair: {', '.join(missing[:5])}."
        return _unknown(criterion, "MUST_PASS_UNPAIRED", text, where=missing[0], observed=str(len(missing)))
    if difference.clusters < FEW_CLUSTERS and not found.risk_accepted:
        text = f"{difference.clusters} clusters are too few to show that {criterion.metric} holds; 20 are needed."
        return _unknown(criterion, "TOO_FEW_CLUSTERS", text, observed=str(difference.clusters), limit="20")
    return None
