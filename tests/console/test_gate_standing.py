"""The first sentence of a gate says what keeps it from being met, and never blames people who have all signed."""

from __future__ import annotations

from dataclasses import replace

from tests.gate.builders import NOW, approved_roles, empty, role_gate

from pilotage.console.pages.gate import standing
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.gate.decide import decide
from pilotage.gate.vocabulary import GateStatus

APPROVED = decide(approved_roles(), NOW)


def test_a_met_gate_needs_no_sentence() -> None:
    assert APPROVED.status.is_approved
    assert standing(APPROVED) == ""


def test_open_criteria_are_counted() -> None:
    report = decide(replace(empty(role_gate()), evidence=()), NOW)
    assert standing(report) == "1 of 1 criterion open."


def test_a_gate_that_waits_for_one_before_it_does_not_wait_for_people() -> None:
    why = (Reason(code="GATE_NOT_MET", text="Gate dev-exit is stale; qa comes after it."),)
    blocked = replace(APPROVED, status=GateStatus.BLOCKED, reasons=why)
    assert standing(blocked) == "Every criterion holds, nobody is missing; what stands against it is said below."


def test_missing_and_rejecting_people_are_said() -> None:
    first, *others = APPROVED.signoffs
    waiting = replace(APPROVED, status=GateStatus.IN_REVIEW, signoffs=(replace(first, approved_by=()), *others))
    assert standing(waiting) == "Every criterion holds; what is missing are people."
    refused = replace(first, approved_by=(), rejected_by=(PersonId("felix.braun"),))
    rejected = replace(APPROVED, status=GateStatus.REJECTED, signoffs=(refused, *others))
    assert standing(rejected) == "Every criterion holds; somebody rejected it."
    covered = replace(APPROVED, status=GateStatus.BLOCKED, signoffs=(replace(refused, covered_by="R-1"), *others))
    assert "nobody is missing" in standing(covered)


def test_a_gate_that_asks_for_nothing_says_that_it_passes_nobody() -> None:
    nothing = replace(APPROVED, status=GateStatus.BLOCKED, criteria=(), signoffs=())
    assert standing(nothing) == "Blocked: an empty gate passes nobody."
    signed = replace(APPROVED, status=GateStatus.BLOCKED, criteria=())
    assert standing(signed).startswith("It has no criteria, nobody is missing")
