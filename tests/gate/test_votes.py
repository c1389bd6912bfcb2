"""Whose vote counts: role, tenure, separation of duties, login, delegation, recusal, reject."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gate.builders import (
    AUTHOR,
    DAY,
    GOOD_TESTS,
    HOUR,
    MINUTE,
    NOW,
    SEALER,
    SEATS,
    SPONSOR,
    approved_board,
    approved_roles,
    board_gate,
    codes,
    empty,
    evidence,
    holder,
    knowing,
    role_gate,
    roster,
    swap,
    vote,
    voted,
)

from pilotage.core.ids import PersonId
from pilotage.gate.decide import decide
from pilotage.gate.records import Delegation, GateInput, Login, Tenure, Vote
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.release.authorship import UNKNOWN
from pilotage.workspace.gate import Signoff, Trust, Via

ENGINEER = Role.SENIOR_ENGINEER
FIRST, SECOND, DELEGATE = holder(ENGINEER), holder(ENGINEER, 1), PersonId("delegate")


def changed(given: GateInput, who: PersonId, **how: object) -> GateInput:
    """Return the input with one person's votes changed."""
    votes = tuple(replace(one, **how) if one.person == who else one for one in given.votes)  # type: ignore[arg-type]
    return replace(given, votes=votes)


def why_not(given: GateInput, person: PersonId) -> set[str]:
    """Return the codes for which a person's votes do not count."""
    report = decide(given, NOW)
    assert not report.status.is_approved
    return {why.code for one in report.signoffs for who, why in one.not_counted if who == person}


def holding(given: GateInput, person: PersonId, **how: object) -> GateInput:
    """Return the input where a person's tenure differs."""
    held = tuple(replace(one, **how) if one.person == person else one for one in given.roster.tenures)  # type: ignore[arg-type]
    return replace(given, roster=replace(given.roster, tenures=held))


@pytest.mark.feature("D5.12", "D6.4", "D6.27")
@pytest.mark.parametrize("part", ["prompt", "model"])
def test_the_author_of_any_part_cannot_approve_the_release(part: str) -> None:
    given = approved_roles()
    made = replace(given, release=replace(given.release, authors={part: frozenset({FIRST})}))
    assert why_not(made, FIRST) == {"SOD_CONFLICT"}


def test_the_sealer_cannot_approve_the_release() -> None:
    given = approved_roles()
    assert why_not(replace(given, release=replace(given.release, sealer=FIRST)), FIRST) == {"SOD_CONFLICT"}


def test_who_claimed_evidence_the_gate_uses_cannot_approve_on_it() -> None:
    given = empty(role_gate())
    gate = replace(
        given.gate, pre=replace(given.gate.pre, criteria=(replace(given.gate.pre.criteria[0], trust=Trust.CLAIMED),))
    )
    claimed = evidence("tests.unit", GOOD_TESTS, trust=Trust.CLAIMED, producer=FIRST)
    given = swap(replace(given, gate=gate), claimed)
    for who in (FIRST, SECOND):
        given = voted(given, ENGINEER, person=who)
    assert why_not(given, FIRST) == {"SOD_CONFLICT"}


@pytest.mark.parametrize(("days", "counts"), [(1, False), (29, False), (31, True)])
def test_who_edited_the_rules_waits_thirty_days(days: int, counts: bool) -> None:
    given = knowing(approved_roles(), editors={FIRST: NOW - days * DAY})
    assert decide(given, NOW).status.is_approved is counts
    assert counts or why_not(given, FIRST) == {"SOD_CONFLICT"}


def test_an_author_nobody_knows_stops_every_vote() -> None:
    given = approved_roles()
    report = decide(replace(given, release=replace(given.release, authors={"prompt": frozenset({UNKNOWN})})), NOW)
    assert report.status is GateStatus.BLOCKED
    assert "AUTHOR_UNKNOWN" in codes(report)


def test_a_service_never_votes() -> None:
    assert why_not(changed(approved_roles(), FIRST, is_person=False), FIRST) == {"SOD_SERVICE"}


def test_two_accounts_of_one_person_count_once() -> None:
    given = empty(role_gate())
    for at in (NOW - HOUR, NOW - HOUR / 2):
        given = voted(given, ENGINEER, person=FIRST, at=at)
    assert decide(given, NOW).status is GateStatus.IN_REVIEW


