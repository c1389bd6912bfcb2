"""A board's session: who calls it, what goes on its agenda, what is asked, and minutes that stay."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import PROMOTER, SEAT_ROLES, SEATS, GateWorld, codes, gate_world
from tests.emptied import empty

from pilotage.control.call_session import call_session, submit_release
from pilotage.control.close_session import close_session
from pilotage.control.session_questions import answer_question, ask_question
from pilotage.control.sign_gate import Signed
from pilotage.control.view_session import list_sessions, session_minutes, view_session
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import IntegrityError, NotFound, UsageError
from pilotage.gate.session import Question, Session
from pilotage.identity.principal import PrincipalKind
from pilotage.identity.roles import Role
from pilotage.ledger.entry import decode_entry
from pilotage.store.ledger_entries import entries_of
from pilotage.store.ledger_said import said_about

pytestmark = pytest.mark.store
CHAIR, RISK = SEATS[0], SEATS[3]
AUTHOR = "maria.chen"


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    with engine.begin() as connection:
        empty(connection, "board_session", "board_item", "board_question", "outbox")
    return gate_world(engine)


def call(world: GateWorld, **how: Any) -> Session:
    done = call_session(world.instance, actor=world.person(CHAIR), releases=[world.release], **how)
    assert isinstance(done, Session), done
    return done


def kinds(world: GateWorld, subject: str) -> list[str]:
    with world.inner.engine.begin() as connection:
        return [entry.kind for entry in entries_of(connection, subject)]


def test_a_session_is_called_with_its_agenda_recorded_and_the_board_told(world: GateWorld) -> None:
    session = call(world)
    assert [one.release for one in session.agenda] == [world.release]
    assert sorted(kinds(world, session.id)) == ["gate.session_called", "gate.session_item_added"]
    with world.inner.engine.connect() as connection:
        (told,) = connection.execute(text("SELECT payload FROM outbox WHERE kind = 'notification'")).scalars()
    assert told["audience"] == ["board"]
    assert told["facts"]["session"] == session.id
    (seen,) = list_sessions(world.instance).sessions
    assert seen == session


@pytest.mark.parametrize("name", [AUTHOR, "anita.rao", "omar.haddad"])
def test_who_neither_votes_nor_promotes_calls_no_session(world: GateWorld, name: str) -> None:
    before = world.rows()
    assert codes(call_session(world.instance, actor=world.person(name))) == {"NOT_PERMITTED"}
    assert list_sessions(world.instance).sessions == ()
    assert world.rows() == before


def test_who_brings_releases_into_production_prepares_a_session(world: GateWorld) -> None:
    assert isinstance(call_session(world.instance, actor=world.person(PROMOTER), releases=[world.release]), Session)


def test_a_session_in_the_past_or_at_a_gate_without_board_is_refused(world: GateWorld) -> None:
    actor, now = world.person(CHAIR), world.inner.clock.now()
    with pytest.raises(UsageError, match="has passed"):
        call_session(world.instance, actor=actor, starts_at=now - timedelta(hours=1))
    with pytest.raises(UsageError, match="no board"):
        call_session(world.instance, actor=actor, gate="qa")
    with pytest.raises(NotFound, match="no gate"):
        call_session(world.instance, actor=actor, gate="none")


def test_a_release_stands_on_one_open_agenda(world: GateWorld) -> None:
    first = call(world)
    actor, before = world.person(CHAIR), world.rows()
    assert codes(call_session(world.instance, actor=actor, releases=[world.release])) == {"ON_AGENDA"}
    again = submit_release(world.instance, actor=actor, session=first.id, release=world.release)
    assert codes(again) == {"ON_AGENDA"}
    assert world.rows() == before
    assert len(list_sessions(world.instance).sessions) == 1


def test_a_closed_session_takes_nothing_more_and_the_next_one_may_have_the_release(world: GateWorld) -> None:
    first, actor = call(world), world.person(CHAIR)
    assert isinstance(close_session(world.instance, actor=actor, session=first.id), Session)
    added = submit_release(world.instance, actor=actor, session=first.id, release=world.release)
    assert codes(added) == {"SESSION_CLOSED"}
    asked = ask_question(world.instance, actor=actor, session=first.id, release=world.release, text="Why?")
    assert codes(asked) == {"SESSION_CLOSED"}
    assert codes(close_session(world.instance, actor=actor, session=first.id)) == {"SESSION_CLOSED"}
    assert call(world).id != first.id


def test_what_is_decided_or_withdrawn_comes_before_no_board(world: GateWorld) -> None:
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        assert isinstance(world.sign(name, "cab", role), Signed)
    world.inner.clock.advance(timedelta(minutes=1))
    assert isinstance(world.sign("helena.stroud", "cab", Role.EXECUTIVE_SPONSOR), Signed)
    actor = world.person(CHAIR)
    done = call_session(world.instance, actor=actor, releases=[world.release])
    assert codes(done) == {"NOTHING_TO_DECIDE"}
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE release SET state = 'quarantined' WHERE digest = :d"), {"d": world.release})
    assert "RELEASE_STATE" in codes(call_session(world.instance, actor=actor, releases=[world.release]))


def test_an_agenda_has_an_end(world: GateWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.control.call_session.MOST_ITEMS", 1)
    session = call(world)
    full = submit_release(world.instance, actor=world.person(CHAIR), session=session.id, release=world.release)
    assert "AGENDA_FULL" in codes(full)


def test_the_board_asks_and_who_brings_evidence_answers_once(world: GateWorld) -> None:
    session = call(world)
    where = {"session": session.id, "release": world.release}
    nobody = ask_question(world.instance, actor=world.person(AUTHOR), text="Why?", **where)
    assert codes(nobody) == {"NOT_PERMITTED"}
    asked = ask_question(world.instance, actor=world.person(RISK), text=" Who reads? ", **where)
    assert isinstance(asked, Question)
    assert asked.text == "Who reads?"
    told = {"session": session.id, "question": asked.id}
    outsider = answer_question(world.instance, actor=world.person("anita.rao"), text="Me.", **told)
    assert codes(outsider) == {"NOT_PERMITTED"}
    done = answer_question(world.instance, actor=world.person(AUTHOR), text="Quality.", **told)
    assert isinstance(done, Question)
    assert done.answered_by == AUTHOR
    again = answer_question(world.instance, actor=world.person(AUTHOR), text="Or me.", **told)
    assert codes(again) == {"ANSWERED"}
    assert kinds(world, asked.id) == ["gate.question_asked", "gate.question_answered"]
    found = view_session(world.instance, actor=world.person(RISK), session=session.id).session
    assert found.questions == (done,)


def test_questions_have_words_a_release_of_the_agenda_and_a_person(world: GateWorld) -> None:
    session = call_session(world.instance, actor=world.person(CHAIR))
    assert isinstance(session, Session)
    where = {"session": session.id, "release": world.release}
    for words, what in (("  ", "Write the question"), ("x" * 4001, "4,001 characters")):
        with pytest.raises(UsageError, match=what):
            ask_question(world.instance, actor=world.person(RISK), text=words, **where)
    with pytest.raises(NotFound, match="not on the agenda"):
        ask_question(world.instance, actor=world.person(RISK), text="Why?", **where)
    with pytest.raises(NotFound, match="no session"):
        ask_question(world.instance, actor=world.person(RISK), text="Why?", session="none", release=world.release)
    with pytest.raises(NotFound, match="no question"):
        answer_question(world.instance, actor=world.person(RISK), text="So.", session=session.id, question="none")


def test_a_session_is_closed_by_a_member_of_the_board_early_too_and_its_minutes_say_when(world: GateWorld) -> None:
    begins = world.inner.clock.now() + timedelta(hours=2)
    session = call(world, starts_at=begins)
    assert codes(close_session(world.instance, actor=world.person(PROMOTER), session=session.id)) == {"NOT_PERMITTED"}
    done = close_session(world.instance, actor=world.person(CHAIR), session=session.id, note="Called by mistake.")
    assert isinstance(done, Session)
    assert done.closed_by == CHAIR
    kept = session_minutes(world.instance, session.id)
    assert (kept["starts_at"], kept["closed_at"]) == (to_text(begins), to_text(world.inner.clock.now()))
    assert [one.release for one in call(world).agenda] == [world.release]


def test_a_session_is_called_at_most_a_year_ahead_and_told_in_utc(world: GateWorld) -> None:
    actor, now = world.person(CHAIR), world.inner.clock.now()
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))
    for begins in (now + timedelta(days=367), last):
        with pytest.raises(UsageError, match="366 days ahead"):
            call_session(world.instance, actor=actor, starts_at=begins)
    with pytest.raises(UsageError, match="has passed"):
        call_session(world.instance, actor=actor, starts_at=datetime.min.replace(tzinfo=UTC))
    assert list_sessions(world.instance).sessions == ()
    session = call(world, starts_at=(now + timedelta(days=1)).astimezone(timezone(timedelta(hours=5))))
    assert session.starts_at.utcoffset() == timedelta(0)
    assert list_sessions(world.instance).sessions == (session,)


@pytest.mark.parametrize(
    ("kind", "code"), [(PrincipalKind.SERVICE, "SOD_SERVICE"), (PrincipalKind.PERSON, "SOD_CONFLICT")]
)
def test_who_is_no_declared_person_asks_answers_and_closes_nothing(
    world: GateWorld, kind: PrincipalKind, code: str
) -> None:
    session, nobody = call(world), replace(world.person(CHAIR), kind=kind, person=None)
    asked = ask_question(
        world.instance, actor=world.person(RISK), session=session.id, release=world.release, text="Why?"
    )
    assert isinstance(asked, Question)
    before = world.rows()
    for done in (
        ask_question(world.instance, actor=nobody, session=session.id, release=world.release, text="Why?"),
        answer_question(world.instance, actor=nobody, session=session.id, question=asked.id, text="So."),
        close_session(world.instance, actor=nobody, session=session.id),
    ):
        assert codes(done) == {code}
    assert world.rows() == before


APART = "Die Pru\u0308fung  steht\u200b aus."
TOGETHER = "Die Pr\u00fcfung steht aus."


def test_letters_written_apart_keep_no_session_open_and_stand_as_the_ledger_has_them(world: GateWorld) -> None:
    session = call(world)
    where = {"session": session.id, "release": world.release}
    asked = ask_question(world.instance, actor=world.person(RISK), text=APART, **where)
    assert isinstance(asked, Question)
    told = {"session": session.id, "question": asked.id}
    done = answer_question(world.instance, actor=world.person(AUTHOR), text=APART, **told)
    assert isinstance(done, Question)
    signed = world.sign(SEATS[1], "cab", SEAT_ROLES[1], "reject", comment=APART)
    assert isinstance(signed, Signed)
    assert (asked.text, done.answer, signed.vote.comment) == (TOGETHER, TOGETHER, TOGETHER)
    ended = close_session(world.instance, actor=world.person(CHAIR), session=session.id, note=APART)
    assert isinstance(ended, Session)
    kept: Any = session_minutes(world.instance, session.id)
    assert kept["note"] == TOGETHER
    assert [row["comment"] for row in kept["items"][0]["dissent"]] == [TOGETHER]
    with world.inner.engine.begin() as connection:
        said = said_about(connection, [session.id, asked.id, signed.vote.id])
    opened = {word for entries in said.values() for one in entries for word in one.opened.values()}
    assert opened >= {TOGETHER}
    assert APART not in opened


def test_words_stored_apart_before_keep_no_session_open(world: GateWorld) -> None:
    session = call(world)
    asked = ask_question(
        world.instance, actor=world.person(RISK), text="Who?", session=session.id, release=world.release
    )
    assert isinstance(asked, Question)
    assert isinstance(world.sign(SEATS[1], "cab", SEAT_ROLES[1], "reject"), Signed)
    with world.inner.engine.begin() as connection:
        for row in ("board_question SET text =", "board_question SET answer =", "gate_vote SET comment ="):
            connection.execute(text(f"UPDATE {row} :words"), {"words": APART})
    assert isinstance(close_session(world.instance, actor=world.person(CHAIR), session=session.id), Session)
    (item,) = cast("Any", session_minutes(world.instance, session.id))["items"]
    assert item["questions"][0]["question"] == unicodedata.normalize("NFC", APART)


def test_minutes_of_a_row_edited_in_the_database_say_so(world: GateWorld) -> None:
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        assert isinstance(world.sign(name, "cab", role), Signed)
    session = call(world)
    with world.inner.engine.begin() as connection:
        edit = "UPDATE gate_vote SET person = 'maria.chen' WHERE role = 'it-director'"
        assert connection.execute(text(edit)).rowcount == 1
    seen = view_session(world.instance, actor=world.person(CHAIR), session=session.id).items[0]
    assert "LEDGER_MISMATCH" in {reason.code for reason in seen.report.reasons}
    assert isinstance(close_session(world.instance, actor=world.person(CHAIR), session=session.id), Session)
    (item,) = cast("Any", session_minutes(world.instance, session.id))["items"]
    assert item["result"] == "blocked"
    assert [one for one in item["reasons"] if "the ledger recorded" in one]


def test_minutes_are_recorded_once_with_their_digest_and_never_change(world: GateWorld) -> None:
    session = call(world, starts_at=world.inner.clock.now() + timedelta(hours=1))
    dissent = "Branches have not rehearsed."
    assert isinstance(world.sign(SEATS[1], "cab", SEAT_ROLES[1], "reject", comment=dissent), Signed)
    world.inner.clock.advance(timedelta(hours=1))
    assert isinstance(world.sign(CHAIR, "cab", SEAT_ROLES[0]), Signed)
    draft = session_minutes(world.instance, session.id)
    assert draft["closed_at"] is None
    done = close_session(world.instance, actor=world.person(CHAIR), session=session.id, note="Next week.")
    assert isinstance(done, Session)
    kept: Any = session_minutes(world.instance, session.id)
    assert digest_of_json(kept) == done.minutes
    with world.inner.engine.begin() as connection:
        entry = entries_of(connection, session.id)[-1]
    assert entry.kind == "gate.session_closed"
    assert decode_entry(entry.bytes).data["minutes"] == done.minutes
    (item,) = kept["items"]
    rows = {row["seat"]: row for row in item["board"]}
    assert rows["business-leadership"]["decision"] == "reject"
    assert rows["business-leadership"]["given"] == "before the session"
    assert rows["it-director"]["given"] == "in the session"
    assert rows["risk-management"]["decision"] == "absent"
    assert [row["comment"] for row in item["dissent"]] == [dissent]
    assert isinstance(world.sign(RISK, "cab", SEAT_ROLES[3]), Signed)
    assert session_minutes(world.instance, session.id) == kept


def test_minutes_that_were_edited_in_the_database_are_not_shown(world: GateWorld) -> None:
    session = call(world)
    assert isinstance(close_session(world.instance, actor=world.person(CHAIR), session=session.id), Session)
    with world.inner.engine.begin() as connection:
        connection.execute(
            text("UPDATE board_session SET minutes = replace(encode(minutes, 'escape'), 'cab', 'qa')::bytea")
        )
    with pytest.raises(IntegrityError, match="changed in the database"):
        session_minutes(world.instance, session.id)


def test_releases_that_wait_for_a_board_are_listed_until_they_are_on_an_agenda(world: GateWorld) -> None:
    candidates = [stored.digest for stored, _ in list_sessions(world.instance).candidates]
    assert candidates == [world.release]
    call(world)
    assert list_sessions(world.instance).candidates == ()


def test_the_release_that_is_taken_first_is_the_first_that_is_not_decided(world: GateWorld) -> None:
    session = call(world)
    seen = view_session(world.instance, actor=world.person(CHAIR), session=session.id)
    assert seen.chosen is not None
    assert seen.chosen.item.position == 1
    assert seen.gate is not None
    assert [choice.role for choice in seen.gate.choices] == [Role.IT_DIRECTOR]
    shown: Any = seen.as_json(world.inner.clock.now())
    assert shown["items"][0]["seats"][0] == {"role": "it-director", "said": "absent"}


def test_a_release_on_an_agenda_of_another_page_is_no_candidate_and_its_session_is_the_next(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotage.control.view_session.MOST_SESSIONS", 1)
    actor = world.person(CHAIR)
    for begins in (3, 2):
        world.inner.clock.advance(timedelta(seconds=1))
        starts_at = world.inner.clock.now() + timedelta(days=begins)
        assert isinstance(call_session(world.instance, actor=actor, starts_at=starts_at), Session)
    world.inner.clock.advance(timedelta(seconds=1))
    newest = call(world, starts_at=world.inner.clock.now() + timedelta(days=1))
    first = list_sessions(world.instance)
    older = list_sessions(world.instance, before=first.more)
    assert [one.id for one in first.sessions] == [newest.id]
    assert newest.id not in {one.id for one in older.sessions}
    for found in (first, older):
        assert found.candidates == ()
        assert found.next is not None
        assert found.next.id == newest.id
