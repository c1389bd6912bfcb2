"""Data readiness is scored from what a refresh saw, answered by name where it saw nothing, and never guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.portfolio.inventory import DAY, NOW, use_case

from pilotage.core.ids import CorpusName, PersonId
from pilotage.portfolio.data_readiness import (
    AspectScore,
    Basis,
    CorpusScan,
    Counts,
    DataReadiness,
    Owners,
    Report,
    assess,
)
from pilotage.workspace.portfolio import Answer, Aspect

POLICIES, FORMS = CorpusName("policies"), CorpusName("forms")
BOTH = Owners(data=(PersonId("ada"),), security=PersonId("ben"))
SCAN = CorpusScan(
    corpus=POLICIES,
    version=3,
    at=NOW - timedelta(days=2),
    counts=Counts(documents=120, with_uri=120, with_acl=120),
    report=Report(documents=120, rejected=0, unsound=0, exposed=0),
    refreshed_at=NOW - timedelta(days=2),
    period=timedelta(days=7),
    retention_days=2557,
    has_exclusions=True,
)


def scan(**changes: Any) -> CorpusScan:
    """The sound corpus with other counts, another report, or another declaration."""
    counts = {name: value for name, value in changes.items() if name in Counts.__dataclass_fields__}
    report = {name: value for name, value in changes.items() if name in Report.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in {*counts, *report}}
    assert SCAN.counts is not None
    assert SCAN.report is not None
    whole: dict[str, Any] = {"counts": replace(SCAN.counts, **counts), "report": replace(SCAN.report, **report)}
    return replace(SCAN, **{**whole, **rest})


def answer(score: str, note: str = "", day: date = DAY) -> Answer:
    return Answer(score=Decimal(score), by=PersonId("cyd"), date=day, note=note)


def found(scan: CorpusScan | None = SCAN, owners: Owners = BOTH, **answers: Answer) -> DataReadiness:
    """Assess with the classification answered, as no scan can, unless a test says otherwise."""
    answers = {"classification": answer("1"), **answers}
    case = use_case(corpora=(POLICIES,), readiness={Aspect(name): one for name, one in answers.items()})
    return assess(case, {} if scan is None else {POLICIES: scan}, owners, now=NOW)


def of(readiness: DataReadiness, aspect: Aspect) -> AspectScore:
    return next(one for one in readiness.scores if one.aspect is aspect)


@pytest.mark.feature("R1.2")
def test_a_corpus_in_order_is_ready_and_says_by_what() -> None:
    whole = found()
    assert whole.value == 1
    assert [one.aspect for one in whole.scores] == list(Aspect)
    assert {one.basis for one in whole.scores} == {Basis.SCAN, Basis.DECLARED, Basis.ANSWER}
    assert of(whole, Aspect.CLASSIFICATION).by == "cyd"
    assert of(whole, Aspect.ACCESS_POLICY).text == "policies@3: 120 of 120 documents have an ACL"
    assert of(whole, Aspect.QUALITY).day == SCAN.at.date()


@pytest.mark.parametrize(
    ("changes", "aspect", "score"),
    [
        ({"unsound": 1}, Aspect.QUALITY, "0.75"),
        ({"rejected": 40}, Aspect.QUALITY, "0.75"),
        ({"rejected": 41}, Aspect.QUALITY, "0.5"),
        ({"unsound": 500}, Aspect.QUALITY, "0"),
        ({"with_uri": 89}, Aspect.LINEAGE, "0.5"),
        ({"retention_days": None}, Aspect.RETENTION, "0"),
        ({"with_acl": 119}, Aspect.ACCESS_POLICY, "0.75"),
        ({"with_acl": 30}, Aspect.ACCESS_POLICY, "0.25"),
        ({"refreshed_at": NOW - timedelta(days=7)}, Aspect.FRESHNESS, "1"),
        ({"refreshed_at": NOW - timedelta(days=8)}, Aspect.FRESHNESS, "0.75"),
        ({"refreshed_at": NOW - timedelta(days=14)}, Aspect.FRESHNESS, "0.5"),
        ({"refreshed_at": NOW - timedelta(days=29)}, Aspect.FRESHNESS, "0"),
        ({"exposed": 1}, Aspect.CLASSIFICATION, "0"),
    ],
)
def test_shares_are_rounded_down_to_a_quarter(changes: dict[str, Any], aspect: Aspect, score: str) -> None:
    readiness = found(scan(**changes))
    assert of(readiness, aspect).score == Decimal(score)
    assert of(readiness, aspect).text.startswith("policies@3: ")


@pytest.mark.parametrize(
    ("changes", "aspect"), [({"with_acl": 0}, Aspect.ACCESS_POLICY), ({"with_uri": 29}, Aspect.LINEAGE)]
)
def test_no_reader_or_hardly_an_address_sets_readiness_to_zero(changes: dict[str, Any], aspect: Aspect) -> None:
    readiness = found(scan(**changes))
    assert {readiness.value, readiness.least, readiness.most} == {Decimal(0)}
    assert readiness.vetoes == (aspect,)


def test_owners_answered_with_zero_set_it_to_zero_even_while_others_are_unknown() -> None:
    case = use_case(corpora=(POLICIES,), readiness={Aspect.OWNERS: answer("0")})
    readiness = assess(case, {}, Owners(data=(), security=None), now=NOW)
    assert (readiness.value, readiness.vetoes) == (Decimal(0), (Aspect.OWNERS,))
    assert Aspect.QUALITY in readiness.unknown


@pytest.mark.parametrize(
    ("owners", "score", "text"),
    [
        (BOTH, "1", "data: ada; security: ben"),
        (Owners(data=(PersonId("ada"),), security=None), "0.5", "data: ada; security: nobody"),
        (Owners(data=(), security=PersonId("ben")), "0.5", "data: nobody; security: ben"),
    ],
)
def test_owners_are_persons_of_data_and_of_security(owners: Owners, score: str, text: str) -> None:
    one = of(found(owners=owners), Aspect.OWNERS)
    assert (one.score, one.text, one.basis) == (Decimal(score), text, Basis.DECLARED)


NOBODY = Owners(data=(), security=None)
ONE = Owners(data=(PersonId("ada"),), security=None)


@pytest.mark.parametrize(
    ("owners", "answered", "score"),
    [
        (NOBODY, "1", None),
        (NOBODY, "0.25", None),
        (NOBODY, "0", "0"),
        (ONE, "1", "0.5"),
        (ONE, "0.25", "0.25"),
        (BOTH, "0.75", "0.75"),
    ],
)
def test_an_answer_lowers_owners_and_never_raises_them(owners: Owners, answered: str, score: str | None) -> None:
    case = use_case(corpora=(POLICIES,), readiness={Aspect.OWNERS: answer(answered)})
    one = of(assess(case, {POLICIES: SCAN}, owners, now=NOW), Aspect.OWNERS)
    assert one.score == (None if score is None else Decimal(score))


@pytest.mark.parametrize("aspect", [Aspect.OWNERS, Aspect.CLASSIFICATION])
def test_an_answer_of_the_future_is_unknown(aspect: Aspect) -> None:
    tomorrow, today = NOW.date() + timedelta(days=1), NOW.date()
    case = use_case(corpora=(POLICIES,), readiness={aspect: answer("0.5", day=tomorrow)})
    one = of(assess(case, {POLICIES: SCAN}, BOTH, now=NOW), aspect)
    assert (one.score, one.basis) == (None, Basis.NOTHING)
    assert one.text == f"the answer of cyd is dated {tomorrow}, which has not come"
    case = use_case(corpora=(POLICIES,), readiness={aspect: answer("0.5", day=today)})
    assert of(assess(case, {POLICIES: SCAN}, BOTH, now=NOW), aspect).score == Decimal("0.5")


def test_that_documents_have_a_class_is_no_score_and_a_person_answers() -> None:
    case = use_case(corpora=(POLICIES,))
    assert assess(case, {POLICIES: SCAN}, BOTH, now=NOW).unknown == (Aspect.CLASSIFICATION,)


def test_counts_that_took_too_long_are_unknown_whatever_was_answered() -> None:
    slow = found(scan(counts=None), lineage=answer("1"), access_policy=answer("1"))
    assert slow.unknown == (Aspect.LINEAGE, Aspect.ACCESS_POLICY)
    assert "took too long" in of(slow, Aspect.LINEAGE).text
    assert of(slow, Aspect.QUALITY).score == 1


@pytest.mark.feature("R1.2")
def test_what_no_refresh_says_is_answered_with_a_name_or_unknown() -> None:
    never = found(None)
    assert never.value is None
    assert (never.least, never.most) == (Decimal("0.25"), Decimal(1))
    assert set(never.unknown) == set(Aspect) - {Aspect.OWNERS, Aspect.CLASSIFICATION}
    assert "readiness: {quality: {score, by, date}}" in of(never, Aspect.QUALITY).text
    case = use_case(corpora=(POLICIES,), readiness={one: answer("0.5", "seen") for one in Aspect})
    answered = assess(case, {}, BOTH, now=NOW)
    assert answered.value == Decimal("0.5")
    one = of(answered, Aspect.QUALITY)
    assert (one.basis, one.by, one.day, one.text) == (Basis.ANSWER, "cyd", DAY, "seen")
    assert of(found(None, quality=answer("1")), Aspect.QUALITY).text == "answered without a note"


def test_a_scan_is_believed_before_an_answer() -> None:
    one = of(found(scan(with_acl=30), access_policy=answer("1")), Aspect.ACCESS_POLICY)
    assert (one.score, one.basis) == (Decimal("0.25"), Basis.SCAN)


@pytest.mark.parametrize(
    ("changes", "aspects"),
    [
        ({"period": None}, {Aspect.FRESHNESS}),
        ({"refreshed_at": None}, {Aspect.FRESHNESS}),
        ({"has_exclusions": False}, {Aspect.EXCLUSIONS}),
        ({"report": None}, {Aspect.QUALITY}),
        ({"with_uri": 0}, {Aspect.LINEAGE}),
        (
            {"counts": Counts(documents=0, with_uri=0, with_acl=0)},
            {Aspect.LINEAGE, Aspect.ACCESS_POLICY},
        ),
        ({"report": Report(documents=0, rejected=0, unsound=0, exposed=0)}, {Aspect.QUALITY}),
    ],
)
def test_what_a_scan_cannot_say_is_unknown_and_never_a_pass(changes: dict[str, Any], aspects: set[Aspect]) -> None:
    readiness = found(scan(**changes))
    assert set(readiness.unknown) == aspects
    assert readiness.value is None
    answers: dict[str, Any] = {one.value: answer("0.5") for one in aspects}
    answered = found(scan(**changes), **answers)
    assert answered.value == 1 - Decimal("0.5") * len(aspects) / 8


def two(**answers: Answer) -> DataReadiness:
    case = use_case(corpora=(POLICIES, FORMS), readiness={Aspect(name): one for name, one in answers.items()})
    return assess(case, {POLICIES: scan(with_acl=60)}, BOTH, now=NOW)


def test_the_worst_corpus_counts_and_one_without_a_scan_needs_an_answer() -> None:
    assert Aspect.ACCESS_POLICY in two().unknown
    assert of(two(access_policy=answer("1")), Aspect.ACCESS_POLICY).score == Decimal("0.5")
    assert of(two(access_policy=answer("0.25")), Aspect.ACCESS_POLICY).score == Decimal("0.25")
    case = use_case(corpora=(POLICIES, FORMS))
    both = {POLICIES: SCAN, FORMS: scan(corpus=FORMS, with_acl=0)}
    assert assess(case, both, BOTH, now=NOW).value == 0
    assert assess(case, {FORMS: both[FORMS]}, BOTH, now=NOW).vetoes == (Aspect.ACCESS_POLICY,)


def test_a_use_case_without_a_corpus_is_answered_whole() -> None:
    case = use_case(readiness={one: answer("1") for one in Aspect})
    assert assess(case, {}, BOTH, now=NOW).value == 1
    assert "no corpus is named" in of(assess(use_case(), {}, BOTH, now=NOW), Aspect.QUALITY).text


def test_ages_are_said_in_days_or_hours() -> None:
    fresh = replace(SCAN, refreshed_at=NOW - timedelta(hours=5), period=timedelta(days=1))
    assert of(found(fresh), Aspect.FRESHNESS).text == "policies@3: refreshed 5 h ago, due every 1 day"


def test_the_record_holds_bounds_and_what_is_unknown() -> None:
    shown = found(replace(SCAN, has_exclusions=False)).as_json()
    assert (shown["value"], shown["least"], shown["most"]) == (None, "0.875", "1")
    assert (shown["unknown"], shown["set_to_zero_by"]) == (["exclusions"], [])
    (unknown,) = [one for one in found(None).as_json()["scores"] if one["aspect"] == "quality"]  # type: ignore[union-attr, index, call-overload]
    assert (unknown["score"], unknown["date"], unknown["by"], unknown["basis"]) == (None, None, None, "nothing")  # type: ignore[index, call-overload]