def test_one_person_fills_one_seat() -> None:
    given = approved_board()
    person = holder(Role.IT_DIRECTOR)
    seats = tuple(
        replace(one, holder=person) if one.role is Role.OPERATIONS_LEAD else one for one in given.roster.seats
    )
    held = (*given.roster.tenures, Tenure(role=Role.OPERATIONS_LEAD, person=person, since=NOW - 30 * DAY))
    given = replace(given, roster=replace(given.roster, seats=seats, snapshot=seats, tenures=held))
    given = changed(given, holder(Role.OPERATIONS_LEAD), person=person)
    report = decide(given, NOW)
    assert report.status is not GateStatus.APPROVED
    assert "SEAT_DUPLICATE" in codes(report)


@pytest.mark.parametrize(("held", "counts"), [(DAY, True), (DAY - MINUTE, False)])
def test_a_role_is_held_for_a_day_before_its_vote_counts(held: timedelta, counts: bool) -> None:
    given = holding(approved_roles(), FIRST, since=NOW - HOUR - held)
    assert decide(given, NOW).status.is_approved is counts
    assert counts or why_not(given, FIRST) == {"ROLE_TENURE"}


@pytest.mark.parametrize(("held", "counts"), [(7 * DAY, True), (7 * DAY - MINUTE, False)])
def test_a_seat_is_held_for_a_week_before_its_vote_counts(held: timedelta, counts: bool) -> None:
    who = holder(Role.IT_DIRECTOR)
    given = holding(approved_board(), who, since=NOW - HOUR - held)
    assert decide(given, NOW).status.is_approved is counts
    assert counts or "ROLE_TENURE" in why_not(given, who)


def test_a_role_revoked_after_the_vote_takes_the_approval_with_it() -> None:
    assert why_not(holding(approved_roles(), FIRST, until=NOW - MINUTE), FIRST) == {"VOTER_INELIGIBLE"}


def test_a_role_never_held_gives_no_vote() -> None:
    assert why_not(holding(approved_roles(), FIRST, role=Role.QA_LEAD), FIRST) == {"VOTER_INELIGIBLE"}


@pytest.mark.parametrize(
    ("login", "code"),
    [
        (Login(method="oidc", at=NOW - HOUR - 16 * MINUTE, second_factor=True), "LOGIN_OLD"),
        (Login(method="oidc", at=NOW, second_factor=True), "LOGIN_OLD"),
        (Login(method="oidc", at=NOW - HOUR - MINUTE, second_factor=False), "MFA_UNKNOWN"),
        (Login(method="local", at=NOW - HOUR - MINUTE), "MFA_UNKNOWN"),
    ],
    ids=["old login", "login after the vote", "one factor", "factor not known"],
)
def test_a_gate_before_production_needs_a_fresh_login_with_a_second_factor(login: Login, code: str) -> None:
    who = holder(Role.IT_DIRECTOR)
    given = changed(approved_board(), who, login=login)
    assert why_not(given, who) == {code}
    assert decide(changed(approved_roles(), FIRST, login=login), NOW).status.is_approved


def test_a_local_demo_says_so_and_asks_for_no_second_factor() -> None:
    local = Login(method="local", at=NOW - HOUR)
    given = knowing(approved_board(), is_local_demo=True)
    given = replace(given, votes=tuple(replace(one, login=replace(local, at=one.at)) for one in given.votes))
    assert decide(given, NOW).status.is_approved


@pytest.mark.parametrize("answers", [{}, {"read the diff": "no"}, {"read the diff": "n/a"}, {"something else": "yes"}])
def test_an_open_checklist_is_no_approval(answers: dict[str, str]) -> None:
    assert why_not(changed(approved_roles(), FIRST, checklist=answers), FIRST) == {"CHECKLIST_OPEN"}


def test_not_applicable_needs_its_reason() -> None:
    given = changed(approved_roles(), FIRST, checklist={"read the diff": "n/a: only the corpus changed"})
    assert decide(given, NOW).status.is_approved


@pytest.mark.parametrize("decision", [VoteDecision.REJECT, VoteDecision.ABSTAIN])
def test_a_vote_against_says_why(decision: VoteDecision) -> None:
    given = voted(empty(role_gate()), ENGINEER, decision=decision, comment="no")
    assert why_not(given, FIRST) == {"VOTE_COMMENT"}


def test_abstaining_is_not_approving() -> None:
    given = voted(empty(role_gate()), ENGINEER, person=SECOND)
    report = decide(voted(given, ENGINEER, decision=VoteDecision.ABSTAIN), NOW)
    assert report.status is GateStatus.IN_REVIEW
    assert "SIGNOFF_SHORT" in codes(report)


