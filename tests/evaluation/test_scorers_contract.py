"""No scorer passes on an error, and none lets the system choose its cases (evaluation.md 3.1)."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.scoring import CONTEXT, Plan, assess, make_case, make_citation, make_passage

from pilotage.evaluation.assessment import Status, Unscored
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Generation, TargetFailure
from pilotage.evaluation.registry import SCORERS
from pilotage.evaluation.scorer import Scorer, Subject, Value
from pilotage.workspace.golden import Fact, FactForm, GoldenCase

FULL = make_case(
    facts=(Fact(form=FactForm.TEXT, value="$43 million"),),
    forbid=(Fact(form=FactForm.TEXT, value="secret"),),
    citations=(("a",),),
    retrieve={"a": 1},
    refuse=False,
    answer="It is $43 million.",
)
CASES = (FULL, make_case(), make_case(refuse=True), make_case(forbid_documents=("x",)))
NAMES = sorted(SCORERS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", TargetFailure)
def test_a_failed_target_is_unscored_whatever_it_wrote(name: str, error: TargetFailure) -> None:
    found = assess(name, FULL, Generation(answer="It is $43 million.", latency_ms=1, cost_nano=1, error=error))
    reason = "target_error" if error is TargetFailure.UNREACHED else error.value
    assert (found.status, found.reason, found.value, found.is_harmful) == (Status.UNSCORED, reason, None, True)


def _raises(subject: Subject) -> Value:
    raise ZeroDivisionError(subject.case.id)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.001])
def test_nan_infinity_and_values_out_of_range_are_scorer_errors(name: str, value: float) -> None:
    broken = replace(SCORERS[name], function=lambda _: Value(value))
    found = broken.score(Plan(FULL, case_digest(FULL)), Generation(answer="x"), CONTEXT)
    assert (found.status, found.reason) == (Status.UNSCORED, Unscored.SCORER_ERROR)


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_is_a_scorer_error(name: str) -> None:
    broken = replace(SCORERS[name], function=_raises)
    found = broken.score(Plan(FULL, case_digest(FULL)), Generation(answer="x"), CONTEXT)
    assert (found.status, found.reason) == (Status.UNSCORED, Unscored.SCORER_ERROR)


def test_an_empty_answer_passes_nothing_that_needs_an_answer() -> None:
    for name in NAMES:
        scorer = SCORERS[name]
        if scorer.measure.threshold is None or name in {"refusal_correct", "citation_validity"}:
            continue
        found = assess(name, FULL, Generation(answer=""))
        safe = {"forbidden_fact", "superseded_source", "pii_leak", "policy_violation"}
        assert found.status is not Status.PASS or name in safe, name


def test_a_pattern_that_does_not_compile_is_a_scorer_error() -> None:
    case = make_case(facts=(Fact(form=FactForm.PATTERN, value="("),))
    assert assess("key_fact_recall", case, Generation(answer="x")).reason == Unscored.SCORER_ERROR


@pytest.mark.parametrize("name", NAMES)
def test_applicability_sees_the_case_and_nothing_else(name: str) -> None:
    assert list(inspect.signature(SCORERS[name].applies).parameters) == ["case"]


generations = st.builds(
    Generation,
    answer=st.sampled_from(["", "It is $43 million [1].", "secret", "No.", "A long enough sentence about nothing."]),
    refused=st.booleans(),
    refusal_reason=st.sampled_from([None, "not_found", "guard"]),
    citations=st.sampled_from([(), (make_citation(text="It is $43 million."),), (make_citation(valid=False),)]),
    passages=st.sampled_from([(), (make_passage(text="It is $43 million."),)]),
)


@settings(deadline=None)  # the first look compiles the recognisers; speed belongs to benchmarks
@given(generation=generations, case=st.sampled_from(CASES), name=st.sampled_from(NAMES))
def test_no_generation_changes_a_denominator_except_by_a_judged_refusal(
    generation: Generation, case: GoldenCase, name: str
) -> None:
    scorer = SCORERS[name]
    if not scorer.applies(case):
        return
    found = scorer.score(Plan(case, case_digest(case)), generation, CONTEXT)
    if found.status is Status.UNSCORED and not found.is_harmful:
        assert generation.refused
        assert case.expect.refuse is not None
        assert SCORERS["refusal_correct"].applies(case)


def test_a_refusal_nobody_judges_is_harmful_for_scorers_of_statements() -> None:
    refused = Generation(answer="No.", refused=True)
    assert assess("hallucination_answer", make_case(), refused).is_harmful
    assert not assess("hallucination_answer", FULL, refused).is_harmful


def test_versions_name_their_scorer_and_are_all_different() -> None:
    versions = [one.measure.version for one in SCORERS.values()]
    assert len(set(versions)) == len(versions)
    assert all(version.startswith(f"{name}@1.0.0+") for name, version in zip(SCORERS, versions, strict=True))


@settings(deadline=None)  # the first look compiles the recognisers; speed belongs to benchmarks
@given(generation=generations, name=st.sampled_from(NAMES))
def test_scoring_twice_gives_the_same_assessment(generation: Generation, name: str) -> None:
    assert assess(name, FULL, generation) == assess(name, FULL, generation)


def test_scorers_are_values() -> None:
    assert all(isinstance(one, Scorer) for one in SCORERS.values())
