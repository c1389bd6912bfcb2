"""What a gate says is a sentence for people: what was looked for, what was found and what to do, never a bare claim."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.gate.builders import NOW, board_gate, criterion, empty, equal, evidence, facts

from pilotage.gate.criteria import check_criterion
from pilotage.gate.wording import asks, claim_words, kind_words, lacks, no_limit, not_held, not_told, remedy
from pilotage.workspace.evidence_kinds import KINDS, TARGET_METRICS
from pilotage.workspace.gate import Condition, Operator, Trust

ADD = "`pilotage evidence add DIGEST FILE --kind"


def limited(claim: str, operator: Operator, limit: float) -> Condition:
    return Condition(claim=claim, operator=operator, limit=limit)


@pytest.mark.parametrize(
    ("kind", "condition", "observed", "said"),
    [
        (
            "fact.deployment",
            equal("answering", 1),
            0.0,
            (
                "The deployment: it has answered no question in the last 24 hours. Needed: it answers questions."
                " Promote the release into the space and ask it a question there, then look again."
            ),
        ),
        (
            "fact.budget",
            equal("forecast_over_budget", 0),
            1.0,
            (
                "The budget: the forecast is above the budget. Needed: the forecast is within the budget."
                " Name who approved it in budget-approval.md, and keep the forecast under the month's budget."
            ),
        ),
        (
            "drill.rollback",
            equal("verified", 1),
            0.0,
            (
                "The rollback drill: the drill was not confirmed. Needed: the drill was confirmed."
                " Read its report, mend the release, then run `pilotage drill rollback WORKFLOW --space SPACE`."
            ),
        ),
        (
            "scan.secrets",
            equal("verified", 0),
            1.0,
            (
                "The scan for secrets: the number of secrets found that work is 1; it must be 0."
                f" Mend what it found, and bring a newer result: {ADD} scan.secrets`."
            ),
        ),
        (
            "fact.deployment",
            limited("ready_instances", Operator.GE, 3),
            1.0,
            (
                "The deployment: the number of processes ready with it is 1; it must be at least 3."
                " Promote the release into the space and ask it a question there, then look again."
            ),
        ),
        (
            "document.user-guide",
            equal("complete", 1),
            0.0,
            (
                "The document user guide: it is not complete, or not in force."
                f" Needed: it is complete and in force. Complete it and attach it again: {ADD} document.user-guide`."
            ),
        ),
        ("fact.own", equal("tried", 1), 0.5, "The evidence fact.own: tried is 0.5; it must be 1."),
        ("fact.oncall", equal("primary_now", 1), 0.5, None),
    ],
)
def test_what_does_not_hold_is_told_with_what_to_do(
    kind: str, condition: Condition, observed: float, said: str | None
) -> None:
    text = not_held(kind, condition, observed, condition.limit or 0.0, note="", space=None)
    assert text == said or (said is None and "primary now is 0.5" in text)


@pytest.mark.parametrize(
    ("kind", "claim", "words"),
    [
        ("tests.unit", "failed", "the number of tests that failed"),
        ("uat", "failed", "the number of scenarios that failed"),
        ("load.peak", "p95", "the response time that 95 % of requests stay under, in ms,"),
        ("evaluation", "answer_accuracy_lcb", "the lower confidence bound of answer accuracy"),
        ("evaluation", "hallucination_answer_ucb", "the upper confidence bound of hallucination answer"),
        ("coverage", "critical_rate", "the share of critical paths covered"),
    ],
)
def test_a_claim_is_named_by_what_it_means(kind: str, claim: str, words: str) -> None:
    assert claim_words(kind, claim) == words


def test_every_kind_and_claim_has_words() -> None:
    for kind, claims in KINDS.items():
        assert not re.search(r"[._]|^the evidence [a-z]+$", kind_words(kind)), kind
        for claim in claims - TARGET_METRICS:
            for limit in (0.0, 1.0):
                said = asks(kind, equal(claim, limit), limit)
                assert not re.search(r"[a-z]_[a-z]", said), said
                assert said != f"{claim} must be {limit:g}" or kind == "fairness", (kind, said)
    assert [kind_words(kind) for kind in ("tests.e2e", "tests.unit", "document.model-card", "own.kind")] == [
        "end-to-end tests",
        "unit tests",
        "the document model card",
        "the evidence own.kind",
    ]
    assert all(remedy(kind, space=None) for kind in KINDS)


def test_what_is_not_known_and_what_has_no_limit_says_so() -> None:
    latency = Condition(claim="p95", operator=Operator.LE, path="workflow.sla.p95_ms")
    assert no_limit("load.peak", latency).endswith("stay under, in ms,. Set sla.p95_ms in workflow.yaml.")
    assert no_limit("load.peak", replace(latency, path="space.rto_s")).endswith("Set rto_s in the file of the space.")
    assert asks("load.peak", latency, None).endswith("must be at most what workflow.sla.p95_ms says")
    text = not_told("fact.monitoring", equal("logs", 1), 1.0, note="Never.", space=None)
    assert text.startswith("Monitoring: nothing is known of this: requests are logged. Never. Send a request ")


def test_a_criterion_says_what_it_looks_for_whether_it_holds_or_not() -> None:
    tested = replace(criterion("unit", "tests.unit", equal("failed", 0), equal("errors", 0)), trust=Trust.PUSHED)
    given = replace(empty(board_gate()), facts=facts(board_gate()))
    good = evidence("tests.unit", claims={"failed": 0.0, "errors": 0.0})
    wanted = "Unit tests: the number of tests that failed must be 0; the number of tests that broke off must be 0."
    assert check_criterion(tested, given, [good], NOW).looks_for == wanted
    absent = check_criterion(tested, given, [], NOW)
    assert absent.looks_for == wanted
    (check,) = absent.checks
    assert check.reason is not None
    assert check.reason.text == (
        "There is no current result of unit tests. Looked for: the number of tests that failed must be 0; the number of"
        f" tests that broke off must be 0. Bring it: {ADD} tests.unit`."
    )
    assert (check.reason.code, check.condition) == ("CRITERION_INCONCLUSIVE", "failed = 0; errors = 0")
    assert replace(absent, checks=()).looks_for == ""


@pytest.mark.parametrize(
    ("observed", "limit", "said"),
    [
        (1_000_001.0, 1_000_000.0, "is 1,000,001; it must be at most 1,000,000"),
        (0.90000001, 0.9, "is 0.90000001; it must be at most 0.9"),
        (0.0000025, 0.000001, "is 0.0000025; it must be at most 0.000001"),
        (0.25, 0.125, "is 0.25; it must be at most 0.125"),
    ],
)
def test_numbers_that_differ_are_told_apart_without_exponents(observed: float, limit: float, said: str) -> None:
    text = not_held("load.stress", limited("requests", Operator.LE, limit), observed, limit, note="", space=None)
    assert said in text


def test_a_document_that_is_not_complete_says_what_it_lacks() -> None:
    sections = tuple(f"Part {number}" for number in range(9))
    assert lacks({"missing_sections": sections}).endswith("Part 6, Part 7 and more.")
    assert lacks({"missing_sections": ("Scope",), "missing_fields": ("version",)}) == (
        "Missing: sections Scope; fields version."
    )
    assert lacks({"points": ("a",)}) == ""


def test_a_drill_counts_drills() -> None:
    assert claim_words("drill.rollback", "verified") == "the number of drills that were confirmed"
    assert claim_words("scan.secrets", "verified") == "the number of secrets found that work"