# Reviews in the source forge


def reviewed(*people: PersonId, tree: str = "tree-1", trust: Trust = Trust.PUSHED, at: timedelta = DAY) -> GateInput:
    review = evidence(
        "review.code",
        {"approvals_on_head": float(len(people))},
        refs={"head_tree": tree},
        names={"approvers": tuple(people)},
        trust=trust,
        at=NOW - at,
    )
    return swap(empty(role_gate()), review)


@pytest.mark.feature("D5.5")
def test_reviews_of_the_sealed_tree_stand_for_votes() -> None:
    report = decide(reviewed(FIRST, SECOND), NOW)
    assert report.status is GateStatus.APPROVED
    assert report.signoffs[0].via_review == (FIRST, SECOND)


@pytest.mark.parametrize(
    "given",
    [
        reviewed(FIRST, SECOND, tree="an older tree"),
        reviewed(FIRST, AUTHOR),
        reviewed(FIRST, PersonId("stranger")),
        reviewed(FIRST, SECOND, trust=Trust.CLAIMED),
        reviewed(FIRST, SECOND, at=91 * DAY),
        replace(reviewed(FIRST, SECOND), release=replace(empty(role_gate()).release, source_tree=None)),
    ],
    ids=["older commit", "co-author", "no role", "on somebody's word", "long ago", "nothing committed"],
)
def test_other_reviews_leave_the_sign_off_short(given: GateInput) -> None:
    report = decide(given, NOW)
    assert not report.status.is_approved
    assert "SIGNOFF_SHORT" in codes(report)


def test_a_review_and_a_vote_of_one_person_are_one_approval() -> None:
    assert not decide(voted(reviewed(FIRST), ENGINEER, person=FIRST), NOW).status.is_approved


def test_a_holder_who_reviewed_and_his_delegate_are_one_approval() -> None:
    given = delegating(reviewed(FIRST), delegation())
    report = decide(voted(given, ENGINEER, person=DELEGATE, delegated_from=FIRST), NOW)
    assert not report.status.is_approved
    assert report.signoffs[0].via_review == ()


def test_who_abstains_does_not_approve_by_an_earlier_review() -> None:
    report = decide(voted(reviewed(FIRST, SECOND), ENGINEER, person=FIRST, decision=VoteDecision.ABSTAIN), NOW)
    assert not report.status.is_approved


def test_one_person_fills_one_role_though_one_of_them_by_review() -> None:
    given = reviewed(FIRST, SECOND)
    both = (*given.gate.pre.signoffs, Signoff(role=Role.BUSINESS_OWNER, via=(Via.VOTE, Via.REVIEW_CODE)))
    given = replace(given, gate=replace(given.gate, pre=replace(given.gate.pre, signoffs=both)))
    owner = Tenure(role=Role.BUSINESS_OWNER, person=FIRST, since=NOW - 90 * DAY)
    given = replace(given, roster=replace(given.roster, tenures=(*given.roster.tenures, owner)))
    assert [one.is_complete for one in decide(given, NOW).signoffs] == [True, False]
    report = decide(voted(given, Role.BUSINESS_OWNER, person=FIRST), NOW)
    assert [one.is_complete for one in report.signoffs] == [False, True]


def test_who_brought_the_release_into_production_does_not_sign_there() -> None:
    person = holder(SEATS[0])
    given = knowing(approved_board(), promoters=frozenset({person}))
    assert why_not(given, person) == {"SOD_CONFLICT"}
    assert decide(knowing(given, guards_production=False), NOW).status is GateStatus.APPROVED


# Delegation and recusal


def delegation(
    giver: PersonId = FIRST, to: PersonId = DELEGATE, *, role: Role = ENGINEER, days: float = 5
) -> Delegation:
    start = NOW - 2 * DAY
    return Delegation(
        id=f"{giver}>{to}",
        giver=giver,
        to=to,
        role=role,
        gates=frozenset(),
        start=start,
        until=start + days * DAY,
        reason="On leave",
        made_at=start,
    )


def delegating(given: GateInput, *made: Delegation) -> GateInput:
    return replace(given, roster=replace(given.roster, delegations=made))


def by_delegate(*made: Delegation, giver: PersonId = FIRST, person: PersonId = DELEGATE) -> GateInput:
    """Return a role gate that SECOND and a delegate of `giver` signed."""
    given = delegating(voted(empty(role_gate()), ENGINEER, person=SECOND), *made)
    return voted(given, ENGINEER, person=person, delegated_from=giver)


