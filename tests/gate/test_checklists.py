"""Checklists of regulations: every item is answered by whoever signs, and a yes rests on evidence that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import NOW, empty, holder, role_gate, voted

from pilotage.gate.binding import policy_digest
from pilotage.gate.checklists import checklists_of
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Gate
from pilotage.workspace.regulation import Regulation, RegulationItem

ENGINEER = Role.SENIOR_ENGINEER
FIRST, SECOND = holder(ENGINEER), holder(ENGINEER, 1)
BSA = Regulation(
    name="bsa",
    title="Bank Secrecy Act",
    source="https://example.gov/act",
    as_of="2026-10-01",
    items=(
        RegulationItem(id="records", text="Kept for five years", cite="31 CFR 1010.430", evidence=("tests.unit",)),
        RegulationItem(id="escalation", text="Escalated", cite="31 CFR 1020.320"),
    ),
)
YES = {"read the diff": "yes", "bsa.records": "yes", "bsa.escalation": "yes"}


def regulated(regulation: Regulation = BSA) -> Gate:
    gate = role_gate()
    (signoff,) = gate.pre.signoffs
    return replace(gate, pre=replace(gate.pre, signoffs=(replace(signoff, regulations=(regulation,)),)))


def answered(given: GateInput, **answers: str) -> GateInput:
    """Let both engineers approve; `answers` name items with an underscore for the point."""
    said = YES | {name.replace("_", "."): answer for name, answer in answers.items()}
    for person in (FIRST, SECOND):
        given = voted(given, ENGINEER, person=person)
    return replace(given, votes=tuple(replace(one, checklist=said) for one in given.votes))


def open_items(given: GateInput) -> set[tuple[str, str | None]]:
    (signoff,) = decide(given, NOW).signoffs
    return {(why.code, why.where) for _, why in signoff.not_counted}


@pytest.mark.feature("D8.14")
def test_every_item_of_a_checklist_is_answered_by_whoever_signs() -> None:
    given = answered(empty(regulated()))
    assert decide(given, NOW).status is GateStatus.APPROVED
    assert open_items(answered(given, bsa_records="")) == {("CHECKLIST_OPEN", "bsa.records")}
    assert open_items(answered(given, bsa_escalation="n/a: nobody of ours files")) == set()


def test_a_yes_without_its_evidence_does_not_count() -> None:
    given = answered(empty(regulated()))
    bare = replace(given, evidence=tuple(one for one in given.evidence if one.kind != "tests.unit"))
    assert ("CHECKLIST_EVIDENCE", "bsa.records") in open_items(bare)
    assert open_items(answered(bare, bsa_records="n/a: no code")) != open_items(bare)


def test_a_checklist_that_changes_is_another_policy_and_none_is_the_policy_of_before() -> None:
    changed = replace(BSA, as_of="2027-01-01")
    plain, before, after = (policy_digest(one) for one in (role_gate(), regulated(), regulated(changed)))
    assert len({plain, before, after}) == 3
    assert plain == "sha256:5ccb65a729b9b5319feae35a2703321428f393c6a1bf6ee38de49e2f96fa73c0"


def test_each_item_stands_beside_who_answered_it_and_what_it_lacks() -> None:
    given = answered(empty(regulated()))
    (one,) = checklists_of(given, decide(given, NOW), {"tests.unit"})
    assert [vote.person for vote, _ in one.items[0].answers] == [FIRST, SECOND]
    assert (one.open_items, one.items[0].missing) == (0, ())
    record = one.as_json()
    assert (record["checklist"], record["source"], record["as_of"]) == ("bsa", BSA.source, "2026-10-01")
    nobody = empty(regulated())
    (bare,) = checklists_of(nobody, decide(nobody, NOW), ())
    assert (bare.open_items, bare.items[0].missing, bare.items[0].answers) == (2, ("tests.unit",), ())
