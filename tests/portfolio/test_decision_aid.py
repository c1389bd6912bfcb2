"""The choice between retrieval and fine-tuning follows from facts, and an open question is never a no."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.portfolio.inventory import use_case

from pilotage.corpus.settings import Classification
from pilotage.portfolio.decision_aid import Advice, Choice, Facts, advise, facts_of
from pilotage.workspace.portfolio import Needs, Purpose, update_days

PLAIN = Facts(
    needs=Needs(
        per_person_permissions=False,
        takedown_duty=False,
        citations_required=False,
        content_residency=False,
        adapt_for=Purpose.NOTHING,
        reviewed_examples=0,
        examples_for_everyone=True,
    ),
    update_days=91,
    sensitivity=Classification.INTERNAL,
)
TUNED: dict[str, Any] = {"adapt_for": Purpose.TONE, "reviewed_examples": 500}
RETRIEVAL = ("per_person_permissions", "takedown_duty", "citations_required", "content_residency")


def facts(*, days: float | None = 91, level: Classification | None = Classification.INTERNAL, **needs: Any) -> Facts:
    return replace(PLAIN, update_days=days, sensitivity=level, needs=replace(PLAIN.needs, **needs))


def codes(advice: Advice) -> set[str]:
    return {one.code for one in advice.reasons}


@pytest.mark.parametrize("need", RETRIEVAL)
def test_any_one_of_four_duties_needs_retrieval(need: str) -> None:
    needed: dict[str, Any] = {need: True}
    found = advise(facts(**needed))
    assert found.choice is Choice.RETRIEVAL
    assert (found.reasons[0].code, found.reasons[0].where) == ("NEEDS_RETRIEVAL", need)
    # with that fact otherwise a prompt would do
    assert (need, "no", Choice.PROMPT_ONLY) in {(one.fact, one.to, one.choice) for one in found.changes}


@pytest.mark.parametrize(
    ("days", "choice"),
    [(30, Choice.RETRIEVAL), (31, Choice.PROMPT_ONLY), (None, Choice.OPEN), (91, Choice.PROMPT_ONLY)],
)
def test_content_that_changes_every_30_days_needs_retrieval(days: int | None, choice: Choice) -> None:
    assert advise(facts(days=days)).choice is choice


@pytest.mark.parametrize(
    ("changes", "choice"),
    [
        ({}, Choice.FINE_TUNING),
        ({"adapt_for": Purpose.FORM}, Choice.FINE_TUNING),
        ({"adapt_for": Purpose.CLASSIFICATION}, Choice.FINE_TUNING),
        ({"adapt_for": Purpose.FACTS}, Choice.PROMPT_ONLY),
        ({"reviewed_examples": 499}, Choice.PROMPT_ONLY),
        ({"examples_for_everyone": False}, Choice.PROMPT_ONLY),
        ({"days": 90}, Choice.PROMPT_ONLY),
        ({"citations_required": True}, Choice.HYBRID),
        ({"citations_required": True, "reviewed_examples": None}, Choice.RETRIEVAL),
        ({"reviewed_examples": None}, Choice.OPEN),
        ({"citations_required": None}, Choice.OPEN),
        ({"level": None}, Choice.OPEN),
    ],
)
def test_fine_tuning_is_for_form_tone_and_classification_alone(changes: dict[str, Any], choice: Choice) -> None:
    assert advise(facts(**{**TUNED, **changes})).choice is choice


@pytest.mark.feature("R2.1")
def test_both_hold_is_a_hybrid_with_the_reasons_of_both_and_what_would_change_it() -> None:
    found = advise(facts(**TUNED, takedown_duty=True))
    assert (found.choice, codes(found), found.missing) == (Choice.HYBRID, {"NEEDS_RETRIEVAL", "MAY_BE_TUNED"}, ())
    changes = {(one.fact, one.to): one.choice for one in found.changes}
    assert changes == {
        ("takedown_duty", "no"): Choice.FINE_TUNING,
        ("examples_for_everyone", "no"): Choice.RETRIEVAL,
        ("adapt_for", "nothing"): Choice.RETRIEVAL,
        ("reviewed_examples", "fewer than 500"): Choice.RETRIEVAL,
        ("update_frequency", "every 30 days or more often"): Choice.RETRIEVAL,
        ("update_frequency", "every 31 to 90 days"): Choice.RETRIEVAL,
        ("sensitivity", "restricted"): Choice.RETRIEVAL,
    }


@given(st.builds(Needs), st.one_of(st.none(), st.integers(0, 400)))
def test_restricted_data_never_enters_weights(needs: Needs, days: int | None) -> None:
    found = advise(Facts(needs=needs, update_days=days, sensitivity=Classification.RESTRICTED))
    assert found.choice not in {Choice.FINE_TUNING, Choice.HYBRID}


def test_nobody_answered_leaves_the_choice_open_and_says_what_is_missing() -> None:
    found = advise(facts_of(use_case()))
    assert (found.choice, found.reasons, found.changes) == (Choice.OPEN, (), ())
    assert found.possible == (Choice.RETRIEVAL, Choice.FINE_TUNING, Choice.HYBRID, Choice.PROMPT_ONLY)
    assert found.said == "open"
    assert set(found.missing) == {
        *RETRIEVAL,
        "update_frequency",
        "adapt_for",
        "reviewed_examples",
        "examples_for_everyone",
        "sensitivity",
    }


def test_an_open_question_that_cannot_change_the_choice_is_not_asked() -> None:
    found = advise(facts(takedown_duty=True, citations_required=None, reviewed_examples=None))
    assert (found.choice, found.missing, found.possible) == (Choice.RETRIEVAL, (), ())
    assert found.said == "retrieval"


def test_retrieval_may_be_sure_while_tuning_is_open() -> None:
    found = advise(facts(**{**TUNED, "examples_for_everyone": None}, takedown_duty=True))
    assert (found.choice, found.missing) == (Choice.RETRIEVAL, ("examples_for_everyone",))
    assert (found.possible, found.said) == ((Choice.HYBRID,), "retrieval (hybrid possible)")
    assert ("examples_for_everyone", "yes", Choice.HYBRID) in {(one.fact, one.to, one.choice) for one in found.changes}
    assert found.as_json()["possible"] == ["hybrid"]


def test_one_open_answer_that_two_questions_rest_on_is_not_counted_twice() -> None:
    found = advise(facts(**TUNED, days=None))
    assert (found.choice, found.missing) == (Choice.OPEN, ("update_frequency",))
    assert found.possible == (Choice.RETRIEVAL, Choice.FINE_TUNING, Choice.PROMPT_ONLY)


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("daily", 1),
        ("weekly", 7),
        ("monthly", 30),
        ("quarterly", 91),
        ("14d", 14),
        ("P120D", 120),
        ("P30DT12H", 30.5),
        ("36h", 1.5),
    ],
)
def test_how_often_content_changes_is_read_from_a_word_or_a_duration(written: str, days: float) -> None:
    assert update_days(written) == days


@pytest.mark.parametrize("written", ["often", "Weekly", "P1M", "30d12h"])
def test_another_word_for_how_often_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match="Write one of hourly, daily, weekly"):
        update_days(written)


def test_half_a_day_more_than_thirty_is_seldomer_than_every_thirty() -> None:
    assert advise(facts(days=update_days("P30DT12H"))).choice is Choice.PROMPT_ONLY


def test_a_use_case_gives_its_facts() -> None:
    found = facts_of(use_case(sensitivity=Classification.RESTRICTED, update_frequency="weekly", needs=PLAIN.needs))
    assert found == Facts(needs=PLAIN.needs, update_days=7, sensitivity=Classification.RESTRICTED)


@pytest.mark.parametrize(
    ("declared", "corpora", "counts"),
    [
        ("public", ["internal", "restricted"], "restricted"),
        ("confidential", ["internal"], "confidential"),
        ("internal", [], "internal"),
        (None, ["restricted"], "restricted"),
        (None, ["internal"], None),
        (None, [], None),
    ],
)
def test_the_stricter_of_the_declared_class_and_the_corpora_counts(
    declared: str | None, corpora: list[str], counts: str | None
) -> None:
    case = use_case(sensitivity=None if declared is None else Classification(declared))
    assert facts_of(case, [Classification(one) for one in corpora]).sensitivity == counts


def test_the_record_holds_choice_reasons_and_changes() -> None:
    shown = advise(facts(takedown_duty=True)).as_json()
    assert (shown["choice"], shown["missing"]) == ("retrieval", [])
    assert {"fact": "takedown_duty", "to": "no", "choice": "prompt only"} in shown["changes"]  # type: ignore[operator]
