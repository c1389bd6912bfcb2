"""From assessments to the result of a run: the verdict of the golden set, with what is stored and what gates read.

Rule: a pure function of the sealed settings, the answers and earlier attempts; nothing measured in time is in it, so
whoever resumes a run comes to the same bytes. Fail mode: the verdict's: an empty set, no criterion, missing or
unscored answers are INCONCLUSIVE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evaluation.assessment import Assessment, Measure, Status
from pilotage.evaluation.comparison import Arm, Settings
from pilotage.evaluation.criteria import Kind, Verdict, worst_verdict
from pilotage.evaluation.decide import FEW_CLUSTERS
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.leakage import Leak, blocks_gating
from pilotage.evaluation.side_by_side import unscored_cases
from pilotage.evaluation.verdict import Question, ReleaseVerdict, declared_criteria, judge
from pilotage.workspace.golden import EvaluationSettings, GoldenCase, GoldenFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case, one repeat, one arm: the answer and what the scorers found."""

    case: GoldenCase
    case_digest: Digest
    repeat: int
    generation: Generation
    assessments: Sequence[Assessment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Verdicts of earlier gating attempts of the same question, and how often its golden set was used to gate."""

    verdicts: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a run was about: its releases, golden digest and files, the sealed settings, and what is measured."""

    release: Digest
    baseline: Digest | None
    golden_digest: Digest
    files: tuple[GoldenFile, ...]
    settings: EvaluationSettings
    measures: Mapping[str, Measure]
    leaks: tuple[Leak, ...] = ()
    first_release_absolute: bool = True
    oldest: Digest | None = None

    @property
    def cases(self) -> dict[str, GoldenCase]:
        """Every case of the run, by id."""
        return {case.id: case for file in self.files for case in file.cases}

    @property
    def gating(self) -> dict[str, GoldenCase]:
        """The cases that decide: all but the leaked ones, which are scored and shown apart."""
        leaked = {one.case_id for one in self.leaks}
        return {name: case for name, case in self.cases.items() if name not in leaked}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The result. `body` is what is stored and digested, `claims` what a gate reads, by evidence claim name.

    `regressions` name what got worse or leaked, with the case in `where`; `names` lists cases by purpose.
    """

    verdict: str
    body: Mapping[str, Json]
    claims: Mapping[str, float]
    summary: str
    scored: int
    unscored: int
    reasons: tuple[Reason, ...] = ()
    regressions: tuple[Reason, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What each release of a run answered, by arm."""

    candidate: Sequence[CaseResult]
    baseline: Sequence[CaseResult] = ()
    oldest: Sequence[CaseResult] = ()


def conclude(asked: Asked, answered: Answered, attempts: Attempts) -> Conclusion:
    """Return the result of an evaluation run."""
    candidate = answered.candidate
    found = _without_leaks(asked, _verdict(asked, answered, attempts))
    counts = _counts(asked, candidate)
    failed = _must_pass_failed(found)
    regressions = _regressions(found)
    reasons = (*found.reasons, *(() if found.reasons else found.notes))
    body: dict[str, Json] = {
        **found.as_json(),
        **counts,
        "must_pass_failed": failed,
        "regressions": [dict(one.as_json()) for one in regressions],
        "leaked": [
            {"case": one.case_id, "code": one.code.value, "where": one.where, "share": one.share} for one in asked.leaks
        ],
        "failed": {name: list(cases) for name, cases in _failed(candidate).items()},
        "unscored_cases": {
            "candidate": unscored_cases(_all(candidate)),
            "baseline": unscored_cases(_all(answered.baseline)),
        },
        "versions": sorted({one.version for result in candidate for one in result.assessments}),
        "attempts": {"earlier": list(attempts.verdicts), "gate_split": attempts.count},
    }
    value = found.metrics[asked.settings.primary].value if asked.settings.primary in found.metrics else None
    shown = "not measured" if value is None else f"{value:.4f}"
    return Conclusion(
        verdict=found.verdict.value,
        body=body,
        claims=_claims(found, counts, failed, len(regressions)),
        summary=f"{found.verdict.value}: {asked.settings.primary} {shown} over {counts['cases']} cases",
        scored=int(counts["scored"]),
        unscored=int(counts["unscored"]),
        reasons=reasons,
        regressions=regressions,
        names={"passed_cases": _passed(asked, candidate), "failed_cases": _not_passed(asked, candidate)},
    )


def _verdict(asked: Asked, answered: Answered, attempts: Attempts) -> ReleaseVerdict:
    settings = Settings(
        golden=asked.golden_digest,
        cases=asked.gating,
        measures=asked.measures,
        margins=asked.settings.margins,
        primary=asked.settings.primary,
        alpha=asked.settings.alpha,
    )
    required: Counter[str] = Counter()
    for file in asked.files:
        required |= Counter(file.required_tags)
    question = Question(
        criteria=declared_criteria(asked.settings, asked.measures),
        required_tags=required,
        earlier=tuple(Verdict(one) for one in attempts.verdicts),
        attempts=attempts.count,
        max_attempts=asked.settings.max_attempts,
        first_release_absolute=asked.first_release_absolute,
    )
    old = None if asked.baseline is None else Arm(release=asked.baseline, assessments=_all(answered.baseline))
    oldest = None if asked.oldest is None else Arm(release=asked.oldest, assessments=_all(answered.oldest))
    candidate = Arm(release=asked.release, assessments=_all(answered.candidate))
    return judge(candidate, old, settings, question, oldest=oldest)


def _without_leaks(asked: Asked, found: ReleaseVerdict) -> ReleaseVerdict:
    """Return the verdict, inconclusive at best where a must-pass case or more than 5 % leaked."""
    if not blocks_gating(asked.leaks, list(asked.cases.values())):
        return found
    leaked = sorted({one.case_id for one in asked.leaks})
    text = f"{len(leaked)} of {len(asked.cases)} cases leaked into the release: {', '.join(leaked[:5])}."
    reason = Reason(code="GOLDEN_LEAKED", text=text, where=leaked[0], observed=str(len(leaked)), limit="5 %")
    verdict = worst_verdict(found.verdict, Verdict.INCONCLUSIVE)
    return replace(found, verdict=verdict, reasons=(*found.reasons, reason))


def _all(results: Sequence[CaseResult]) -> list[Assessment]:
    return [one for result in results for one in result.assessments]


def _counts(asked: Asked, candidate: Sequence[CaseResult]) -> dict[str, int]:
    """Return cases, and those whose every scorer gave a number: a refusal is one, a missing number is none."""
    missing = {one.case_id for result in candidate for one in result.assessments if one.is_harmful}
    missing |= {result.case.id for result in candidate if not result.assessments}
    cases = asked.cases.keys()
    unasked = cases - {result.case.id for result in candidate}
    unscored = len(missing | unasked)
    return {"cases": len(cases), "scored": len(cases) - unscored, "unscored": unscored}


def _must_pass_failed(found: ReleaseVerdict) -> int:
    for one in found.results:
        if one.criterion.kind is Kind.MUST_PASS and one.verdict is Verdict.NO_GO:
            return int(one.reason.observed or "1")
    return 0


def _regressions(found: ReleaseVerdict) -> tuple[Reason, ...]:
    """Return what got worse: found by the comparison, by a criterion that needs a baseline, or by the ratchet."""
    known = found.regressions
    named = {one.where for one in known}
    return (
        *known,
        *(
            one.reason
            for one in found.results
            if one.criterion.is_comparison and one.verdict is Verdict.NO_GO and one.reason.where not in named
        ),
        *(() if found.ratchet is None else found.ratchet.lost),
    )


def _claims(found: ReleaseVerdict, counts: Mapping[str, int], failed: int, regressions: int) -> dict[str, float]:
    claims = {
        "scored": float(counts["scored"]),
        "unscored": float(counts["unscored"]),
        "must_pass_failed": float(failed),
    }
    if _is_compared(found) or regressions:
        claims["regressions"] = float(regressions)
    if found.ratchet is not None and all(one.verdict is not Verdict.INCONCLUSIVE for one in found.ratchet.results):
        claims["ratchet_regressions"] = float(len(found.ratchet.lost))
    for name, metric in found.metrics.items():
        # Bounds of too few clusters show nothing: a gate takes them by a risk acceptance only (evaluation.md 7.2).
        is_shown = metric.clusters >= FEW_CLUSTERS
        for suffix, value in (("", metric.value), ("_lcb", metric.lcb), ("_ucb", metric.ucb)):
            if value is not None and (is_shown or not suffix):
                claims[name + suffix] = value
    pii = found.metrics.get("pii_leak")
    if pii is not None and pii.value is not None and not pii.harmful:
        claims["pii_leaks"] = float(round(pii.value * pii.n))
    return claims


def _is_compared(found: ReleaseVerdict) -> bool:
    """Tell whether every comparison was decided; one that was not leaves it unknown whether anything got worse."""
    if found.comparison is None:
        return False
    compared = [one for one in found.results if one.criterion.is_comparison]
    compared += () if found.ratchet is None else found.ratchet.results
    return all(one.verdict is not Verdict.INCONCLUSIVE for one in compared)


def _failed(candidate: Sequence[CaseResult]) -> dict[str, tuple[str, ...]]:
    """Return the cases that failed, by scorer."""
    found: dict[str, set[str]] = {}
    for result in candidate:
        for one in result.assessments:
            if one.status is Status.FAIL:
                found.setdefault(one.scorer, set()).add(result.case.id)
    return {name: tuple(sorted(cases)) for name, cases in sorted(found.items())}


def _not_passed(asked: Asked, candidate: Sequence[CaseResult]) -> tuple[str, ...]:
    primary = asked.settings.primary
    return tuple(
        sorted(
            {
                one.case_id
                for result in candidate
                for one in result.assessments
                if one.scorer == primary and one.status is not Status.PASS
            }
        )
    )


def _passed(asked: Asked, candidate: Sequence[CaseResult]) -> tuple[str, ...]:
    wrong = set(_not_passed(asked, candidate))
    primary = asked.settings.primary
    judged = {one.case_id for result in candidate for one in result.assessments if one.scorer == primary}
    return tuple(sorted(judged - wrong))
