"""What a session of a board says before it meets, and what its minutes keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.gate import builders

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import PersonId
from pilotage.gate.decide import decide
from pilotage.gate.minutes import Closing, Discussed, lay_out_minutes, minutes_of, results_in
from pilotage.gate.pack_html import layout_html
from pilotage.gate.report import SignoffResult
from pilotage.gate.session import AgendaItem, Question, Session, SessionState, board_problems, seated
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Board, BoardRule

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ADA, BEN = PersonId("ada"), PersonId("ben")
SEATS = (Role.IT_DIRECTOR, Role.SECURITY_DIRECTOR, Role.RISK_MANAGEMENT)
BOARD = Board(seats=SEATS, rule=BoardRule.UNANIMOUS_OR_RISK_ACCEPTED, quorum=2, must_vote=(Role.RISK_MANAGEMENT,))
SESSION = Session(id="S1", gate="cab", starts_at=NOON, called_by=ADA, called_at=NOON - timedelta(days=1))


def seat(role: Role, **said: tuple[PersonId, ...]) -> SignoffResult:
    return SignoffResult(role=role, is_seat=True, needed=1, **{"eligible": (ADA,), **said})  # type: ignore[arg-type]


def codes(*signoffs: SignoffResult) -> list[str]:
    return [one.code for one in board_problems(BOARD, signoffs)]


def test_a_session_is_called_then_open_then_closed() -> None:
    assert SESSION.state(NOON - timedelta(seconds=1)) is SessionState.CALLED
    assert SESSION.state(NOON) is SessionState.OPEN
    assert replace(SESSION, closed_at=NOON).state(NOON) is SessionState.CLOSED


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"approved_by": (ADA,)}, "approve"),
        ({"rejected_by": (ADA,)}, "reject"),
        ({"abstained_by": (ADA,)}, "abstain"),
        ({}, "absent"),
    ],
)
def test_who_did_not_speak_is_absent(said: dict[str, tuple[PersonId, ...]], word: str) -> None:
    assert seated(seat(Role.IT_DIRECTOR, **said)) == word


def test_a_board_that_can_decide_has_no_problem() -> None:
    assert codes(*(seat(role) for role in SEATS)) == []


def test_a_seat_without_a_person_is_said_before_the_session() -> None:
    assert codes(seat(SEATS[0], eligible=()), seat(SEATS[1]), seat(SEATS[2])) == ["SEAT_EMPTY"]


def test_a_seat_that_spoke_is_not_empty_though_its_holder_left() -> None:
    assert codes(seat(SEATS[0], eligible=(), approved_by=(BEN,)), seat(SEATS[1]), seat(SEATS[2])) == []


def test_a_quorum_out_of_reach_is_said_with_both_numbers() -> None:
    found = board_problems(
        BOARD, [seat(SEATS[0], rejected_by=(ADA,)), seat(SEATS[1], rejected_by=(BEN,)), seat(SEATS[2])]
    )
    assert [(one.code, one.observed, one.limit) for one in found] == [("QUORUM_IMPOSSIBLE", "1", "2")]


def test_a_seat_the_board_needs_and_a_signer_nobody_may_be_are_said() -> None:
    signer = SignoffResult(role=Role.EXECUTIVE_SPONSOR, is_seat=False, needed=1, after_board=True)
    found = codes(seat(SEATS[0]), seat(SEATS[1]), seat(SEATS[2], eligible=()), signer)
    assert found == ["SEAT_EMPTY", "MUST_VOTE_EMPTY", "SIGNER_MISSING"]


def discussed() -> Discussed:
    """The builders' board where one seat rejected before the session and another approved in it."""
    given = builders.empty(builders.board_gate())
    assert given.rules.board is not None
    one, two = given.rules.board.seats[:2]
    early = replace(
        builders.vote(given, one),
        decision=VoteDecision.REJECT,
        comment="Branches <are> not ready.",
        at=SESSION.starts_at - timedelta(hours=1),
    )
    late = replace(builders.vote(given, two), at=SESSION.starts_at + timedelta(hours=1))
    report = decide(replace(given, votes=(early, late)), SESSION.starts_at + timedelta(hours=2))
    asked = Question(id="Q", release=Digest("sha256:aa"), text="Who reads?", asked_by=BEN, asked_at=NOON)
    return Discussed(
        workflow="policy-assistant",
        release=given.release.digest,
        sealed_by=ADA,
        report=report,
        pack=None,
        votes=(early, late),
        questions=(asked,),
    )


