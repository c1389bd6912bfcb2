"""Standard changes: what a template allows, who must stand behind it, and for how long (gates.md 4.8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.gate.records import Roster, SeatAt, Tenure
from pilotage.gate.standard import (
    Moved,
    StandardChange,
    StandardTemplate,
    Standing,
    TemplateVote,
    approval_of,
    approver_problem,
    replaced_gates,
    scope_problems,
    template_json,
    template_problems,
)
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Board, BoardRule, Gate, GateHalf, Signoff, Trust

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SEATS = (Role.IT_DIRECTOR, Role.SECURITY_DIRECTOR)
SPONSOR = Role.EXECUTIVE_SPONSOR
HALF = GateHalf(
    criteria=(),
    board=Board(seats=SEATS, rule=BoardRule.UNANIMOUS_OR_RISK_ACCEPTED, quorum=2, must_vote=()),
    signoffs=(Signoff(role=SPONSOR, after_board=True),),
)
CAB = Gate(name="cab", guards="production-us-east-space", trust=Trust.PUSHED, pre=HALF)
ROSTER = Roster(
    version=digest_of(b"roster"),
    tenures=tuple(
        Tenure(role=role, person=PersonId(f"p.{role.value}"), since=NOW - 90 * DAY) for role in (*SEATS, SPONSOR)
    ),
    seats=tuple(SeatAt(role=role, holder=PersonId(f"p.{role.value}")) for role in SEATS),
)
FITS = Moved(
    is_from_production=True,
    parts=frozenset({"corpus"}),
    documents=5,
    documents_before=100,
    flags=(),
    regressions=0.0,
    leaks=0.0,
)


def vote(role: Role, *, after: timedelta = timedelta(), decision: str = "approve", who: str = "") -> TemplateVote:
    return TemplateVote(
        id=f"{role.value}-{after}-{decision}",
        person=PersonId(who or f"p.{role.value}"),
        role=role,
        decision=VoteDecision(decision),
        at=NOW + after,
    )


def template(*votes: TemplateVote, **fields: Any) -> StandardTemplate:
    return StandardTemplate(
        **{
            "id": "t",
            "workflow": WorkflowName("w"),
            "parts": ("corpus",),
            "max_share": 0.05,
            "max_documents": 500,
            "reason": "Weekly rates",
            "proposed_by": PersonId("p.admin"),
            "proposed_at": NOW,
            "votes": votes,
            **fields,
        }
    )


ALL = (vote(SEATS[0]), vote(SEATS[1], after=DAY), vote(SPONSOR, after=2 * DAY))


def test_every_seat_and_then_the_sponsor_make_it_good_for_ninety_days() -> None:
    found = approval_of(template(*ALL), CAB, ROSTER, NOW + 3 * DAY)
    assert (found.until, found.missing) == (NOW + 90 * DAY, ())
    assert found.by == tuple(sorted(one.person for one in ALL))
    last = approval_of(template(*ALL), CAB, ROSTER, NOW + 90 * DAY - timedelta(seconds=1))
    over = approval_of(template(*ALL), CAB, ROSTER, NOW + 90 * DAY)
    assert last.until is not None
    assert (over.until, [one.code for one in over.missing]) == (None, ["GATE_EXPIRED"])


def test_one_person_does_not_prolong_what_the_others_approved() -> None:
    again = vote(SPONSOR, after=80 * DAY)
    assert approval_of(template(*ALL, again), CAB, ROSTER, NOW + 81 * DAY).until == NOW + 90 * DAY
    over = approval_of(template(*ALL, again), CAB, ROSTER, NOW + 91 * DAY)
    assert (over.until, [one.code for one in over.missing]) == (None, ["GATE_EXPIRED"])
    all_again = (*(vote(role, after=70 * DAY) for role in SEATS), again)
    assert approval_of(template(*ALL, *all_again), CAB, ROSTER, NOW + 91 * DAY).until == NOW + 160 * DAY


@pytest.mark.parametrize(
    ("votes", "code"),
    [
        (ALL[:2], "SIGNOFF_SHORT"),
        (ALL[1:], "SIGNOFF_SHORT"),
        ((ALL[0], ALL[1], vote(SPONSOR)), "SIGNOFF_SHORT"),
        ((*ALL[:2], vote(SPONSOR, after=2 * DAY, decision="abstain")), "SIGNOFF_SHORT"),
        ((*ALL, vote(SEATS[1], after=3 * DAY, decision="reject")), "GATE_REJECTED"),
        ((vote(SEATS[0], decision="reject"), vote(SEATS[0], after=DAY), *ALL[1:]), "GATE_REJECTED"),
        ((ALL[0], vote(SEATS[1], who="p.it-director"), ALL[2]), "SIGNOFF_SHORT"),
        ((ALL[0], vote(SEATS[1], who="p.stranger"), ALL[2]), "SIGNOFF_SHORT"),
    ],
    ids=["no sponsor", "no seat", "sponsor first", "abstains", "turned", "rejected once", "two seats", "no holder"],
)
def test_anything_less_leaves_it_unapproved(votes: tuple[TemplateVote, ...], code: str) -> None:
    found = approval_of(template(*votes), CAB, ROSTER, NOW + 5 * DAY)
    assert found.until is None
    assert code in {one.code for one in found.missing}


def test_a_seat_lost_later_or_held_too_briefly_does_not_count() -> None:
    gone = replace(ROSTER.tenures[0], until=NOW + 4 * DAY)
    young = replace(ROSTER.tenures[0], since=NOW - 6 * DAY)
    for tenure in (gone, young):
        roster = replace(ROSTER, tenures=(tenure, *ROSTER.tenures[1:]))
        assert approval_of(template(*ALL), CAB, roster, NOW + 5 * DAY).until is None


@pytest.mark.parametrize(
    ("who", "role", "since", "code"),
    [
        ("p.it-director", SEATS[0], 90 * DAY, None),
        ("p.executive-sponsor", SPONSOR, 90 * DAY, None),
        ("p.it-director", Role.QA_LEAD, 90 * DAY, "ROLE_NOT_ASKED"),
        ("p.it-director", SEATS[1], 90 * DAY, "VOTER_INELIGIBLE"),
        ("p.it-director", SEATS[0], 6 * DAY, "ROLE_TENURE"),
    ],
    ids=["a seat", "after the board", "a role not asked", "another's seat", "held too briefly"],
)
def test_who_speaks_for_a_seat_is_told_before_the_vote(
    who: str, role: Role, since: timedelta, code: str | None
) -> None:
    roster = replace(ROSTER, tenures=tuple(replace(one, since=NOW - since) for one in ROSTER.tenures))
    found = approver_problem(PersonId(who), role, CAB, roster, NOW)
    assert (None if found is None else found.code) == code


def test_a_template_and_where_it_stands_are_shown_as_one_record() -> None:
    whole = template(*ALL)
    shown = template_json(whole, approval_of(whole, CAB, ROSTER, NOW + 3 * DAY))
    assert (shown["approved"], shown["until"], shown["missing"]) == (True, to_text(NOW + 90 * DAY), [])
    short = template(*ALL[:1])
    approval = approval_of(short, CAB, ROSTER, NOW)
    shown = template_json(short, approval)
    assert (shown["approved"], shown["until"]) == (False, None)
    assert shown["missing"] == [dict(one.as_json()) for one in approval.missing]
    told = {"person": "p.it-director", "role": "it-director", "decision": "approve", "at": to_text(NOW)}
    assert shown["votes"] == [told]


def test_a_standing_change_holds_while_nothing_speaks_against_it() -> None:
    change = StandardChange(
        id="C", release=digest_of(b"release"), template="t", declared_by=PersonId("ada"), declared_at=NOW
    )
    assert Standing(change=change).holds
    assert not Standing(change=change, against=scope_problems(template(), replace(FITS, leaks=None))).holds


def test_what_fits_goes_by_it() -> None:
    assert scope_problems(template(), FITS) == ()
    assert scope_problems(template(), replace(FITS, parts=frozenset(), documents=0)) == ()


def _said(changed: dict[str, Any]) -> str:
    """Name a case; a set is said in one order, so that every worker collects the same names."""
    return " ".join(
        f"{key}={sorted(value) if isinstance(value, frozenset) else value}" for key, value in changed.items()
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"is_from_production": False},
        {"parts": frozenset({"corpus", "prompt"})},
        {"documents": 6},
        {"documents": None},
        {"documents_before": None},
        {"documents": 501, "documents_before": 100_000},
        {"flags": ("ACL_WIDENED",)},
        {"flags": None},
        {"regressions": 1.0},
        {"regressions": None},
        {"leaks": 1.0},
        {"leaks": None},
    ],
    ids=_said,
)
def test_what_does_not_fit_or_is_not_known_is_out_of_scope(changed: dict[str, Any]) -> None:
    found = scope_problems(template(), replace(FITS, **changed))
    assert {one.code for one in found} == {"STANDARD_OUT_OF_SCOPE"}


@pytest.mark.parametrize(
    ("parts", "share", "documents"),
    [
        (("corpus", "model"), 0.05, 500),
        (("guard",), 0.05, 500),
        (("tools",), 0.05, 500),
        (("everything",), 0.05, 500),
        ((), 0.05, 500),
        (("corpus",), 0.051, 500),
        (("corpus",), 0.0, 500),
        (("corpus",), float("nan"), 500),
        (("corpus",), 0.05, 501),
        (("corpus",), 0.05, 0),
    ],
)
def test_a_template_wider_than_the_law_is_none(parts: tuple[str, ...], share: float, documents: int) -> None:
    found = template_problems(parts, max_share=share, max_documents=documents)
    assert {one.code for one in found} == {"STANDARD_OUT_OF_SCOPE"}


def test_it_stands_in_at_the_board_and_at_the_gate_into_it_and_nowhere_else() -> None:
    uat = Gate(name="uat", guards="cab", trust=Trust.PUSHED, pre=GateHalf(criteria=()))
    qa = Gate(name="qa", guards="staging-deployment-space", trust=Trust.PUSHED, pre=GateHalf(criteria=()))
    live = Gate(name="go-live", guards="production", trust=Trust.PUSHED, pre=GateHalf(criteria=()))
    assert replaced_gates({one.name: one for one in (CAB, uat, qa, live)}) == {"cab", "uat"}
    assert replaced_gates({"qa": qa}) == frozenset()
