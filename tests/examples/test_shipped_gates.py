"""Each gate of the shipped pipeline refuses each single lack of what the mission asks there, by name and number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.examples.shipped_gates import (
    CHECKLISTS,
    DEMANDS,
    DOCUMENTS,
    SIGNERS,
    WHOLE,
    Demand,
    claims_met,
    demands,
    gate_named,
    given,
    report,
    signed,
    unmet,
)
from tests.gate.builders import holder

from pilotage.gate.checklists import checklists_of
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.gate.wording import capital, kind_words
from pilotage.identity.roles import Role

EVERY = sorted(DEMANDS)
UNKNOWN = "CRITERION_INCONCLUSIVE"


def each(name: str) -> pytest.MarkDecorator:
    some = demands(name)
    return pytest.mark.parametrize("asked", some, ids=[f"{one.kind} {one.claim}" for one in some])


def refuses(name: str, asked: Demand) -> None:
    """Check that the gate refuses this value alone, says where and why, and does not pass without the evidence."""
    claims = claims_met(name)
    claims[asked.kind][asked.claim] = asked.refused
    found = report(given(name, claims))
    assert found.status is GateStatus.COLLECTING
    assert [one.id for one in unmet(found)] == [asked.criterion]
    (reason,) = found.reasons
    assert (reason.code, reason.where, reason.observed) == (
        "CRITERION_NOT_MET",
        asked.criterion,
        f"{asked.refused:.6g}",
    )
    said = f"{capital(kind_words(asked.kind))}: "
    assert reason.text.startswith(said)
    assert f"is {asked.refused:,.6g}; it must" in reason.text or "Needed: " in reason.text
    del claims[asked.kind]
    found = report(given(name, claims))
    assert found.status is GateStatus.COLLECTING
    assert asked.criterion in {one.id for one in unmet(found)}
    words = kind_words(asked.kind)
    assert any(words.casefold() in one.text.casefold() for one in found.reasons if one.code == UNKNOWN), words


@pytest.mark.parametrize("name", EVERY)
def test_a_gate_asks_for_exactly_what_the_mission_asks_there(name: str) -> None:
    gate, half = gate_named(name)
    rules = gate.pre if half is Half.PRE else gate.post
    assert rules is not None
    in_file = {(one.id, kind, condition.claim) for one in rules.criteria for kind in one.of for condition in one.all}
    assert in_file == {(one.criterion, one.kind, one.claim) for one in demands(name)}
    assert " ".join(rules.documents) == DOCUMENTS.get(name, "")


@pytest.mark.feature("D1.10", "D1.11")
@each("development")
def test_development(asked: Demand) -> None:
    refuses("development", asked)


@pytest.mark.feature("D5.7", "D5.8", "D5.9", "D5.10", "D5.13", "D5.14", "D5.15", "R0.2")
@each("code-review")
def test_code_review(asked: Demand) -> None:
    refuses("code-review", asked)


@pytest.mark.feature("D6.13", "D6.16", "D6.22", "D6.23", "D8.18")
@each("model-validation")
def test_model_validation(asked: Demand) -> None:
    refuses("model-validation", asked)


@pytest.mark.feature("D8.1", "D8.8")
@each("compliance")
def test_compliance(asked: Demand) -> None:
    refuses("compliance", asked)


@pytest.mark.feature("D9.9", "D9.11", "D9.13", "D9.31")
@each("dev-exit")
def test_dev_exit(asked: Demand) -> None:
    refuses("dev-exit", asked)


@pytest.mark.feature(
    "D10.1",
    "D10.3",
    "D10.8",
    "D10.12",
    "D10.17",
    "D10.20",
    "D10.23",
    "D10.24",
    "D10.25",
    "D10.27",
    "D10.28",
    "D10.30",
    "D10.31",
)
@each("qa")
def test_qa(asked: Demand) -> None:
    refuses("qa", asked)


@pytest.mark.feature("D11.5", "D11.14", "D11.15", "D11.42", "D11.43", "D11.45")
@each("uat")
def test_uat(asked: Demand) -> None:
    refuses("uat", asked)


@pytest.mark.feature("D12.2", "D12.21", "D12.36", "D12.42", "D12.43")
@each("cab")
def test_cab(asked: Demand) -> None:
    refuses("cab", asked)


@pytest.mark.feature("D13.19")
@each("go-live")
def test_go_live(asked: Demand) -> None:
    refuses("go-live", asked)


@each("go-live post")
def test_after_the_first_traffic(asked: Demand) -> None:
    refuses("go-live post", asked)


@pytest.mark.feature(
    "D1.12",
    "D1.14",
    "D5.16",
    "D6.18",
    "D6.19",
    "D8.10",
    "D8.20",
    "D8.27",
    "D11.23",
    "D11.27",
    "D11.44",
    "D12.35",
    "D12.36",
)
@pytest.mark.parametrize(
    ("name", "document"), [(name, one) for name, some in DOCUMENTS.items() for one in some.split()]
)
def test_a_document_is_there_whole_and_valid(name: str, document: str) -> None:
    kind, claims = f"document.{document}", claims_met(name)
    lacks = (
        ({"complete": 0.0}, "not complete"),
        ({"placeholders": 1.0}, "placeholder"),
        ({"valid_days": 0.0}, "valid"),
    )
    for lack, words in lacks:
        found = report(given(name, {**claims, kind: {**WHOLE, **lack}}))
        assert found.status is GateStatus.COLLECTING
        (reason,) = found.reasons
        assert (reason.code, reason.where) == ("CRITERION_NOT_MET", f"document-{document}")
        assert words in reason.text
    del claims[kind]
    found = report(given(name, claims))
    assert [one.id for one in unmet(found)] == [f"document-{document}"]
    assert [(one.code, one.where) for one in found.missing if one.code == "EV_MISSING"] == [
        ("EV_MISSING", f"document-{document}")
    ]


@pytest.mark.feature(
    "D5.12",
    "D5.17",
    "D6.4",
    "D6.21",
    "D8.1",
    "D8.2",
    "D8.3",
    "D8.9",
    "D8.19",
    "D8.23",
    "D8.24",
    "D8.26",
    "D10.1",
    "D11.3",
    "D11.41",
    "D11.42",
    "D12.26",
    "D12.28",
    "D12.29",
    "D12.30",
    "D12.31",
    "D12.32",
    "D12.33",
    "DG.1",
    "DG.2",
    "DG.3",
    "DG.4",
    "DG.5",
    "DG.6",
    "DG.7",
)
@pytest.mark.parametrize("name", sorted(SIGNERS))
def test_a_gate_is_approved_by_all_its_signers_and_by_no_fewer(name: str) -> None:
    signers = SIGNERS[name]
    assert report(signed(name, signers)).status is GateStatus.APPROVED
    for place, absent in enumerate(signers):
        found = report(signed(name, [*signers[:place], *signers[place + 1 :]]))
        assert found.status is (GateStatus.IN_REVIEW if len(signers) > 1 else GateStatus.READY), absent
        assert absent in {one.where for one in found.missing}


def test_development_is_decided_by_the_machine_alone() -> None:
    found = report(given("development", claims_met("development")))
    assert (found.status, found.signoffs) == (GateStatus.APPROVED, ())


@pytest.mark.feature("D8.11", "D8.25", "D10.11")
@pytest.mark.parametrize(
    ("name", "signer", "item"), [(*key, item) for key, items in CHECKLISTS.items() for item in items]
)
def test_a_sign_off_answers_each_item_of_its_checklist(name: str, signer: str, item: str) -> None:
    found = report(signed(name, SIGNERS[name], unanswered=item))
    assert not found.status.is_approved
    (short,) = [one for one in found.signoffs if not one.is_complete]
    assert short.role.value == signer
    assert [(why.code, why.where) for _, why in short.not_counted] == [("CHECKLIST_OPEN", item)]


@pytest.mark.feature("D8.15", "D8.16", "D8.17")
@pytest.mark.parametrize("name", ["sec", "finra", "bsa"])
def test_a_regulation_is_answered_item_by_item_with_source_evidence_and_signer(name: str) -> None:
    asked = signed("compliance", SIGNERS["compliance"])
    kinds = {one.kind for one in asked.evidence}
    shown = {one.regulation.name: one for one in checklists_of(asked, report(asked), kinds)}
    found = shown[name]
    assert (found.role.value, found.open_items) == ("compliance-officer", 0)
    assert found.regulation.source.startswith("https://")
    assert found.regulation.as_of == "2026-10-01"
    assert all(state.item.cite and not state.missing for state in found.items)
    assert {vote.person for state in found.items for vote, _ in state.answers} == {holder(Role.COMPLIANCE_OFFICER)}
    key = found.regulation.key(found.items[0].item)
    bare = signed("compliance", SIGNERS["compliance"], unanswered=key)
    assert {one.regulation.name: one.open_items for one in checklists_of(bare, report(bare), kinds)}[name] > 0
    assert not report(bare).status.is_approved
    for state in found.items:
        for kind in state.item.evidence:
            lacking = replace(asked, evidence=tuple(one for one in asked.evidence if one.kind != kind))
            refused = {(why.code, why.where) for one in report(lacking).signoffs for _, why in one.not_counted}
            answered = [item for code, item in refused if code == "CHECKLIST_EVIDENCE"]
            assert answered, kind
