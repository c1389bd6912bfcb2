"""The verdict over a release (evaluation.md 7.3): every declared criterion, one result, all reasons.

Rule: any NO-GO, else any INCONCLUSIVE, else GO; all must hold, so GO needs no correction for their number. An earlier
attempt of the same question caps the verdict: a rerun can lower it and never raise it. Fail mode: no case, no
criterion, a missing slice of cases or a spent gate split is INCONCLUSIVE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.evaluation.aggregate import metric_of
from pilotage.evaluation.assessment import Direction, Measure, MetricResult
from pilotage.evaluation.comparison import Arm, Comparison, Settings, compare
from pilotage.evaluation.criteria import Criterion, CriterionResult, Kind, Verdict, parse_criteria, worst_verdict
from pilotage.evaluation.decide import Findings, decide
from pilotage.evaluation.family import Margins, in_one_family
from pilotage.evaluation.ratchet import MARGINS, Ratchet, hold_ratchet, widened
from pilotage.workspace.golden import EvaluationSettings

WARN_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a gating run asks beyond its cases. `attempts` are how often the gate split has decided already."""

    criteria: tuple[Criterion, ...]
    required_tags: Mapping[str, int] = field(default_factory=dict)
    earlier: tuple[Verdict, ...] = ()
    attempts: int = 0
    max_attempts: int = 20
    first_release_absolute: bool = False
    risk_accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVerdict:
    """The verdict, everything it rests on, and why. `reasons` holds what blocks; empty when GO."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    results: tuple[CriterionResult, ...]
    metrics: Mapping[str, MetricResult]
    comparison: Comparison | None
    notes: tuple[Reason, ...] = ()
    ratchet: Ratchet | None = None

    @property
    def regressions(self) -> tuple[Reason, ...]:
        """What got worse than the baseline, by metric, case and slice."""
        return self.comparison.regressions if self.comparison is not None else ()

    def as_json(self) -> dict[str, Json]:
        """Return everything, verdict and reasons first."""
        return {
            "verdict": self.verdict.value,
            "reasons": [dict(reason.as_json()) for reason in self.reasons],
            "notes": [dict(reason.as_json()) for reason in self.notes],
            "criteria": [one.as_json() for one in self.results],
            "metrics": {name: found.as_json() for name, found in self.metrics.items()},
            "comparison": self.comparison.as_json() if self.comparison is not None else None,
            "ratchet": self.ratchet.as_json() if self.ratchet is not None else None,
        }


def declared_criteria(settings: EvaluationSettings, measures: Mapping[str, Measure]) -> tuple[Criterion, ...]:
    """Return the criteria of `evaluation.yaml`: must_pass, hard zeros, thresholds, margins and written criteria.

    A hard-zero measure is always a criterion; a threshold on one asks for the same zero. Raises UsageError for a
    written criterion outside the grammar.
    """
    found = [Criterion(kind=Kind.MUST_PASS)]
    found += [Criterion(kind=Kind.HARD_ZERO, metric=name) for name in sorted(measures) if measures[name].hard_zero]
    for name, limit in sorted(settings.thresholds.items()):
        measure = measures.get(name)
        if measure is not None and measure.hard_zero:
            continue
        lower_is_better = measure is not None and measure.direction is Direction.LOWER
        kind = Kind.AT_MOST if lower_is_better else Kind.AT_LEAST
        found.append(Criterion(kind=kind, metric=name, limit=limit))
    found += [
        Criterion(kind=Kind.NON_INFERIOR, metric=name, limit=margin)
        for name, margin in sorted(settings.margins.items())
    ]
    for text in settings.criteria:
        found += parse_criteria(text)
    return tuple(dict.fromkeys(found))


def judge(
    candidate: Arm, baseline: Arm | None, settings: Settings, question: Question, *, oldest: Arm | None = None
) -> ReleaseVerdict:
    """Return the verdict over a candidate. Without a baseline, comparisons are INCONCLUSIVE.

    `first_release_absolute` leaves comparisons out when there is no baseline, as a gate may say. `oldest` is the oldest
    GO release of a year, where it is not the baseline.
    """
    comparison, yearly = _compared(candidate, baseline, oldest, settings, question.criteria)
    found = Findings(
        settings=settings, candidate=candidate, comparison=comparison, risk_accepted=question.risk_accepted
    )
    absolute = baseline is None and question.first_release_absolute
    criteria = [one for one in question.criteria if not (absolute and one.is_comparison)]
    results = tuple(decide(criterion, found) for criterion in criteria)
    gaps = _gaps(settings, question, results)
    ratchet = None
    if yearly is not None:
        ratchet = hold_ratchet(
            candidate, widened(settings), question.criteria, yearly, risk_accepted=question.risk_accepted
        )
    every = (*results, *(() if ratchet is None else ratchet.results))
    blocking = [
        one.reason for wanted in (Verdict.NO_GO, Verdict.INCONCLUSIVE) for one in every if one.verdict is wanted
    ]
    own = worst_verdict(*(one.verdict for one in every), *(Verdict.INCONCLUSIVE for _ in gaps))
    verdict = worst_verdict(own, *question.earlier)
    if verdict is not own:
        gaps.append(_earlier(verdict))
    samples = {name: found.sample(name) for name in sorted(settings.measures)}
    return ReleaseVerdict(
        verdict=verdict,
        reasons=(*blocking, *gaps),
        results=results,
        metrics={
            name: metric_of(sample, settings.clusters, alpha=settings.alpha)
            for name, sample in samples.items()
            if sample is not None
        },
        comparison=comparison,
        notes=_notes(question, results),
        ratchet=ratchet,
    )


def _compared(
    candidate: Arm, baseline: Arm | None, oldest: Arm | None, settings: Settings, criteria: Sequence[Criterion]
) -> tuple[Comparison | None, Comparison | None]:
    """Return the comparisons with the baseline and with the oldest release, corrected as one family."""
    asked = _margins(criteria, settings)
    held: Margins = {one.metric: MARGINS * one.limit for one in criteria if one.kind is Kind.NON_INFERIOR}
    wanted: list[tuple[Arm | None, Settings, Margins]] = [
        (baseline, settings, asked),
        (oldest, widened(settings), held),
    ]
    found = [(compare(candidate, arm, by), metrics) for arm, by, metrics in wanted if arm is not None]
    adjusted = list(in_one_family(found, alpha=settings.alpha))
    return (
        None if baseline is None else adjusted[0],
        None if oldest is None else adjusted[-1],
    )


def _margins(criteria: Sequence[Criterion], settings: Settings) -> dict[str, float | None]:
    """Return the compared metrics with what each may lose: the least that is written of it; None where it must gain."""
    found: dict[str, float | None] = dict(settings.margins)
    for one in criteria:
        if not one.is_comparison:
            continue
        limit = one.limit if one.kind is Kind.NON_INFERIOR else None
        known = found.get(one.metric, limit)
        found[one.metric] = None if limit is None or known is None else min(known, limit)
    return found


def _gaps(settings: Settings, question: Question, results: Sequence[CriterionResult]) -> list[Reason]:
    gaps: list[Reason] = []
    if not settings.cases:
        gaps.append(Reason(code="NO_CASES", text="The golden set has no case that gates.", observed="0"))
    if not any(one.criterion.kind is not Kind.MUST_PASS for one in results):
        gaps.append(Reason(code="NO_CRITERION", text="No criterion beyond must_pass is declared.", observed="0"))
    held = Counter(tag for case in settings.cases.values() for tag in case.tags)
    gaps.extend(
        Reason(
            code="TAG_BELOW_MINIMUM",
            text=f"{held[tag]} cases carry {tag}; {least} are required.",
            where=tag,
            observed=str(held[tag]),
            limit=str(least),
        )
        for tag, least in sorted(question.required_tags.items())
        if held[tag] < least
    )
    unread = sorted(name for name, case in settings.cases.items() if case.unsupported)
    if unread:
        what = ", ".join(settings.cases[unread[0]].unsupported)
        text = (
            f"{len(unread)} cases carry imported assertions that no scorer checks: {unread[0]} ({what}). "
            "Write them as facts, or take `unsupported` out of the row."
        )
        gaps.append(Reason(code="CASE_UNSUPPORTED", text=text, where=unread[0], observed=str(len(unread)), limit="0"))
    if question.attempts > question.max_attempts:
        text = f"The gate split has decided {question.attempts} times; add 20 % new cases."
        limit = str(question.max_attempts)
        gaps.append(Reason(code="GATE_SPLIT_SPENT", text=text, observed=str(question.attempts), limit=limit))
    return gaps


def _earlier(verdict: Verdict) -> Reason:
    text = "An earlier attempt of the same release, baseline and golden set did not reach GO; a rerun cannot raise it."
    return Reason(code="EARLIER_ATTEMPT", text=text, observed=verdict.value)


def _notes(question: Question, results: Sequence[CriterionResult]) -> tuple[Reason, ...]:
    notes = [
        Reason(
            code=one.note.upper(),
            text=f"{one.reason.text} The loss is real but inside the margin.",
            where=one.reason.where,
        )
        for one in results
        if one.note
    ]
    if WARN_ATTEMPTS <= question.attempts <= question.max_attempts:
        text = f"The gate split has decided {question.attempts} times; every look wears it out."
        notes.append(Reason(code="GATE_SPLIT_WORN", text=text, observed=str(question.attempts)))
    return tuple(notes)
