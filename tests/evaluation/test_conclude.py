"""The result of a run from its assessments: counts, claims and names that a gate reads, and leaks that block it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.evaluation.test_statistics_verdict import ACCURACY, LEAK, MEASURES, golden, one

from pilotage.core.digest import Digest, digest_of
from pilotage.evaluation.conclude import Answered, Asked, Attempts, CaseResult, Conclusion, conclude
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.leakage import Leak, LeakCode
from pilotage.workspace.golden import EvaluationSettings, GoldenCase, GoldenFile

NEW, OLD = digest_of(b"new"), digest_of(b"old")
COUNT = 200
CASES = golden(COUNT, must_pass=3, tags=("wires",))
SETTINGS = EvaluationSettings(thresholds={"answer_accuracy": 0.9})
FIRST = Attempts()


def asked(
    *leaked: str, settings: EvaluationSettings = SETTINGS, baseline: Digest | None = None, tags: int = 0
) -> Asked:
    required = {"wires": tags} if tags else {}
    return Asked(
        release=NEW,
        baseline=baseline,
        golden_digest=digest_of(b"golden"),
        files=(GoldenFile(name="g", cases=tuple(CASES.values()), required_tags=required),),
        settings=settings,
        measures={name: MEASURES[name] for name in ("answer_accuracy", "pii_leak")},
        leaks=tuple(Leak(case_id=name, code=LeakCode.PROMPT, where="prompt.md", share=1.0) for name in leaked),
    )


def answered(case: GoldenCase, accuracy: float | None, leak: float | None = 0.0) -> CaseResult:
    return CaseResult(
        case=case,
        case_digest=digest_of(case.id.encode()),
        repeat=0,
        generation=Generation(answer="a"),
        assessments=(one(case.id, ACCURACY, accuracy), one(case.id, LEAK, leak)),
    )


def results(wrong: Sequence[int] = (), missing: Sequence[int] = (), leaking: Sequence[int] = ()) -> list[CaseResult]:
    return [
        answered(case, None if n in missing else float(n not in wrong), float(n in leaking))
        for n, case in enumerate(CASES.values())
    ]


def concluded(found: Sequence[CaseResult], about: Asked | None = None, attempts: Attempts = FIRST) -> Conclusion:
    return conclude(about or asked(), Answered(candidate=found), attempts)


def codes(found: Conclusion) -> set[str]:
    return {reason.code for reason in found.reasons}


@pytest.mark.feature("D6.13")
def test_a_good_run_is_go_with_every_number_a_gate_reads() -> None:
    found = concluded(results(wrong=[50, 51]))
    assert found.verdict == "go"
    assert found.summary == "go: answer_accuracy 0.9900 over 200 cases"
    assert (found.scored, found.unscored) == (COUNT, 0)
    claims = found.claims
    assert (claims["scored"], claims["unscored"], claims["must_pass_failed"], claims["pii_leaks"]) == (200, 0, 0, 0)
    assert claims["answer_accuracy"] == pytest.approx(0.99)
    assert claims["answer_accuracy_lcb"] < 0.99 < claims["answer_accuracy_ucb"]
    assert "regressions" not in claims
    assert found.names["failed_cases"] == ("c0050", "c0051")
    assert len(found.names["passed_cases"]) == COUNT - 2
    body: Any = found.body
    assert body["failed"] == {"answer_accuracy": ["c0050", "c0051"]}
    assert (body["cases"], body["versions"], body["leaked"]) == (COUNT, ["1"], [])
    assert body["attempts"] == {"earlier": [], "gate_split": 0}


def test_the_same_answers_give_the_same_result_in_any_order() -> None:
    found = results(wrong=[50])
    assert concluded(found).body == concluded(found[::-1]).body


def test_a_missing_number_is_unscored_and_a_case_nobody_asked_too() -> None:
    found = results(missing=[7])
    assert concluded(found).claims["unscored"] == 1
    assert concluded(found).names["failed_cases"] == ("c0007",)
    empty = [*found[:-2], replace(found[-2], assessments=())]
    assert concluded(empty).claims["unscored"] == 3
    assert concluded(empty).claims["scored"] == COUNT - 3
    assert concluded([]).verdict == "inconclusive"
    assert "not measured" in concluded([]).summary


@pytest.mark.parametrize(("wrong", "failed"), [([0], 1), ([0, 2], 2), ([3], 0)])
def test_must_pass_cases_that_failed_are_claimed_by_number(wrong: list[int], failed: int) -> None:
    found = concluded(results(wrong=wrong))
    assert found.claims["must_pass_failed"] == failed
    assert (found.verdict == "no_go") is bool(failed)


def test_one_leaked_value_of_a_person_is_no_go_and_is_counted() -> None:
    found = concluded(results(leaking=[9, 10]))
    assert found.verdict == "no_go"
    assert found.claims["pii_leaks"] == 2


def test_leaks_are_not_counted_where_a_number_is_missing() -> None:
    found = results()
    found[5] = answered(found[5].case, 1.0, None)
    assert "pii_leaks" not in concluded(found).claims


@pytest.mark.parametrize(
    ("leaked", "blocks"),
    [(("c0100",), False), (("c0000",), True), (tuple(f"c{n:04}" for n in range(100, 112)), True)],
    ids=["one of many", "a must-pass case", "more than 5 %"],
)
def test_cases_that_leaked_into_the_release_do_not_decide_and_too_many_block(
    leaked: tuple[str, ...], blocks: bool
) -> None:
    found = concluded(results(), asked(*leaked))
    assert found.verdict == ("inconclusive" if blocks else "go")
    assert ("GOLDEN_LEAKED" in codes(found)) is blocks
    body: Any = found.body
    assert [row["case"] for row in body["leaked"]] == list(leaked)
    wrong = concluded(results(wrong=[100]), asked("c0100"))
    assert wrong.claims["answer_accuracy"] == 1.0


def test_a_leak_never_makes_a_bad_verdict_better() -> None:
    assert concluded(results(wrong=range(150)), asked("c0000")).verdict == "no_go"


def test_a_slice_that_is_too_small_and_an_earlier_no_go_hold_the_verdict_down() -> None:
    assert concluded(results(), asked(tags=COUNT)).verdict == "inconclusive"
    assert concluded(results(), attempts=Attempts(verdicts=("no_go",), count=1)).verdict == "no_go"


def test_what_got_worse_than_the_baseline_is_named_and_claimed() -> None:
    about = asked(baseline=OLD, settings=replace(SETTINGS, margins={"answer_accuracy": 0.02}))
    same = conclude(about, Answered(candidate=results(), baseline=results()), FIRST)
    assert (same.claims["regressions"], same.regressions) == (0, ())
    worse = conclude(about, Answered(candidate=results(wrong=range(50, 90)), baseline=results()), FIRST)
    assert worse.verdict == "no_go"
    assert worse.claims["regressions"] == len(worse.regressions) >= 1
    assert len({(one.code, one.where) for one in worse.regressions}) == len(worse.regressions)
    body: Any = worse.body
    assert body["regressions"] == [dict(one.as_json()) for one in worse.regressions]