def test_a_delegate_votes_for_the_holder() -> None:
    assert decide(by_delegate(delegation()), NOW).status is GateStatus.APPROVED


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (by_delegate(), "VOTER_INELIGIBLE"),
        (by_delegate(delegation(days=1)), "DELEGATION_EXPIRED"),
        (by_delegate(replace(delegation(), made_at=NOW)), "DELEGATION_EXPIRED"),
        (by_delegate(replace(delegation(), revoked_at=NOW - DAY)), "DELEGATION_EXPIRED"),
        (by_delegate(replace(delegation(), gates=frozenset({"qa"}))), "VOTER_INELIGIBLE"),
        (
            by_delegate(delegation(PersonId("x")), delegation(FIRST, PersonId("x")), giver=PersonId("x")),
            "DELEGATION_CHAIN",
        ),
    ],
    ids=["none made", "ended", "made after the vote", "revoked", "another gate", "delegate of a delegate"],
)
def test_a_delegation_that_does_not_hold_gives_no_vote(given: GateInput, code: str) -> None:
    assert why_not(given, DELEGATE) == {code}


def test_a_delegate_who_made_the_release_cannot_approve_it() -> None:
    assert why_not(by_delegate(delegation(to=AUTHOR), person=AUTHOR), AUTHOR) == {"SOD_CONFLICT"}


def test_the_holder_does_not_vote_while_somebody_else_does() -> None:
    assert why_not(delegating(approved_roles(), delegation()), FIRST) == {"DELEGATION_ACTIVE"}


def test_a_holder_and_the_later_delegate_are_one_vote() -> None:
    late = replace(delegation(), start=NOW - HOUR / 2, made_at=NOW - HOUR / 2)
    given = delegating(voted(empty(role_gate()), ENGINEER, person=FIRST), late)
    given = voted(given, ENGINEER, person=DELEGATE, delegated_from=FIRST, at=NOW - MINUTE)
    assert why_not(given, DELEGATE) == {"SEAT_DUPLICATE"}


def test_two_delegates_of_one_holder_are_one_vote() -> None:
    again = PersonId("another")
    given = delegating(empty(role_gate()), delegation(), delegation(to=again))
    for who in (DELEGATE, again):
        given = voted(given, ENGINEER, person=who, delegated_from=FIRST)
    assert not decide(given, NOW).status.is_approved


def board_by(person: PersonId, *made: Delegation, giver: PersonId | None) -> GateInput:
    given = approved_board()
    role = Role.IT_DIRECTOR
    given = delegating(replace(given, votes=tuple(one for one in given.votes if one.role is not role)), *made)
    return voted(given, role, person=person, delegated_from=giver)


def test_a_seat_goes_to_its_registered_alternate_only() -> None:
    role, giver = Role.IT_DIRECTOR, holder(Role.IT_DIRECTOR)
    stranger = board_by(DELEGATE, delegation(giver, role=role), giver=giver)
    assert why_not(stranger, DELEGATE) == {"VOTER_INELIGIBLE"}
    alternate = holder(role, 1)
    given = board_by(alternate, delegation(giver, alternate, role=role), giver=giver)
    assert alternate in decide(given, NOW).signoffs[0].approved_by


def test_a_recused_holder_makes_way_for_the_registered_alternate() -> None:
    role, alternate = Role.IT_DIRECTOR, holder(Role.IT_DIRECTOR, 1)
    given = approved_board()
    given = replace(given, roster=replace(given.roster, recused={role: alternate}))
    assert "VOTER_INELIGIBLE" in why_not(given, holder(role))
    stands = voted(given, role, person=alternate)
    assert alternate in decide(stands, NOW).signoffs[0].approved_by
    stranger = replace(given, roster=replace(given.roster, recused={role: DELEGATE}))
    assert "VOTER_INELIGIBLE" in why_not(voted(stranger, role, person=DELEGATE), DELEGATE)


# Rejects


def rejecting(given: GateInput, person: PersonId = FIRST) -> GateInput:
    return voted(given, ENGINEER, person=person, decision=VoteDecision.REJECT, at=NOW - HOUR / 2)


def test_a_reject_stands_against_any_number_of_approvals() -> None:
    report = decide(rejecting(approved_roles(), SECOND), NOW)
    assert report.status is GateStatus.REJECTED
    assert report.reasons[0].code == "GATE_REJECTED"


