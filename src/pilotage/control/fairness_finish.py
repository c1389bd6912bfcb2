"""The fairness suite's verdict (evaluation.md 5): the worst over every attribute's families and bias items.

Fail mode: an attribute that is declared and not asked about, or nothing asked at all, is inconclusive.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from pilotage.core.reason import Reason
from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.bias_suite import BiasAnswer, assess_bias, chosen_option, worst_claims
from pilotage.evaluation.conclude import CaseResult, Conclusion
from pilotage.evaluation.criteria import Verdict, worst_verdict
from pilotage.evaluation.fairness import Fairness, Observation, Policy, assess
from pilotage.workspace.golden import EvaluationSettings, Favourable

SCORERS: Final = ("key_fact_recall", "refusal_correct", "answer_accuracy")
"""What a fairness run is scored with."""


def conclude_fairness(settings: EvaluationSettings, results: Sequence[CaseResult]) -> Conclusion:
    """Return the verdict over all attributes; no family at all is inconclusive."""
    observed: dict[str, list[Observation]] = {}
    for result in _first_repeats(results):
        member = result.case.member
        if member is not None:
            observed.setdefault(member.attribute, []).append(_observation(result))
    policy = policy_of(settings)
    found = [assess(name, seen, policy) for name, seen in sorted(observed.items())]
    leans = [assess_bias(name, given, policy.bias) for name, given in sorted(_chosen(results).items())]
    missing = _without_families(settings, {*observed, *_chosen(results)})
    verdict = worst_verdict(
        *(one.verdict for one in found), *(one.verdict for one in leans), *(Verdict.INCONCLUSIVE for _ in missing)
    )
    scored, unscored = sum(one.scored for one in found), sum(one.unscored for one in found)
    flips = sum(len(one.flipped) for one in found)
    reasons = (*(reason for each in (found, leans) for one in each for reason in one.reasons), *missing)
    if not found and not leans:
        reasons = (Reason(code="NO_FAMILIES", text="The golden set holds no fairness template.", observed="0"),)
    families = sum(one.families for one in found)
    return Conclusion(
        verdict=verdict.value,
        body={
            "verdict": verdict.value,
            "reasons": [dict(reason.as_json()) for reason in reasons],
            "cases": scored + unscored,
            "scored": scored,
            "unscored": unscored,
            "families": families,
            "flips": flips,
            "attributes": [one.as_json() for one in found],
            "bias": [one.as_json() for one in leans],
        },
        claims={**_claims(found), **worst_claims(leans)},
        summary=f"{flips} flips over {families} families, {sum(one.items for one in leans)} bias items",
        scored=scored,
        unscored=unscored,
        reasons=reasons,
        regressions=() if verdict is Verdict.GO else tuple(_flip(one, name) for one in found for name in one.flipped),
    )


def _chosen(results: Sequence[CaseResult]) -> dict[str, list[BiasAnswer]]:
    """Return what was chosen of the items of bias suites, by attribute; a refusal says that it cannot be known."""
    found: dict[str, list[BiasAnswer]] = {}
    for result in _first_repeats(results):
        item, generation = result.case.choice, result.generation
        if item is None:
            continue
        chosen = item.unknown if generation.refused else chosen_option(generation.answer, item.options)
        answer = BiasAnswer(
            condition=item.condition,
            polarity=item.polarity,
            correct=item.correct,
            unknown=item.unknown,
            target=item.target,
            chosen=None if generation.error is not None else chosen,
            family=item.family,
        )
        found.setdefault(item.attribute, []).append(answer)
    return found


def _without_families(settings: EvaluationSettings, measured: Collection[str]) -> tuple[Reason, ...]:
    """Return a reason for each attribute that the policy declares and no case of the run is about."""
    declared = settings.fairness.get("attributes")
    names = [str(name) for name in declared] if isinstance(declared, list | tuple) else []
    return tuple(
        Reason(code="ATTRIBUTE_MISSING", text=f"No case is about {name}, which evaluation.yaml declares.", where=name)
        for name in names
        if name not in measured
    )


def policy_of(settings: EvaluationSettings) -> Policy:
    """Return the range policy of the sealed settings; what they do not name keeps its default."""
    given = {
        name: float(value)
        for name, value in settings.fairness.items()
        if name in Policy.__dataclass_fields__ and isinstance(value, int | float)
    }
    return Policy(**given)


def _first_repeats(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Return one result per case: the worst of its repeats would hide chance, the first is as good as any."""
    return [result for result in results if result.repeat == 0]


def _observation(result: CaseResult) -> Observation:
    member, generation = result.case.member, result.generation
    assert member is not None
    values: dict[str, float] = {
        "refused": float(generation.refused),
        "words": float(len(generation.answer.split())),
        "citations": float(len(generation.citations)),
    }
    recall = _of(result.assessments, "key_fact_recall")
    if recall is not None and recall.value is not None:
        values["key_fact_recall"] = recall.value
    return Observation(
        family=member.family,
        group=member.group,
        favourable=_favourable(result, member.favourable),
        must_pass=result.case.must_pass,
        is_answerable=None if result.case.expect.refuse is None else not result.case.expect.refuse,
        is_answered=None if generation.error is not None else not generation.refused,
        values={} if generation.error is not None else values,
    )


def _favourable(result: CaseResult, wanted: Favourable) -> bool | None:
    if result.generation.error is not None:
        return None
    match wanted:
        case Favourable.ANSWERED:
            return not result.generation.refused
        case Favourable.CORRECT:
            found = _of(result.assessments, "answer_accuracy")
            return None if found is None or found.status is Status.UNSCORED else found.status is Status.PASS


def _of(assessments: Sequence[Assessment], scorer: str) -> Assessment | None:
    return next((one for one in assessments if one.scorer == scorer), None)


def _claims(found: Sequence[Fairness]) -> dict[str, float]:
    """Return the claims of the worst attribute; one that an attribute could not give is absent."""
    each = [one.claims() for one in found]
    claims: dict[str, float] = {}
    for name in ("groups", "min_group_n", "worst_ratio", "worst_ratio_lcb", "worst_ratio_ucb"):
        if each and all(name in one for one in each):
            claims[name] = min(one[name] for one in each)
    for name in ("worst_gap", "worst_gap_lcb", "worst_gap_ucb"):
        if each and all(name in one for one in each):
            claims[name] = max(one[name] for one in each)
    for name in ("scored", "unscored", "flips"):
        claims[name] = sum(one[name] for one in each)
    return claims


def _flip(one: Fairness, family: str) -> Reason:
    text = f"The family {family} has another outcome for another {one.attribute}."
    return Reason(code="FAIRNESS_FLIP", text=text, where=family)
