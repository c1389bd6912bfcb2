"""What is told of a row that is not as the ledger recorded it: each field of its entry, then when, then who."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.gate.builders import HOUR, NOW, RELEASE, approved_board, evidence

from pilotage.control.gate_entries import evidence_data, template_data, template_vote_data, vote_data
from pilotage.control.ledger_match import ledger_mismatches, standard_mismatches
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, EvidenceState
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
    assert of_item(replace(ITEM, state=EvidenceState.WITHDRAWN)) == ()


def test_a_vote_about_a_template_is_compared_before_the_template() -> None:
    other = replace(TEMPLATE, max_documents=5_000, proposed_by=PersonId("q"))
    found = standard_mismatches({"t1": (PROPOSED,)}, STORED, [], [other])
    assert numbers(found) == [("b1", None, None), ("t1", "5000", "500"), ("t1", "q", "p")]
