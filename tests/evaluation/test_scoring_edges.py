"""Where scores, twins, leaks and weakenings could be read too kindly: missing numbers, other questions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.scoring import CONTEXT, assess, make_case, make_citation
from tests.evaluation.test_leaks_and_weakenings import FACT, QUESTION, codes, kinds
from tests.evaluation.test_pair_scorer import shown
from tests.evaluation.test_twins import candidates

from pilotage.evaluation.assessment import Measure, Status, Unscored
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Generation, TargetFailure
from pilotage.evaluation.leakage import LeakCode
from pilotage.evaluation.pair_scorer import Grade, both_failed, grade
from pilotage.evaluation.scorer import Missing, Scorer, Subject, Value
from pilotage.evaluation.scorers.accuracy import all_parts
from pilotage.evaluation.scorers.refusal import refusal_rates
from pilotage.evaluation.twins import Twins
from pilotage.evaluation.weakening import WeakeningKind

ANSWERED = Generation(answer="It is $25,000 [1].", citations=(make_citation(text="$25,000"),))


@pytest.mark.parametrize(
    ("question", "leaks"),
    [
        ("What's the daily wire transfer limit for a retail customer of the bank?", True),
        ("Why?", False),
        ("When do branches in the harbour district open on the first Sunday of advent?", False),
    ],
    ids=["the same asked again", "much shorter", "as long and about something else"],
)
def test_only_a_question_that_is_nearly_the_same_leaks_between_splits(question: str, leaks: bool) -> None:
    other = replace(make_case(question), id="dev")
    assert codes(make_case(QUESTION), dev=(other,)) == ({LeakCode.SPLITS} if leaks else set())


def test_another_question_under_the_same_id_is_a_case_removed() -> None:
    old = make_case(QUESTION, facts=(FACT,))
    assert kinds(old, replace(old, question="Who won?")) == {WeakeningKind.CASE_REMOVED}
    assert kinds(old, replace(old, asker="another")) == {WeakeningKind.CASE_REMOVED}


@pytest.mark.parametrize(
    ("changed", "is_weaker"), [({"weight": 0.5}, True), ({"allow_negated": True}, True), ({"weight": 2.0}, False)]
)
def test_a_fact_that_weighs_less_or_may_be_negated_is_weaker(changed: dict[str, float], is_weaker: bool) -> None:
    old = make_case(facts=(FACT,))
    new = replace(old, expect=replace(old.expect, facts=(replace(FACT, **changed),)))  # type: ignore[arg-type]
    assert bool(kinds(old, new)) is is_weaker


@pytest.mark.parametrize(
    ("generation", "status"),
    [
        (ANSWERED, Status.PASS),
        (replace(ANSWERED, answer="It is $5 [1]."), Status.FAIL),
        (Generation(answer="", error=TargetFailure.TIMEOUT), Status.UNSCORED),
        (Generation(answer="", refused=True, refusal_reason="not_found"), Status.FAIL),
    ],
    ids=["right", "wrong", "no answer", "refused"],
)
def test_accuracy_is_never_better_than_what_could_be_scored(generation: Generation, status: Status) -> None:
    assert assess("answer_accuracy", make_case(facts=(FACT,), refuse=False), generation).status is status


@pytest.mark.parametrize(
    ("reason", "is_whole_missing"),
    [(Unscored.NO_STATEMENTS, True), (Unscored.TIMEOUT, True), (Unscored.REFUSED, False)],
)
def test_a_part_that_could_not_be_scored_leaves_the_whole_unscored_unless_it_is_benign(
    reason: Unscored, is_whole_missing: bool
) -> None:
    def missing(_subject: Subject) -> Missing:
        return Missing(reason)

    case = make_case()
    part = Scorer(measure=Measure(name="part"), applies=lambda _case: True, function=missing)
    found = all_parts([part])(Subject(case, case_digest(case), ANSWERED, CONTEXT))
    assert found == (Missing(reason) if is_whole_missing else Value(1.0, {"failed": []}))


def test_refusals_are_counted_over_scored_answers_alone() -> None:
    case = make_case(refuse=True)
    scored = assess("refusal_correct", case, Generation(answer="", refused=True, refusal_reason="not_found"))
    missing = assess("refusal_correct", case, Generation(answer="", error=TargetFailure.TIMEOUT))
    assert missing.status is Status.UNSCORED
    assert refusal_rates([scored, missing]) == refusal_rates([scored])


def test_a_pair_without_any_answer_says_nothing_and_with_one_it_does() -> None:
    none, some = shown(None), shown("Billing errors are resolved.")
    assert both_failed(none, none) == "both_failed"
    assert both_failed(none, some) is both_failed(some, none) is both_failed(some, some) is None


def test_a_remark_too_short_to_be_a_claim_needs_no_citation() -> None:
    whole = "Billing errors are resolved within ten business days [1]."
    assert grade(shown(f"Yes. {whole}")) is Grade.SUPPORTED
    assert grade(shown(f"Yes, and purple elephants dance slowly too. {whole}")) is Grade.UNSUPPORTED


def test_a_candidate_that_is_not_among_the_later_ones_lets_nobody_in() -> None:
    known, later, stranger = candidates([("What is the fee?", "clerk"), ("Is it late?", "clerk"), ("Why?", "clerk")])
    twins = Twins([known], [later])
    asked = replace(later, id="asked")
    twins.let_in(stranger)
    assert twins.find(asked) is None
    twins.let_in(later)
    assert twins.find(asked) == later