def test_minutes_keep_dissent_word_for_word_absence_and_questions_without_answer() -> None:
    closing = Closing(by=BEN, at=NOON, note="Next week again.")
    facts = minutes_of(SESSION, [discussed()], organisation="Bank", as_of=NOON, closing=closing)
    printed = layout_html(lay_out_minutes(facts))
    assert "Branches &lt;are&gt; not ready." in printed
    assert "before the session" in printed
    assert "in the session" in printed
    for word in ("rejected", "approved", "absent"):
        assert f"<td>{word}</td>" in printed
    assert "<td>reject</td>" not in printed
    assert "unanswered" in printed
    assert "Next week again." in printed
    assert digest_of_json(facts) in printed
    assert lay_out_minutes(facts).title == "Minutes of the cab session"


def test_minutes_say_which_risks_were_accepted_by_whom_and_which_seat_that_covers() -> None:
    away = builders.SEATS[0]
    slow = builders.evidence("load.peak", {**builders.GOOD_LOAD, "p95": 2_500.0})
    given = builders.swap(builders.empty(builders.board_gate()), slow)
    risk = builders.Accepting(seats=(away,), criteria=("latency",)).made()
    unused = replace(risk, id="risk-2", expires=risk.created)
    given = replace(given, acceptances=(risk, unused))
    report = decide(given, builders.NOW)
    item = replace(discussed(), report=report, votes=(), acceptances=(risk, unused))
    page = layout_html(lay_out_minutes(minutes_of(SESSION, [item], organisation="Bank", as_of=NOON)))
    assert "covered by a risk acceptance" in page
    for told in (*risk.controls, risk.risk, f"{builders.SPONSOR} (executive-sponsor)", risk.owner):
        assert told in page
    assert "risk-2" not in page


@pytest.mark.parametrize("items", [["lost"], [{"board": "lost"}], [{}]], ids=["no record", "no rows", "nothing"])
def test_damaged_minutes_say_what_is_missing(items: list[Json]) -> None:
    page = layout_html(lay_out_minutes({"gate": "cab", "closed_at": "2026-11-26T12:00:00.000Z", "items": items}))
    assert 'class="missing">MISSING' in page
    assert "None." not in page


def test_a_session_shows_its_agenda_and_questions_and_gives_those_of_one_release() -> None:
    one, two = (
        Question(id=name, release=Digest(f"sha256:{name}"), text="Why?", asked_by=BEN, asked_at=NOON)
        for name in ("aa", "bb")
    )
    item = AgendaItem(release=one.release, position=1, added_by=ADA, added_at=NOON)
    whole = replace(SESSION, agenda=(item,), questions=(two, one), closed_at=NOON, closed_by=BEN)
    assert whole.about(one.release) == (one,)
    shown: Any = whole.as_json(NOON)
    assert (shown["state"], shown["agenda"], shown["closed_by"]) == ("closed", ["sha256:aa"], "ben")
    assert [one["digest"] for one in shown["questions"]] == ["sha256:bb", "sha256:aa"]
    assert SESSION.as_json(NOON)["closed_at"] is None


def test_minutes_say_what_each_release_was_left_as_and_a_word_nobody_knows_is_left_out() -> None:
    item: dict[str, Json] = {"release": "sha256:1", "result": "approved"}
    items: list[Json] = [item, {**item, "result": "a word of tomorrow"}, "no item"]
    assert results_in({"items": items}) == {"sha256:1": GateStatus.APPROVED}
    assert results_in({}) == {}


def test_minutes_of_an_open_session_are_a_draft_and_say_so() -> None:
    layout = lay_out_minutes(minutes_of(SESSION, [], organisation="Bank", as_of=NOON))
    assert layout.title == "Draft minutes of the cab session"
    assert dict(layout.head.rows)["minutes"] == "draft: the session is not closed"
    assert "No release stood on the agenda." in layout_html(layout)