def test_who_rejected_approves_only_in_a_new_attempt() -> None:
    given = voted(rejecting(approved_roles()), ENGINEER, person=FIRST, at=NOW - MINUTE)
    assert decide(given, NOW).status is GateStatus.REJECTED
    reopened = knowing(given, attempt=2)
    assert decide(reopened, NOW).status is GateStatus.READY
    for who in (FIRST, SECOND):
        reopened = voted(reopened, ENGINEER, person=who, at=NOW - MINUTE)
    assert decide(reopened, NOW).status is GateStatus.APPROVED


def test_an_approval_becomes_a_reject_at_any_time() -> None:
    assert decide(rejecting(approved_roles()), NOW).status is GateStatus.REJECTED


def test_new_evidence_and_a_new_plan_do_not_lift_a_reject() -> None:
    given = swap(rejecting(approved_roles()), evidence("tests.unit", GOOD_TESTS, name="newer", at=NOW - MINUTE))
    assert decide(knowing(given, plan=None), NOW).status is GateStatus.REJECTED


@pytest.mark.parametrize(
    "later",
    [
        lambda given: holding(given, FIRST, until=NOW - MINUTE),
        lambda given: knowing(given, editors={FIRST: NOW - MINUTE}),
        lambda given: delegating(given, replace(delegation(), start=NOW - MINUTE, made_at=NOW - MINUTE)),
        lambda given: swap(given, evidence("tests.unit", GOOD_TESTS, producer=FIRST, trust=Trust.CLAIMED)),
    ],
    ids=["lost the role", "edited the rules", "delegated", "brought evidence"],
)
def test_nothing_the_dissenter_does_later_takes_the_dissent_away(later: object) -> None:
    given = later(rejecting(approved_roles()))  # type: ignore[operator]
    assert decide(given, NOW).status is GateStatus.REJECTED


def test_a_recused_seat_that_had_rejected_still_rejects() -> None:
    role = Role.IT_DIRECTOR
    given = voted(approved_board(), role, decision=VoteDecision.REJECT, at=NOW - HOUR / 2)
    given = replace(given, roster=replace(given.roster, recused={role: holder(role, 1)}))
    assert decide(voted(given, role, person=holder(role, 1)), NOW).status is GateStatus.REJECTED


def test_rejected_parts_stay_rejected_under_another_name() -> None:
    report = decide(knowing(approved_roles(), rejected_elsewhere=("sha256:other",)), NOW)
    assert report.status is GateStatus.REJECTED
    assert codes(report) >= {"REJECTED_PARTS"}


# Who holds a seat


def test_a_seat_removed_after_voting_began_still_votes() -> None:
    given = approved_board()
    gone = Role.SECURITY_DIRECTOR
    board = given.gate.pre.board
    assert board is not None
    smaller = replace(board, seats=tuple(one for one in board.seats if one is not gone), must_vote=())
    gate = replace(given.gate, pre=replace(given.gate.pre, board=smaller))
    without = replace(given, gate=gate, votes=tuple(one for one in given.votes if one.role is not gone))
    report = decide(without, NOW)
    assert gone in {one.role for one in report.signoffs}
    assert report.board_ok is False


def test_who_came_to_a_seat_after_voting_began_does_not_vote_there() -> None:
    role, new = Role.IT_DIRECTOR, PersonId("newcomer")
    start = roster()
    seats = tuple(replace(one, holder=new) if one.role is role else one for one in start.seats)
    held = (*start.tenures, Tenure(role=role, person=new, since=NOW - 30 * DAY))
    given = replace(empty(board_gate()), roster=replace(start, seats=seats, tenures=held))
    assert why_not(voted(given, role, person=new), new) == {"ROSTER_CHANGED"}
    still: Vote = vote(given, role)
    assert decide(replace(given, votes=(still,)), NOW).signoffs[0].approved_by == (holder(role),)


@pytest.mark.feature("D12.26", "D12.41")
def test_the_sponsor_signs_after_the_board() -> None:
    given = approved_board()
    early = tuple(
        replace(one, at=one.at - DAY, login=replace(one.login, at=one.at - DAY)) if one.person == SPONSOR else one
        for one in given.votes
    )
    report = decide(replace(given, votes=early), NOW)
    assert report.status is not GateStatus.APPROVED
    assert "BOARD_FIRST" in codes(report)


def test_if_nobody_is_free_of_a_conflict_the_gate_says_so() -> None:
    given = empty(role_gate())
    authors = {"prompt": frozenset({FIRST, SECOND})}
    report = decide(replace(given, release=replace(given.release, authors=authors, sealer=SEALER)), NOW)
    assert "Nobody who holds it is free of a conflict" in report.missing[-1].text
