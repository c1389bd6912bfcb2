"""Every scorer on the specification's worked examples (evaluation.md 3)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from importlib import resources

import pytest
from tests.evaluation.scoring import CONTEXT, Plan, assess, make_case, make_citation, make_passage

from pilotage.core.errors import UsageError
from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Generation, ScoringContext
from pilotage.evaluation.registry import DEFAULT_SCORERS, SCORERS, scorers_named
from pilotage.evaluation.scorers import retrieval
from pilotage.evaluation.scorers.format import FormatRule, format_score, language_of
from pilotage.evaluation.scorers.operations import nearest_rank
from pilotage.evaluation.scorers.refusal import refusal_rates
from pilotage.guard.anchors import support_of
from pilotage.guard.finding import Finding
from pilotage.guard.grounding_features import features_of, grounding_tokens, read_evidence
from pilotage.guard.grounding_model import Coefficients, parse_coefficients, probability, shipped_coefficients
from pilotage.guard.policy import Action
from pilotage.workspace.golden import Fact, FactForm, GoldenCase, RefusalReason

EVIDENCE = (
    "For data collection in 2014, the asset-size exemption threshold is $43 million. "
    "Institutions with assets at or below that amount are exempt."
)
WRONG = "The asset-size exemption threshold for 2014 is $44 million, adjusted yearly."


def text_fact(value: str, **changed: object) -> Fact:
    return replace(Fact(form=FactForm.TEXT, value=value), **changed)  # type: ignore[arg-type]


def value(name: str, case: GoldenCase, generation: Generation, context: ScoringContext = CONTEXT) -> float | None:
    return assess(name, case, generation, context).value


def test_key_fact_recall_is_the_matched_weight() -> None:
    case = make_case(facts=(text_fact("$43 million", weight=2.0), text_fact("2014")))
    found = assess("key_fact_recall", case, Generation(answer="The threshold is $44 million for 2014."))
    assert found.value == pytest.approx(1 / 3)
    assert found.status is Status.FAIL
    assert found.details["missing"] == ["1"]
    assert value("key_fact_recall", case, Generation(answer="$43 million for 2014.")) == 1.0
    assert value("key_fact_recall", case, Generation(answer="$43 million for 2014.", refused=True)) == 0.0


def test_an_ambiguous_date_is_noted() -> None:
    case = make_case(facts=(text_fact("2026-08-07"),))
    assert assess("key_fact_recall", case, Generation(answer="By 07/08/2026.")).details["notes"] == ["ambiguous_date"]


def test_a_forbidden_fact_or_document_is_found_wherever_it_occurs() -> None:
    case = make_case(forbid=(text_fact("$84,000"),), forbid_documents=("secret.md",))
    assert value("forbidden_fact", case, Generation(answer="Nothing.")) == 0.0
    assert value("forbidden_fact", case, Generation(answer="It is not $84,000.")) == 1.0
    shown = Generation(answer="Nothing.", passages=(make_passage(document="secret.md"),))
    assert assess("forbidden_fact", case, shown).details["documents"] == ["secret.md"]
    cited = Generation(answer="Nothing [1].", citations=(make_citation(document="secret.md"),))
    assert assess("forbidden_fact", case, cited).status is Status.FAIL


def test_answers_are_compared_with_their_reference() -> None:
    case = make_case(answer="The limit is five days.")
    same = Generation(answer="the limit is  five days [1]")
    assert value("exact_match", case, same) == 1.0
    assert value("exact_match", case, replace_answer(same, refused=True)) == 0.0
    half = Generation(answer="The limit limit.")
    assert value("token_recall", case, half) == pytest.approx(2 / 5)
    assert value("token_f1", case, half) == pytest.approx(2 * 2 / (3 + 5))
    assert value("token_f1", case, Generation(answer="")) == 0.0


def replace_answer(generation: Generation, *, refused: bool) -> Generation:
    return Generation(answer=generation.answer, refused=refused)


@pytest.mark.parametrize(
    ("rule", "answer", "problems"),
    [
        (FormatRule(longest_words=3), "one two three four", ["length"]),
        (FormatRule(is_json=True, required=("a",)), '{"a": 1}', []),
        (FormatRule(is_json=True, required=("a",)), '{"b": 1}', ["schema"]),
        (FormatRule(is_json=True), "{broken", ["schema"]),
        (FormatRule(language="de"), "The limit of the card is set by the bank and not by the customer.", ["language"]),
        (FormatRule(language="en"), "The limit of the card is set by the bank and not by the customer.", []),
        (FormatRule(language="de"), "Too short.", []),
    ],
)
def test_format_says_what_is_wrong(rule: FormatRule, answer: str, problems: list[str]) -> None:
    scorer = replace(SCORERS["format"], function=format_score(rule))
    generation = Generation(answer=answer)
    case = make_case()
    found = scorer.score(Plan(case, case_digest(case)), generation, CONTEXT)
    assert found.details["problems"] == problems


def test_an_undecided_language_is_none() -> None:
    assert language_of("xyz " * 20) is None


@pytest.mark.feature("D14.35")
def test_citation_validity_counts_what_was_shown_and_allowed() -> None:
    case = make_case()
    cited = (make_citation(1), make_citation(2, valid=False), make_citation(3, allowed=False), make_citation(4))
    found = assess("citation_validity", case, Generation(answer="x [1][2][3][4]", citations=cited))
    assert (found.value, found.status, found.details["invalid"]) == (0.5, Status.FAIL, [2, 3])
    assert SCORERS["citation_validity"].measure.hard_zero


def test_citation_coverage_counts_fact_bearing_statements() -> None:
    answer = (
        "The first limit applies today here [1]. The second limit applies today here [1]. A third limit applies today."
    )
    found = value("citation_coverage", make_case(), Generation(answer=answer, citations=(make_citation(),)))
    assert found == pytest.approx(2 / 3)
    assert assess("citation_coverage", make_case(), Generation(answer="Yes.")).reason == "no_statements"
    invalid = Generation(answer="The limit is $5 [1].", citations=(make_citation(valid=False),))
    assert value("citation_coverage", make_case(), invalid) == 0.0


@pytest.mark.feature("D14.35")
def test_gold_citations_give_precision_and_recall() -> None:
    case = make_case(citations=(("a",), ("b",)))
    cited = (make_citation(1, "a"), make_citation(2, "x"))
    generation = Generation(answer="x [1][2]", citations=cited)
    assert value("citation_precision_gold", case, generation) == 0.5
    assert value("citation_recall_gold", case, generation) == 0.5
    none = Generation(answer="x")
    assert value("citation_precision_gold", case, none) == 0.0
    either = make_case(citations=(("a", "b"),))
    assert value("citation_recall_gold", either, generation) == 1.0


def test_a_section_is_met_by_that_section_only() -> None:
    case = make_case(citations=(("a#Fees",),))
    assert value("citation_recall_gold", case, Generation(answer="x [1]", citations=(make_citation(1, "a"),))) == 0.0
    other = Generation(answer="x [1]", citations=(replace(make_citation(1, "a"), section="Cards > Fees"),))
    assert value("citation_recall_gold", case, other) == 1.0


def test_citation_anchor_looks_into_the_cited_text() -> None:
    case = make_case(facts=(text_fact("$43 million"),))
    right = Generation(answer="It is $43 million [1].", citations=(make_citation(text=EVIDENCE),))
    wrong = Generation(answer="It is $44 million [1].", citations=(make_citation(text=EVIDENCE),))
    assert value("citation_anchor", case, right) == 1.0
    assert value("citation_anchor", case, wrong) == 0.0
    assert assess("citation_anchor", case, Generation(answer="It is $43 million.")).reason == "no_statements"


def test_quotes_and_names_are_anchors() -> None:
    assert support_of('It says "at or below that amount".', [EVIDENCE]).missing == ()
    assert support_of('It says "above that amount".', [EVIDENCE]).missing == ("above that amount",)
    assert support_of("It binds the Federal Reserve.", [EVIDENCE]).missing == ("Federal Reserve",)


def test_grounding_features_of_the_worked_example() -> None:
    support = support_of(WRONG, [EVIDENCE])
    features = features_of(grounding_tokens(WRONG), [read_evidence(EVIDENCE)], support)
    assert list(features[:4]) == pytest.approx([6 / 9, 3 / 10, 0.0, 1.0])
    assert (support.numbers, support.dates) == ((0, 1), (1, 1))
    assert 0 < features[5] < 1


def test_the_sigmoid_of_the_illustrative_coefficients() -> None:
    digest = shipped_coefficients().digest
    b = (-3, -1.5, 2.5, 0, 0, 0)
    six = Coefficients(b0=2, b=b, mean=(0,) * 6, sd=(1,) * 6, lo=0.2, hi=0.8, digest=digest)
    assert probability((0.75, 0.25, 0.5, 1, 1, 1), six) == pytest.approx(0.6513549, abs=1e-7)
    assert probability((400, 0, 0, 0, 0, 0), six) == pytest.approx(0.0)


def test_shipped_coefficients_reach_the_floor_where_they_must() -> None:
    body = json.loads(resources.files("pilotage.guard").joinpath("grounding_coefficients.json").read_text())
    assert all(body["auroc"][kind]["value"] >= 0.90 for kind in ("number", "date", "unit", "name", "foreign_clause"))
    assert 0 < body["lo"] <= body["hi"] < 1
    with pytest.raises(UsageError, match="features"):
        parse_coefficients(b'{"features": ["x"]}')
    body["sd"][0] = 0
    with pytest.raises(UsageError, match="above 0"):
        parse_coefficients(json.dumps(body).encode())


@pytest.mark.feature("D14.34")
def test_a_changed_amount_is_a_hallucination_and_a_copy_is_none() -> None:
    case = make_case(facts=(text_fact("$43 million"),))
    copy = "For data collection in 2014, the asset-size exemption threshold is $43 million [1]."
    for name, right, wrong in (("hallucination_answer", 0.0, 1.0), ("hallucination_statement", 0.0, 1.0)):
        good = Generation(answer=copy, citations=(make_citation(text=EVIDENCE),))
        bad = Generation(answer=f"{WRONG} [1]", citations=(make_citation(text=EVIDENCE),))
        assert (value(name, case, good), value(name, case, bad)) == (right, wrong)
    shown = Generation(answer=copy.replace(" [1]", ""), passages=(make_passage(text=EVIDENCE),))
    assert value("hallucination_answer", case, shown) == 0.0
    assert assess("grounding", case, shown).status is Status.PASS
    assert (
        assess("grounding", case, Generation(answer=f"{WRONG} [1]", citations=(make_citation(text="x"),))).status
        is Status.FAIL
    )


def test_what_an_invalid_citation_says_supports_nothing() -> None:
    copy = "For data collection in 2014, the asset-size exemption threshold is $43 million [1]."
    hidden = Generation(answer=copy, citations=(make_citation(text=EVIDENCE, allowed=False),))
    assert value("hallucination_answer", make_case(), hidden) == 1.0


def test_superseded_sources_personal_data_and_blocked_findings_are_hard_zeros() -> None:
    case = make_case(question="Whose number is it?")
    old = Generation(answer="x [1]", citations=(make_citation(effective=False),))
    assert value("superseded_source", case, old) == 1.0
    assert value("superseded_source", case, Generation(answer="x [1]", citations=(make_citation(),))) == 0.0
    ssn = "The social security number is 536-90-4399."
    assert value("pii_leak", case, Generation(answer=ssn)) == 1.0
    assert value("pii_leak", case, Generation(answer="None.")) == 0.0
    assert value("pii_leak", case, Generation(answer=f"{ssn} [1]", citations=(make_citation(text=ssn),))) == 0.0
    hidden = make_citation(text=ssn, allowed=False)
    assert value("pii_leak", case, Generation(answer=f"{ssn} [1]", citations=(hidden,))) == 1.0
    assert value("pii_leak", make_case(question=ssn), Generation(answer=ssn)) == 0.0
    blocked = (Finding(check="urls", type="URL", count=1, action=Action.BLOCK),)
    assert value("policy_violation", case, Generation(answer="x", findings=blocked)) == 1.0
    assert value("policy_violation", case, Generation(answer="x", findings=blocked, refused=True)) == 0.0
    assert all(SCORERS[name].measure.hard_zero for name in ("superseded_source", "pii_leak", "policy_violation"))


def test_a_refusal_is_right_when_expected_and_for_a_named_reason() -> None:
    refused = Generation(answer="No.", refused=True, refusal_reason="not_found")
    assert value("refusal_correct", make_case(refuse=True), refused) == 1.0
    assert value("refusal_correct", make_case(refuse=False), refused) == 0.0
    hidden = make_case(refuse=True, refuse_reasons=(RefusalReason.NOT_PERMITTED,))
    assert value("refusal_correct", hidden, refused) == 1.0
    policy = make_case(refuse=True, refuse_reasons=(RefusalReason.POLICY,))
    assert value("refusal_correct", policy, refused) == 0.0
    assert value("refusal_correct", policy, Generation(answer="No.", refused=True, refusal_reason="guard")) == 1.0


def test_refusal_rates_of_the_worked_example() -> None:
    def many(n: int, *, expected: bool, refused: bool) -> list[Assessment]:
        case = make_case(refuse=expected)
        return [assess("refusal_correct", case, Generation(answer="x", refused=refused))] * n

    rates = refusal_rates(
        many(12, expected=False, refused=True)
        + many(188, expected=False, refused=False)
        + many(54, expected=True, refused=True)
        + many(6, expected=True, refused=False)
    )
    assert rates.recall == pytest.approx(0.900)
    assert rates.precision == pytest.approx(0.818, abs=5e-4)
    assert rates.over_refusal == pytest.approx(0.060)
    assert rates.balanced_accuracy == pytest.approx(0.920)
    assert rates.f1 == pytest.approx(0.857, abs=5e-4)
    empty = refusal_rates([])
    assert (empty.recall, empty.precision, empty.over_refusal, empty.balanced_accuracy, empty.f1) == (None,) * 5


def test_retrieval_of_the_worked_example() -> None:
    case = make_case(retrieve={"a": 3, "b": 2, "c": 1})
    ranked = Generation(answer="x", passages=tuple(make_passage(n, name) for n, name in enumerate("xbayc", start=1)))
    at_three = {name: metric_at(name, case, ranked, 3) for name in ("recall", "mrr", "ndcg")}
    assert at_three["recall"] == pytest.approx(2 / 3)
    assert at_three["mrr"] == 0.5
    assert at_three["ndcg"] == pytest.approx(0.57999, abs=1e-5)
    assert value("ndcg_at_k", case, ranked) == pytest.approx(0.66124, abs=1e-5)
    assert value("precision_at_k", case, ranked) == pytest.approx(3 / 5)
    assert value("hit_at_k", case, ranked) == 1.0
    hidden = Generation(answer="x", passages=tuple(make_passage(n, name) for n, name in enumerate("xbay", start=1)))
    readable = ScoringContext(as_of=date(2026, 1, 1), readable=frozenset("abxy"))
    assert value("ndcg_at_k", case, hidden, readable) == pytest.approx(0.64804, abs=1e-5)
    nobody = ScoringContext(as_of=date(2026, 1, 1), readable=frozenset())
    assert assess("mrr", case, ranked, nobody).is_harmful is False
    assert value("mrr", case, Generation(answer="x")) == 0.0


def metric_at(name: str, case: GoldenCase, generation: Generation, k: int) -> float:
    functions = {"recall": retrieval.recall, "mrr": retrieval.reciprocal_rank, "ndcg": retrieval.ndcg}
    grades = retrieval.grades_of(generation.passages, case.expect.retrieve)
    return functions[name](grades, case.expect.retrieve, k)


def test_a_documents_second_passage_holds_no_rank_of_its_own() -> None:
    case = make_case(retrieve={"a": 1})
    passages = tuple(
        replace(make_passage(n, name), section=str(n)) for n, name in enumerate(("x", "x", "a", "a"), start=1)
    )
    assert value("mrr", case, Generation(answer="x", passages=passages)) == 0.5


@pytest.mark.feature("D6.14", "D10.21")
def test_percentiles_are_by_nearest_rank() -> None:
    twenty = [float(n) for n in range(1, 21)]
    assert nearest_rank(twenty, 0.95) == 19
    assert nearest_rank(twenty, 0.50) == 10
    assert nearest_rank([7.0], 0.99) == 7
    assert nearest_rank([], 0.5) is None


def test_no_price_is_never_zero_and_nothing_measured_is_no_latency() -> None:
    assert assess("cost", make_case(), Generation(answer="x")).reason == "unpriced"
    assert value("cost", make_case(), Generation(answer="x", cost_nano=1_500_000_000)) == 1.5
    assert assess("latency_ms", make_case(), Generation(answer="x")).reason == "missing_field"
    assert value("latency_ms", make_case(), Generation(answer="x", latency_ms=12.5)) == 12.5


def test_answer_accuracy_needs_every_applicable_part() -> None:
    case = make_case(facts=(text_fact("$43 million"),), refuse=False, forbid=(text_fact("secret"),))
    good = Generation(answer="It is $43 million [1].", citations=(make_citation(text=EVIDENCE),))
    assert value("answer_accuracy", case, good) == 1.0
    for changed, part in (
        (Generation(answer="It is $44 million."), "key_fact_recall"),
        (Generation(answer="It is $43 million, secret."), "forbidden_fact"),
        (Generation(answer="$43 million [1].", citations=(make_citation(valid=False),)), "citation_validity"),
    ):
        assert assess("answer_accuracy", case, changed).details["failed"] == [part]
    refused = assess("answer_accuracy", case, Generation(answer="$43 million", refused=True))
    assert refused.details["failed"] == ["refusal_correct", "key_fact_recall"]


def test_unknown_scorers_are_refused_with_the_nearest_name() -> None:
    assert [one.measure.name for one in scorers_named([])] == list(DEFAULT_SCORERS)
    with pytest.raises(UsageError, match="no scorer 'key_fact_recal'") as refused:
        scorers_named(["key_fact_recal"])
    assert "key_fact_recall" in str(refused.value.hint)
