"""What is told of a row that is not as the ledger recorded it: each field of its entry, then when, then who."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.gate.builders import HOUR, NOW, RELEASE, approved_board, evidence

from pilotage.control.gate_entries import evidence_data, reading_digest, template_data, template_vote_data, vote_data
from pilotage.control.ledger_match import ledger_mismatches, standard_mismatches
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, EvidenceState, Severity, ToolFinding
from pilotage.gate.records import Vote
from pilotage.gate.standard import StandardTemplate, TemplateVote
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.ledger.entry import EntryKind
from pilotage.store.ledger_said import Said
from pilotage.testing.releases import stored_release

STORED = stored_release(RELEASE, at=NOW)
VOTE = approved_board().votes[0]
ITEM = evidence("tests.unit", {"failed": 0.0}, at=NOW)
BALLOT = TemplateVote(
    id="b1", person=PersonId("x"), role=Role.RISK_MANAGEMENT, decision=VoteDecision.APPROVE, at=NOW + HOUR
)
TEMPLATE = StandardTemplate(
    id="t1",
    workflow=WorkflowName("w"),
    parts=("corpus",),
    max_share=0.05,
    max_documents=500,
    reason="Weekly rates",
    proposed_by=PersonId("p"),
    proposed_at=NOW,
    votes=(BALLOT,),
)


def entry(kind: EntryKind, data: Mapping[str, Any], *, at: Any = NOW, person: str | None = None) -> Said:
    opened = {} if person is None else {"person": person}
    return Said(kind=kind, at=at, space="", data=data, opened=opened)


SIGNED = entry(EntryKind.GATE_SIGNED_OFF, vote_data(VOTE), at=VOTE.at, person=VOTE.person)
ATTACHED = entry(EntryKind.EVIDENCE_ATTACHED, evidence_data(ITEM))
PROPOSED = entry(EntryKind.GATE_STANDARD_PROPOSED, template_data(TEMPLATE), person="p")
BALLOTED = entry(EntryKind.GATE_STANDARD_SIGNED, template_vote_data("t1", BALLOT), at=BALLOT.at, person="x")


def of_vote(vote: Vote, *said: Said) -> tuple[Reason, ...]:
    return ledger_mismatches({vote.id: said}, STORED, votes=[vote], evidence=[], acceptances=[])


def of_item(item: Evidence, *said: Said) -> tuple[Reason, ...]:
    return ledger_mismatches({item.id: said}, STORED, votes=[], evidence=[item], acceptances=[])


def numbers(reasons: tuple[Reason, ...]) -> list[tuple[str | None, str | None, str | None]]:
    return [(reason.where, reason.observed, reason.limit) for reason in reasons]


def test_a_row_as_recorded_is_told_nothing_of() -> None:
    assert of_vote(VOTE, SIGNED) == ()
    assert of_item(ITEM, ATTACHED) == ()
    assert standard_mismatches({"t1": (PROPOSED,), "b1": (BALLOTED,)}, STORED, [], [TEMPLATE]) == ()


def test_every_field_that_differs_is_named_with_both_values_then_the_time_then_the_person() -> None:
    forged = replace(
        VOTE,
        at=VOTE.at + timedelta(days=1),
        person=PersonId("other"),
        bind=digest_of(b"x"),
        decision=VoteDecision.REJECT,
    )
    found = of_vote(forged, SIGNED)
    assert [reason.text.partition(" says ")[2].split(" ")[0] for reason in found] == [
        "decision",
        "bind",
        "time",
        "person",
    ]
    assert numbers(found)[0] == (VOTE.id, "reject", "approve")
    assert numbers(found)[3] == (VOTE.id, "other", VOTE.person)
    assert found[3].text == (
        f"The vote {VOTE.id} says person other; the ledger recorded {VOTE.person}. Somebody changed the database: run "
        "`pilotage ledger fsck` and restore the row."
    )


def test_a_person_whose_name_the_ledger_keeps_no_longer_cannot_be_compared() -> None:
    erased = replace(SIGNED, opened={})
    assert of_vote(replace(VOTE, person=PersonId("other")), erased) == ()


@pytest.mark.parametrize("kind", [EntryKind.GATE_STANDARD_SIGNED, None], ids=["of another kind", "none"])
def test_a_row_without_its_entry_is_one_that_no_command_wrote(kind: EntryKind | None) -> None:
    said = () if kind is None else (replace(SIGNED, kind=kind),)
    (reason,) = of_vote(VOTE, *said)
    assert reason.text == (
        f"The vote {VOTE.id} has no ledger entry, so no command of ours wrote it. Run `pilotage ledger fsck`."
    )


def test_evidence_that_was_withdrawn_and_counts_again_is_named() -> None:
    withdrawn = entry(EntryKind.EVIDENCE_WITHDRAWN, {})
    assert numbers(of_item(ITEM, ATTACHED, withdrawn)) == [(ITEM.id, "accepted", "withdrawn")]
    assert of_item(replace(ITEM, state=EvidenceState.WITHDRAWN), ATTACHED, withdrawn) == ()
    assert of_item(replace(ITEM, state=EvidenceState.SUPERSEDED), ATTACHED) == ()


@pytest.mark.parametrize("state", [EvidenceState.REJECTED, EvidenceState.WITHDRAWN])
def test_evidence_that_counted_and_was_put_aside_without_a_command_is_named(state: EvidenceState) -> None:
    assert numbers(of_item(replace(ITEM, state=state), ATTACHED))[0] == (ITEM.id, state.value, "accepted")


def test_rejected_evidence_that_counts_is_named() -> None:
    refused = entry(EntryKind.EVIDENCE_REJECTED, evidence_data(ITEM))
    assert numbers(of_item(ITEM, refused))[0] == (ITEM.id, "accepted", "rejected")
    assert of_item(replace(ITEM, state=EvidenceState.REJECTED), refused) == ()
    (reason,) = of_item(replace(ITEM, state=EvidenceState.REJECTED))
    assert "has no ledger entry" in reason.text


READ = replace(
    ITEM,
    names={"approvers": ("anna",)},
    refs={"commit": "c1"},
    findings=(ToolFinding(rule="R1", severity=Severity.LOW),),
)
BENT = (
    replace(READ, names={"approvers": ("anna", "bela")}),
    replace(READ, refs={"commit": "c2"}),
    replace(READ, findings=()),
    replace(READ, findings=(replace(READ.findings[0], suppressed=True),)),
    replace(READ, reader="other@1"),
    replace(READ, summary="All is well."),
    replace(READ, space=SpaceName("dev")),
    replace(READ, space_config=digest_of(b"x")),
    replace(READ, claims={"failed": 1e-9}),
)


@pytest.mark.parametrize("bent", BENT, ids=range(len(BENT)))
def test_what_a_reader_found_is_compared_whole(bent: Evidence) -> None:
    whole = evidence_data(READ)
    assert of_item(READ, entry(EntryKind.EVIDENCE_ATTACHED, whole)) == ()
    found = of_item(bent, entry(EntryKind.EVIDENCE_ATTACHED, whole))
    assert " says reading sha256:" in found[-1].text


def test_who_brought_it_is_compared() -> None:
    attached = entry(EntryKind.EVIDENCE_ATTACHED, evidence_data(ITEM), person=ITEM.producer)
    assert of_item(ITEM, attached) == ()
    assert numbers(of_item(replace(ITEM, producer="other"), attached)) == [(ITEM.id, "other", ITEM.producer)]


def test_a_reading_recorded_later_counts_where_the_first_entry_holds_none() -> None:
    first = {name: value for name, value in evidence_data(READ).items() if name != "reading"}
    old = entry(EntryKind.EVIDENCE_ATTACHED, first)
    later = entry(EntryKind.EVIDENCE_READING_RECORDED, {"reading": reading_digest(READ)}, person=READ.producer)
    bent = replace(BENT[0], producer="other")
    assert of_item(bent, old) == ()
    assert of_item(READ, old, later) == ()
    assert [one.text.partition(" says ")[2].split()[0] for one in of_item(bent, old, later)] == ["reading", "person"]
    forged = entry(EntryKind.EVIDENCE_READING_RECORDED, {"reading": reading_digest(bent)}, person="other")
    attached = entry(EntryKind.EVIDENCE_ATTACHED, evidence_data(READ), person=READ.producer)
    assert len(of_item(bent, attached, forged)) == 2


def test_a_vote_about_a_template_is_compared_before_the_template() -> None:
    other = replace(TEMPLATE, max_documents=5_000, proposed_by=PersonId("q"))
    found = standard_mismatches({"t1": (PROPOSED,)}, STORED, [], [other])
    assert numbers(found) == [("b1", None, None), ("t1", "5000", "500"), ("t1", "q", "p")]
