"""What somebody who voted before may still do: one role, a reject that stays, and the same form sent twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import (
    MINUTE,
    NOW,
    SPONSOR,
    approved_roles,
    board_gate,
    empty,
    holder,
    knowing,
    other,
    role_gate,
    vote,
    voted,
)

from pilotage.core.reason import Reason
from pilotage.gate.ballots import asked_problem, only_reject, said_before, seat_problems
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput, Vote
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role

IT, SECURITY, ENGINEER = Role.IT_DIRECTOR, Role.SECURITY_DIRECTOR, Role.SENIOR_ENGINEER
PERSON = holder(IT)


def told(reasons: tuple[Reason, ...]) -> list[tuple[str, str | None]]:
    return [(one.code, one.where) for one in reasons]


def once(decision: VoteDecision = VoteDecision.APPROVE) -> GateInput:
    """Return the board where PERSON voted once, an hour ago."""
    return voted(empty(board_gate()), IT, decision=decision)


def test_one_person_votes_in_one_role_of_a_gate() -> None:
    given = once()
    assert told(seat_problems(vote(given, SECURITY, person=PERSON), given)) == [("SEAT_DUPLICATE", IT.value)]
    assert told(seat_problems(vote(given, IT), given)) == []
    assert told(seat_problems(vote(given, SECURITY), given)) == []
    assert told(seat_problems(vote(given, SECURITY, person=PERSON), knowing(given, attempt=2))) == []


def test_a_role_that_a_gate_does_not_ask_for_is_told_which_it_asks_for() -> None:
    nobody = empty(replace(role_gate(), pre=replace(role_gate().pre, signoffs=())))
    for given, end in (
        (empty(role_gate()), "It asks for senior-engineer."),
        (empty(board_gate()), "It asks for business-leadership, business-sponsor, executive-sponsor, it-director, "),
        (nobody, "Nobody signs there: evidence and documents meet it."),
    ):
        said = asked_problem(replace(vote(given, Role.LEGAL), is_seat=False), given)
        assert said is not None
        assert said.code == "ROLE_NOT_ASKED"
        assert said.text.startswith(f"Gate {given.gate.name} asks for no legal. {end}")
    for given, role in ((empty(role_gate()), ENGINEER), (empty(board_gate()), IT)):
        assert asked_problem(vote(given, role), given) is None


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(VoteDecision.REJECT, ["REVOTE_NO_NEW_EVIDENCE"]), (VoteDecision.APPROVE, []), (VoteDecision.ABSTAIN, [])],
)
def test_who_rejected_may_only_reject_again_in_this_attempt(before: VoteDecision, wanted: list[str]) -> None:
    given = once(before)
    again = vote(given, IT, at=NOW)
    assert [one.code for one in only_reject(again, given)] == wanted
    assert only_reject(vote(given, SECURITY), given) == ()
    assert only_reject(again, knowing(given, attempt=2)) == ()


def test_under_an_outdated_pack_there_is_nothing_but_a_reject_and_what_moved_is_named() -> None:
    given = knowing(once(VoteDecision.REJECT), pack_outdated=("plan", "risks"))
    found = only_reject(vote(given, IT, at=NOW), given)
    assert [one.code for one in found] == ["REVOTE_NO_NEW_EVIDENCE", "PACK_OUTDATED"]
    assert found[1].observed == "plan, risks"
    assert "plan, risks moved" in found[1].text


def again(given: GateInput, before: Vote, **changed: object) -> Vote | None:
    """Return what said it before: `before`, sent once more a minute later with changes."""
    sent = replace(before, id="again", at=before.at + MINUTE, nonce="again")
    return said_before(replace(sent, **changed), given, decide(given, NOW).signoffs)  # type: ignore[arg-type]


@pytest.mark.parametrize("decision", list(VoteDecision))
def test_the_same_form_sent_again_adds_nothing(decision: VoteDecision) -> None:
    given = voted(empty(role_gate()), ENGINEER, decision=decision)
    (before,) = given.votes
    assert again(given, before) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"comment": "Read it all again, agreed."},
        {"decision": VoteDecision.ABSTAIN},
        {"bind": other("newer")},
        {"checklist": {"read the diff": "no"}},
        {"person": SPONSOR},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_anything_else_said_is_a_vote_of_its_own(changed: dict[str, object]) -> None:
    given = approved_roles()
    assert again(given, given.votes[0], **changed) is None


def test_a_fresh_sign_in_renews_a_vote() -> None:
    given = approved_roles()
    before = given.votes[0]
    assert again(given, before, login=replace(before.login, at=before.at)) is None


def test_a_vote_that_does_not_count_is_not_said_before() -> None:
    given = approved_roles()
    before = given.votes[0]
    open_list = replace(before, checklist={})
    given = replace(given, votes=(open_list, *given.votes[1:]))
    assert again(given, open_list) is None
