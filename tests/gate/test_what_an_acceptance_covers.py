"""An acceptance covers what was open when it was given: nothing that came, or grew worse, since (gates.md 4.3, 4.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import (
    DAY,
    GOOD_LOAD,
    GOOD_SCAN,
    LATENCY,
    NOW,
    Accepting,
    adding,
    board_gate,
    empty,
    equal,
    evidence,
    finding,
    swap,
)

from pilotage.evidence.records import Evidence, Severity, ToolFinding
from pilotage.gate.covering import open_now
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput, RiskAcceptance
from pilotage.gate.report import CriterionResult
from pilotage.workspace.gate import Condition, Criterion, Gate, Operator

CVE_1, CVE_2 = finding(Severity.HIGH), finding(Severity.HIGH, "CVE-2")


def given(*items: Evidence, gate: Gate | None = None) -> GateInput:
    return swap(empty(gate or board_gate()), *items)


def result(about: GateInput, name: str, *risks: RiskAcceptance) -> CriterionResult:
    report = decide(replace(about, acceptances=risks), NOW)
    (found,) = [one for one in report.criteria if one.id == name]
    return found


def accepted(about: GateInput, name: str, *named: str, id_: str = "risk-1") -> RiskAcceptance:
    """Return an acceptance of a criterion as it stands in this input."""
    made = Accepting(criteria=(name,), name=id_).made()
    return replace(made, findings=named, open_then=(open_now(result(about, name), named),))


def scan(*findings: ToolFinding, **claims: float) -> Evidence:
    counted = {"high": float(sum(one.severity is Severity.HIGH for one in findings))}
    return evidence("scan.sast", {**GOOD_SCAN, **counted, **claims}, findings=findings)


def slow(p95: float | None) -> Evidence:
    claims = {name: value for name, value in GOOD_LOAD.items() if name != "p95"}
    return evidence("load.peak", claims if p95 is None else {**claims, "p95": p95})


def test_a_finding_that_came_later_is_not_covered() -> None:
    risk = accepted(given(scan(CVE_1)), "no-high")
    assert result(given(scan(CVE_1)), "no-high", risk).accepted_by == risk.id
    assert result(given(scan(CVE_1, CVE_2)), "no-high", risk).accepted_by is None


def test_another_finding_in_the_place_of_the_accepted_one_is_not_covered() -> None:
    risk = accepted(given(scan(CVE_1)), "no-high")
    assert result(given(scan(CVE_2)), "no-high", risk).accepted_by is None


def test_a_finding_of_another_severity_is_no_matter_of_the_criterion() -> None:
    risk = accepted(given(scan(CVE_1)), "no-high")
    more = scan(CVE_1, finding(Severity.LOW, "CVE-3"))
    assert result(given(more), "no-high", risk).accepted_by == risk.id


@pytest.mark.parametrize("named", ["CVE-1", "CVE-1|lib|1.0|"])
def test_only_named_findings_are_covered_where_any_is_named(named: str) -> None:
    both = given(scan(CVE_1, CVE_2))
    one = accepted(both, "no-high", named)
    assert result(both, "no-high", one).accepted_by is None
    other = accepted(both, "no-high", "CVE-2", id_="risk-2")
    report = decide(replace(both, acceptances=(other, one)), NOW)
    assert {found.id: found.accepted_by for found in report.criteria}["no-high"] == "risk-1"
    assert set(report.acceptances) <= {"risk-1", "risk-2"}
    assert result(given(scan(CVE_1)), "no-high", one).accepted_by == one.id


@pytest.mark.parametrize(("p95", "is_covered"), [(2_100.0, True), (2_050.0, True), (2_100.1, False), (None, False)])
def test_a_value_is_covered_while_it_is_no_worse(p95: float | None, is_covered: bool) -> None:
    risk = accepted(given(slow(2_100.0)), "latency")
    assert (result(given(slow(p95)), "latency", risk).accepted_by is not None) is is_covered


def test_what_was_accepted_as_missing_is_not_accepted_as_failed() -> None:
    nothing = given(slow(None))
    risk = accepted(nothing, "latency")
    assert result(nothing, "latency", risk).accepted_by == risk.id
    assert result(given(slow(2_050.0)), "latency", risk).accepted_by is None


def test_what_was_accepted_of_one_suite_is_not_accepted_of_another() -> None:
    first = given(slow(2_100.0))
    risk = accepted(first, "latency")
    for p95, is_covered in ((2_050.0, False), (900.0, True)):
        other = evidence("load.peak", {**GOOD_LOAD, "p95": p95}, suite="search")
        about = adding(first, [other])
        assert (result(about, "latency", risk).accepted_by is not None) is is_covered


def judged(operator: Operator, then: float, now: float, *, limit: float | None = 10.0) -> bool:
    condition = Condition(claim="p95", operator=operator, limit=limit, path=None if limit is not None else "workflow.x")
    gate = board_gate()
    pre = replace(gate.pre, criteria=(replace(LATENCY, all=(condition,)),))
    gate = replace(gate, pre=pre)
    risk = accepted(given(slow(then), gate=gate), "latency")
    return result(given(slow(now), gate=gate), "latency", risk).accepted_by is not None


def test_no_worse_goes_by_the_operator() -> None:
    assert judged(Operator.GE, 5, 6)
    assert not judged(Operator.GE, 5, 4)
    assert judged(Operator.EQ, 12, 9)
    assert not judged(Operator.EQ, 12, 13)
    assert judged(Operator.NE, 10, 10)
    assert not judged(Operator.EQ, 12, 11, limit=None)


def test_an_operator_without_order_covers_the_same_value_alone() -> None:
    condition = Condition(claim="p95", operator=Operator.NE, path="workflow.sla.p95_ms")
    gate = board_gate()
    gate = replace(gate, pre=replace(gate.pre, criteria=(replace(LATENCY, all=(condition,)),)))
    about = given(slow(2_000.0), gate=gate)
    before = accepted(about, "latency")
    (then,) = before.open_then or ()
    (check,) = then.checks
    moved = replace(before, open_then=(replace(then, checks=(replace(check, observed="1900"),)),))
    assert result(about, "latency", before).accepted_by == before.id
    assert result(about, "latency", moved).accepted_by is None


def test_expired_evidence_stays_accepted_as_it_ages_and_other_evidence_is_not() -> None:
    def old(days: int, name: str = "first") -> GateInput:
        return given(replace(slow(900.0), id=name, produced_at=NOW - days * DAY, received_at=NOW - days * DAY))

    risk = accepted(old(31), "latency")
    assert result(old(40), "latency", risk).accepted_by == risk.id
    assert result(old(31, "second"), "latency", risk).accepted_by is None


def test_findings_that_a_criterion_counts_by_another_name_are_its_findings() -> None:
    secret = ToolFinding(rule="aws-key", severity=Severity.MEDIUM, location="a.py")
    gate = board_gate()
    criterion = Criterion(
        id="secrets", of=("scan.secrets",), all=(equal("unverified", 0),), trust=LATENCY.trust, accept=LATENCY.accept
    )
    gate = replace(gate, pre=replace(gate.pre, criteria=(criterion,)))

    def held(*found: ToolFinding) -> GateInput:
        return given(evidence("scan.secrets", {"unverified": float(len(found))}, findings=found), gate=gate)

    risk = accepted(held(secret), "secrets")
    assert result(held(secret), "secrets", risk).accepted_by == risk.id
    assert result(held(replace(secret, location="b.py")), "secrets", risk).accepted_by is None


def test_a_criterion_that_was_not_looked_at_is_not_covered() -> None:
    about = given(slow(2_100.0))
    risk = replace(accepted(about, "latency"), open_then=())
    assert result(about, "latency", risk).accepted_by is None


def test_an_acceptance_from_before_this_was_written_down_covers_the_criteria_it_names() -> None:
    assert result(given(slow(2_900.0)), "latency", Accepting(criteria=("latency",)).made()).accepted_by == "risk-1"
