"""Requests for changes at a gate: who asks, for whom they wait, what answers them, and what is written."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from tests.control.gate_world import FELIX, KEIKO, GateWorld, codes, gate_world
from tests.emptied import empty

from pilotage.control.inbox import list_tasks
from pilotage.control.request_changes import (
    Wish,
    change_tasks,
    close_request,
    list_request_page,
    list_requests,
    request_changes,
)
from pilotage.control.sign_gate import Signed
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Refusal
from pilotage.gate.change_request import ChangeRequest
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.roles import Role
from pilotage.store.change_requests import close
from pilotage.store.ledger_entries import entries_of

pytestmark = pytest.mark.store
AUTHOR, TEXT = "maria.chen", "Name the limit of a transfer in the prompt."


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    with engine.begin() as connection:
        empty(connection, "gate_change_request", "outbox")
    return gate_world(engine)


def ask(world: GateWorld, name: str = FELIX, **changed: str) -> ChangeRequest | Refusal:
    given = {"gate": "code-review", "role": "senior-engineer", "text": TEXT, **changed}
    return request_changes(world.instance, actor=world.person(name), release=world.release, wish=Wish(**given))


def asked(world: GateWorld, **changed: str) -> ChangeRequest:
    done = ask(world, **changed)
    assert isinstance(done, ChangeRequest), done
    return done


def waits_for(world: GateWorld, name: str) -> list[str]:
    return [one.key for one in list_tasks(world.instance, world.person(name)).tasks if one.key.startswith("change/")]


@pytest.mark.feature("D5.11")
def test_a_request_waits_for_the_authors_until_their_next_release_which_needs_votes_of_its_own(
    world: GateWorld,
) -> None:
    world.review()
    assert world.status("code-review").status is GateStatus.APPROVED
    one = asked(world)
    assert waits_for(world, AUTHOR) == [f"change/{one.id}"]
    assert [waits_for(world, name) for name in (FELIX, KEIKO, "omar.haddad")] == [[], [], []]
    world.inner.clock.advance(timedelta(minutes=1))
    first, world.release = world.release, world.inner.seal("Names the limit.", author=AUTHOR)
    (answered,) = list_requests(world.instance, release=first)
    assert (answered.state, answered.answered_by) == ("answered", world.release)
    assert waits_for(world, AUTHOR) == []
    assert not world.status("code-review").status.is_approved
    assert codes(close_request(world.instance, actor=world.person(FELIX), request=one.id, reason="Done.")) == {
        "CHANGE_CLOSED"
    }


def test_the_same_content_sealed_again_answers_nothing(world: GateWorld) -> None:
    one = asked(world)
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE gate_change_request SET at = at - interval '1 hour'"))
    world.resealed()
    assert waits_for(world, AUTHOR) == [f"change/{one.id}"]


def test_whoever_asked_closes_it_and_both_stand_in_the_ledger(world: GateWorld) -> None:
    one = asked(world)
    how: dict[str, Any] = {"request": one.id, "reason": "Settled on the phone."}
    assert codes(close_request(world.instance, actor=world.person(KEIKO), **how)) == {"NOT_PERMITTED"}
    done = close_request(world.instance, actor=world.person(FELIX), **how)
    assert isinstance(done, ChangeRequest)
    assert (done.state, waits_for(world, AUTHOR)) == ("closed", [])
    assert [found.closed_reason for found in list_requests(world.instance, release=world.release)] == [how["reason"]]
    with world.inner.engine.begin() as connection:
        kinds = [entry.kind for entry in entries_of(connection, one.id)]
        told = connection.execute(text("SELECT payload FROM outbox WHERE kind = 'notification'")).scalars().all()
    assert kinds == ["gate.change_requested", "gate.change_closed"]
    assert {body["facts"].get("request") for body in told} == {one.id}
    assert {(body["kind"], *body["audience"], body["facts"]["people"]) for body in told} == {
        ("ticket", "owner", AUTHOR)
    }
    assert all(f"It waits for {AUTHOR}." in body["text"] for body in told)
    assert TEXT not in str(told)


def test_a_second_closing_at_once_is_refused_and_the_first_reason_stands(world: GateWorld) -> None:
    one, actor, done = asked(world), world.person(FELIX), list[object]()
    late = Thread(target=lambda: done.append(close_request(world.instance, actor=actor, request=one.id, reason="Two.")))
    with world.inner.engine.begin() as connection:
        close(connection, one.id, at=world.inner.clock.now(), reason="One.")
        late.start()
        late.join(0.5)
        assert late.is_alive()
    late.join()
    assert codes(done[0]) == {"CHANGE_CLOSED"}
    assert [found.closed_reason for found in list_requests(world.instance, release=world.release)] == ["One."]


def test_requests_are_listed_page_by_page_and_gate_by_gate(world: GateWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.control.request_changes.MOST_REQUESTS", 2)
    made = []
    for _ in range(5):
        world.inner.clock.advance(timedelta(minutes=1))
        made.append(asked(world).id)
    first = list_request_page(world.instance, release=world.release, gate="code-review")
    second = list_request_page(world.instance, release=world.release, gate="code-review", after=first.more)
    last = list_request_page(world.instance, release=world.release, after=second.more)
    assert [[one.id for one in page.requests] for page in (first, second, last)] == [made[:2], made[2:4], made[4:]]
    assert (first.as_json()["next_page"], last.as_json()["next_page"]) == (made[1], None)
    assert list_request_page(world.instance, release=world.release, gate="cab").requests == ()
    with pytest.raises(UsageError):
        list_request_page(world.instance, release=world.release, after="none")


def test_an_inbox_asks_as_often_for_many_requests_as_for_one(world: GateWorld) -> None:
    def statements() -> int:
        seen = list[str]()

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        event.listen(world.inner.engine, "before_cursor_execute", note)
        try:
            with world.inner.engine.connect() as connection:
                wanted.append(len(change_tasks(connection, world.instance, world.person(AUTHOR))))
        finally:
            event.remove(world.inner.engine, "before_cursor_execute", note)
        return len(seen)

    wanted = list[int]()
    asked(world)
    first = statements()
    world.release = world.inner.seal("Another line.", author=AUTHOR)
    asked(world)
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE gate_change_request SET at = at + interval '1 day'"))
    assert (statements(), wanted) == (first, [1, 2])


def test_a_request_decides_nothing(world: GateWorld) -> None:
    asked(world)
    world.review()
    assert world.status("code-review").status is GateStatus.APPROVED


@pytest.mark.parametrize(
    ("name", "role", "code"),
    [
        (AUTHOR, "senior-engineer", "ROLE_NOT_ASKED"),
        ("hanna.virtanen", "senior-engineer", "NOT_PERMITTED"),
        (FELIX, "qa-lead", "ROLE_NOT_ASKED"),
    ],
)
def test_who_may_not_sign_there_asks_for_nothing(world: GateWorld, name: str, role: str, code: str) -> None:
    before = world.rows()
    assert code in codes(ask(world, name, role=role))
    assert (world.rows(), list_requests(world.instance, release=world.release)) == (before, ())


def test_an_author_in_the_role_asks_for_nothing_of_their_own_release(world: GateWorld) -> None:
    world.appoint(Role.SENIOR_ENGINEER, FELIX, KEIKO, AUTHOR)
    assert "SOD_CONFLICT" in codes(ask(world, AUTHOR))


def test_what_cannot_be_asked_is_told(world: GateWorld) -> None:
    with pytest.raises(UsageError, match="at least 10 characters"):
        ask(world, text="No.")
    with pytest.raises(NotFound, match="no gate 'review'"):
        ask(world, gate="review")
    one = asked(world)
    with pytest.raises(UsageError, match="why the request ends"):
        close_request(world.instance, actor=world.person(FELIX), request=one.id, reason=" ")
    with pytest.raises(NotFound, match="no request for changes 'none'"):
        close_request(world.instance, actor=world.person(FELIX), request="none", reason="Done.")
    assert list_requests(world.instance, release=world.release, gate="qa") == ()
    assert isinstance(world.sign(FELIX, "code-review", Role.SENIOR_ENGINEER), Signed)
