"""Which case is worse, what decided, what so many cases show, what an answer may quote: all from a run's result."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pilotage.core.digest import digest_of
from pilotage.core.tails import binomial_sf, normal_quantile
from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.generation import Citation, Generation, Passage
from pilotage.evaluation.power import detectable_drop
from pilotage.evaluation.side_by_side import (
    CaseChange,
    Change,
    case_changes,
    compared_states,
    detectable,
    fact_text,
    margins_of,
    quoted,
    sources_of,
    unscored_cases,
    verdict_given,
    what_decided,
)
from pilotage.workspace.golden import Fact, FactForm

PRIMARY = "answer_accuracy"


def difference(metric: str = PRIMARY, **given: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": metric, "n": 200, "deff": 1.0, "ci": [-0.1, 0.1], "gains": [], "losses": []}
    return row | given


def criterion(text: str, verdict: str, says: str = "Said.") -> dict[str, Any]:
    return {"criterion": text, "verdict": verdict, "reason": {"text": says}}


@pytest.mark.parametrize(
    ("worse", "better", "word"),
    [
        ((PRIMARY,), ("mrr", "coverage"), Change.WORSE),
        (("mrr", "coverage"), (PRIMARY,), Change.BETTER),
        (("mrr",), ("coverage",), Change.MIXED),
        (("mrr",), (), Change.WORSE),
        ((), ("mrr",), Change.BETTER),
        ((), (), Change.SAME),
    ],
)
def test_the_primary_metric_says_whether_a_case_is_worse_and_the_others_where_it_did_not_move(
    worse: tuple[str, ...], better: tuple[str, ...], word: Change
) -> None:
    assert CaseChange(worse=worse, better=better).word(PRIMARY) is word


def test_a_case_carries_every_metric_in_which_it_moved() -> None:
    found = case_changes([difference(losses=["a", "b"]), difference("mrr", losses=["b"], gains=["c"])])
    assert found == {
        "a": CaseChange(worse=(PRIMARY,)),
        "b": CaseChange(worse=(PRIMARY, "mrr")),
        "c": CaseChange(better=("mrr",)),
    }


def test_what_blocks_is_said_first_with_how_much_more_there_is() -> None:
    reasons = [{"text": "It is worse."}, {"text": "A case failed."}]
    assert what_decided(Verdict.NO_GO, {"reasons": reasons}, PRIMARY) == "It is worse. And 1 more."
    assert what_decided(Verdict.INCONCLUSIVE, {"reasons": reasons[:1]}, PRIMARY) == "It is worse."
    assert what_decided(Verdict.INCONCLUSIVE, {}, PRIMARY) == "The run left no reason."


def test_a_go_is_said_by_the_comparison_of_the_primary_metric() -> None:
    other = criterion("non_inferior mrr 0.1", "go", "mrr holds.")
    primary = criterion(f"non_inferior {PRIMARY} 0.1", "go", "accuracy holds.")
    alone = criterion(f"{PRIMARY} >= 0.9", "go")
    result = {"criteria": [alone, other, primary]}
    assert what_decided(Verdict.GO, result, PRIMARY) == "accuracy holds. All 3 criteria hold."
    assert what_decided(Verdict.GO, result, "coverage") == "mrr holds. All 3 criteria hold."
    said = what_decided(Verdict.GO, {"criteria": [alone]}, PRIMARY)
    assert said == "All 1 criteria hold; none of them compares the two."


def test_a_go_over_no_criterion_says_that_nothing_was_judged() -> None:
    assert what_decided(Verdict.GO, {"criteria": []}, PRIMARY) == "The run judged no criterion."
    assert verdict_given(Verdict.GO, {}) is None
    assert verdict_given(Verdict.NO_GO, {}) is Verdict.NO_GO
    assert verdict_given(Verdict.GO, {"criteria": [criterion(f"{PRIMARY} >= 0.9", "go")]}) is Verdict.GO


def test_a_metric_stands_as_its_worst_comparison_and_may_lose_the_least_that_is_written() -> None:
    rows = [
        criterion(f"non_inferior {PRIMARY} 0.1", "go"),
        criterion(f"non_inferior {PRIMARY} 0.05", "inconclusive"),
        criterion("superior mrr", "no_go"),
        criterion(f"{PRIMARY} >= 0.9", "no_go"),
    ]
    assert compared_states({"criteria": rows}) == {PRIMARY: Verdict.INCONCLUSIVE, "mrr": Verdict.NO_GO}
    assert margins_of({"criteria": rows}) == {PRIMARY: 0.05}
    assert compared_states({}) == {}
    assert margins_of({}) == {}


def test_passes_and_fails_show_what_mcnemar_finds_with_the_share_that_changed() -> None:
    changed = difference(gains=["g"] * 4, losses=["l"] * 6)
    assert detectable(changed, repeats=1) == detectable_drop(200, 0.05) == 0.045
    assert detectable(difference(), repeats=1) == detectable_drop(200, 0.10)
    assert detectable(difference(deff=2.0), repeats=1) == detectable_drop(100, 0.10)
    assert detectable(difference(n=0), repeats=1) is None
    assert detectable(difference(n=24, losses=["l"] * 24), repeats=1) == detectable_drop(24, 1.0)
    assert detectable(difference(n=50, losses=["l"]), repeats=1) is None


def test_other_metrics_show_what_the_width_of_their_interval_allows() -> None:
    wanted = (normal_quantile(0.95) + normal_quantile(0.80)) * 0.1 / normal_quantile(0.975)
    assert detectable(difference("mrr"), repeats=1) == pytest.approx(wanted)
    assert detectable(difference(), repeats=3) == pytest.approx(wanted)
    assert detectable(difference("of_a_judge"), repeats=1) == pytest.approx(wanted)
    assert detectable(difference("mrr", ci=[0.0, 0.0]), repeats=1) is None
    assert detectable(difference("mrr", ci=[None, 0.1]), repeats=1) is None
    assert detectable(difference("mrr", ci=[-0.1, None]), repeats=1) is None


@pytest.mark.parametrize(("n", "psi"), [(20, 0.3), (40, 0.3), (100, 0.2), (150, 0.1), (30, 0.05)])
def test_the_search_for_the_smallest_loss_finds_what_trying_every_step_finds(n: int, psi: float) -> None:
    def least(changed: int) -> int:
        return next((losses for losses in range(changed + 1) if binomial_sf(losses, changed, 0.5) <= 0.05), changed + 1)

    def chance(changed: int) -> float:
        return math.comb(n, changed) * psi**changed * (1 - psi) ** (n - changed)

    def power(step: int) -> float:
        share = min(1.0, (1 + step * 0.005 / psi) / 2)
        return math.fsum(chance(m) * binomial_sf(least(m), m, share) for m in range(n + 1))

    steps = [step for step in range(1, round(psi / 0.005) + 1) if power(step) >= 0.80]
    assert detectable_drop(n, psi) == (round(steps[0] * 0.005, 3) if steps else None)


def test_cases_without_a_number_are_listed_by_reason_and_refusals_are_none_of_them() -> None:
    def one(case: str, reason: str) -> Assessment:
        return Assessment(
            case_id=case,
            case_digest=digest_of(b"case"),
            generation_digest=digest_of(b"answer"),
            scorer="mrr",
            version="mrr@1",
            status=Status.UNSCORED,
            reason=reason,
        )

    found = unscored_cases([one("b", "timeout"), one("a", "timeout"), one("a", "timeout"), one("c", "refused")])
    assert found == {"timeout": ["a", "b"]}


def _citation(chunk: str) -> Citation:
    return Citation(marker=1, document="d" if chunk else "", section="", chunk=chunk, text="")


def test_an_answer_may_quote_what_it_cites_and_all_it_was_shown_whatever_its_marks_say() -> None:
    shown = (Passage(marker=1, document="d", section="", chunk="1:0", text=""),)
    cited, lost = _citation("1:1"), _citation("")
    assert sources_of(Generation(answer="x", citations=(cited,), passages=shown)) == (cited, *shown)
    assert sources_of(Generation(answer="x", citations=(cited, lost), passages=shown)) == (cited, *shown)
    assert sources_of(Generation(answer="x", passages=shown)) == shown


def test_facts_and_quotes_are_told_in_words() -> None:
    assert fact_text(Fact(form=FactForm.TEXT, value="$43 million")) == "$43 million"
    assert fact_text(Fact(form=FactForm.ANY, value={"any": ["a", "b"]})) == "any a | b"
    assert fact_text(Fact(form=FactForm.NUMBER, value={"number": 4, "unit": None, "abs": 1})) == "abs 1, number 4"
    passage = "The fee  is 40\ndollars. " + "More of it. " * 20
    assert quoted("The fee is 40 dollars.", passage) == "The fee is 40 dollars."
    assert quoted("It costs 40.", passage) == " ".join(passage.split())[:160]
    assert quoted("", passage) == " ".join(passage.split())[:160]
