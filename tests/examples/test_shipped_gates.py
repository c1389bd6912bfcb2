"""Each gate of the shipped pipeline refuses each single lack of what the mission asks there, by name and number."""

from __future__ import annotations

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

from pilotage.gate.vocabulary import GateStatus, Half

EVERY = sorted(DEMANDS)


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
    assert (reason.code, reason.where, reason.observed) == ("CRITERION_NOT_MET", asked.criterion, f"{asked.refused:.6g}")
    assert f"{asked.kind}: {asked.claim} is {asked.refused:.6g}" in reason.text
    del claims[asked.kind]
    found = report(given(name, claims))
    assert found.status is GateStatus.COLLECTING
    assert asked.criterion in {one.id for one in unmet(found)}
    assert any(asked.kind in one.text and one.code == "CRITERION_INCONCLUSIVE" for one in found.reasons)


@pytest.mark.parametrize("name", EVERY)
def test_a_gate_asks_for_exactly_what_the_mission_asks_there(name: str) -> None:
    gate, half = gate_named(name)
    rules = gate.pre if half is Half.PRE else gate.post
    assert rules is not None
    in_file = {(one.id, kind, condition.claim) for one in rules.criteria for kind in one.of for condition in one.all}
    assert in_file == {(one.criterion, one.kind, one.claim) for one in demands(name)}
    assert " ".join(rules.documents) == DOCUMENTS.get(name, "")


@each("development")
def test_development(asked: Demand) -> None:
    refuses("development", asked)


@each("code-review")
def test_code_review(asked: Demand) -> None:
    refuses("code-review", asked)


@each("model-validation")
def test_model_validation(asked: Demand) -> None:
    refuses("model-validation", asked)


@each("compliance")
def test_compliance(asked: Demand) -> None:
    refuses("compliance", asked)


@each("dev-exit")
def test_dev_exit(asked: Demand) -> None:
    refuses("dev-exit", asked)


@each("qa")
def test_qa(asked: Demand) -> None:
    refuses("qa", asked)


@each("uat")
def test_uat(asked: Demand) -> None:
    refuses("uat", asked)


@each("cab")
def test_cab(asked: Demand) -> None:
    refuses("cab", asked)


@each("go-live")
def test_go_live(asked: Demand) -> None:
    refuses("go-live", asked)


@each("go-live post")
def test_after_the_first_traffic(asked: Demand) -> None:
    refuses("go-live post", asked)


@pytest.mark.parametrize(
    ("name", "document"), [(name, one) for name, some in DOCUMENTS.items() for one in some.split()]
)
def test_a_document_is_there_whole_and_valid(name: str, document: str) -> None:
    kind, claims = f"document.{document}", claims_met(name)
    for lack in ({"complete": 0.0}, {"placeholders": 1.0}, {"valid_days": 0.0}):
        found = report(given(name, {**claims, kind: {**WHOLE, **lack}}))
        assert found.status is GateStatus.COLLECTING
        (reason,) = found.reasons
        assert (reason.code, reason.where) == ("CRITERION_NOT_MET", f"document-{document}")
        assert next(iter(lack)) in reason.text
    del claims[kind]
    found = report(given(name, claims))
    assert [one.id for one in unmet(found)] == [f"document-{document}"]
    assert [(one.code, one.where) for one in found.missing if one.code == "EV_MISSING"] == [
        ("EV_MISSING", f"document-{document}")
    ]


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


@pytest.mark.parametrize(
    ("name", "signer", "item"), [(*key, item) for key, items in CHECKLISTS.items() for item in items]
)
def test_a_sign_off_answers_each_item_of_its_checklist(name: str, signer: str, item: str) -> None:
    found = report(signed(name, SIGNERS[name], unanswered=item))
    assert not found.status.is_approved
    (short,) = [one for one in found.signoffs if not one.is_complete]
    assert short.role.value == signer
    assert [(why.code, why.where) for _, why in short.not_counted] == [("CHECKLIST_OPEN", item)]
