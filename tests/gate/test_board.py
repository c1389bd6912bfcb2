"""The board's rule, against a second implementation written from gates.md 4.3 alone: all 3^6 votes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from tests.gate.builders import (
    HIGH_APPROVERS,
    HOUR,
    MUST_VOTE,
    NOW,
    QUORUM,
    SEATS,
    Accepting,
    board_gate,
    empty,
    vote,
    voted,
    with_seats,
)

from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput, Vote
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role

YES, NO, ABSENT = VoteDecision.APPROVE, VoteDecision.REJECT, None
START = empty(board_gate())
AT = NOW - HOUR
_VOTES: dict[tuple[Role, VoteDecision], Vote] = {
    (role, decision): vote(START, role, decision=decision, at=AT) for role in SEATS for decision in VoteDecision
}
COVERED = Accepting(seats=SEATS).made()


def board(votes: tuple[VoteDecision | None, ...], covered: frozenset[Role] = frozenset()) -> GateInput:
    cast = tuple(_VOTES[role, one] for role, one in zip(SEATS, votes, strict=True) if one is not None)
    risks = (replace(COVERED, seats=tuple(sorted(covered))),) if covered else ()
    return replace(START, votes=cast, acceptances=risks)


def second_opinion(votes: tuple[VoteDecision | None, ...], covered: frozenset[Role]) -> bool:
    """All approve; or enough approve, those who must vote did, and each other seat is covered."""
    cast = dict(zip(SEATS, votes, strict=True))
    approving = [role for role in SEATS if cast[role] is YES]
    if len(approving) == 6:
        return True
    if len(approving) < QUORUM:
        return False
    if any(cast[role] is None for role in MUST_VOTE):
        return False
    return all(role in covered for role in SEATS if role not in approving)


@pytest.mark.feature("D12.25", "D12.40", "DL.3")
@pytest.mark.parametrize("covered", [frozenset(), frozenset(SEATS)], ids=["no acceptance", "every seat covered"])
def test_every_combination_of_six_votes(covered: frozenset[Role]) -> None:
    wrong: list[tuple[object, ...]] = []
    for votes in itertools.product((YES, NO, ABSENT), repeat=6):
        report = decide(board(votes, covered), NOW)
        wanted = second_opinion(votes, covered)
        open_rejects = any(one is NO for one in votes) and not covered
        if report.board_ok is not wanted or report.status.is_approved:
            wrong.append((votes, report.board_ok, report.status))
        if open_rejects and report.status is not GateStatus.REJECTED:
            wrong.append((votes, "open reject", report.status))
    assert wrong == []


@settings(max_examples=150, deadline=None)
@for_all(
    st.tuples(*[st.sampled_from([YES, NO, VoteDecision.ABSTAIN, ABSENT])] * 6), st.frozensets(st.sampled_from(SEATS))
)
def test_some_seats_covered_and_some_abstaining(
    votes: tuple[VoteDecision | None, ...], covered: frozenset[Role]
) -> None:
    assert decide(board(votes, covered), NOW).board_ok is second_opinion(votes, covered)


@pytest.mark.feature("D12.24", "D12.26", "D12.40")
@pytest.mark.parametrize("votes", [(YES,) * 6, (YES, YES, YES, YES, NO, ABSENT), (YES, YES, YES, YES, ABSENT, NO)])
def test_the_gate_is_approved_when_the_sponsor_follows_the_board(votes: tuple[VoteDecision | None, ...]) -> None:
    covered = frozenset(role for role, one in zip(SEATS, votes, strict=True) if one is not YES)
    given = board(votes, covered)
    assert not decide(given, NOW).status.is_approved
    report = decide(voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - HOUR / 2), NOW)
    wanted = GateStatus.APPROVED_WITH_RISK_ACCEPTANCE if covered else GateStatus.APPROVED
    assert report.status is wanted


def test_the_sponsor_alone_approves_nothing() -> None:
    assert not decide(voted(START, Role.EXECUTIVE_SPONSOR), NOW).status.is_approved


@pytest.mark.parametrize("role", MUST_VOTE)
def test_dissent_of_security_and_risk_takes_a_high_acceptance(role: Role) -> None:
    votes = tuple(NO if one is role else YES for one in SEATS)
    low = replace(COVERED, seats=(role,), severity=Accepting().severity.MEDIUM, approvers=HIGH_APPROVERS[:1])
    assert decide(replace(board(votes), acceptances=(low,)), NOW).board_ok is False
    assert decide(board(votes, frozenset({role})), NOW).board_ok is True


def test_a_reject_covered_too_late_ends_the_attempt() -> None:
    votes = (NO, YES, YES, YES, YES, YES)
    for days, wanted in ((5, False), (6, True)):
        given = with_seats(START, {Role.IT_DIRECTOR: NO}, at=NOW - HOUR)
        given = replace(given, votes=(*given.votes, *board(votes).votes[1:]))
        at = NOW - HOUR + days * 24 * HOUR
        approvers = tuple(replace(one, at=at) for one in HIGH_APPROVERS)
        risk = Accepting(seats=(Role.IT_DIRECTOR,), approvers=approvers).made()
        report = decide(replace(given, acceptances=(risk,)), at)
        assert (report.status is GateStatus.REJECTED) is wanted
