"""The CAB page: a session is called, asked, voted in and closed by forms alone, with the gate's own reasons."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.console.browser import Answer
from tests.console.room import CHAIR, LEADER, SPONSOR, Room, make_room
from tests.control.gate_world import SEAT_ROLES, SEATS, junit

from pilotage.control.sign_gate import Signed
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.roles import Role

pytestmark = pytest.mark.store
DISSENT = "Branches have <not> rehearsed the first week."


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    return make_room(engine, tmp_path)


@pytest.mark.feature("D12.1")
def test_a_session_goes_from_its_call_to_its_minutes_by_forms_alone(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    page = chair.get(where)
    assert "1 release on the agenda" in page.words
    assert room.vote(LEADER, where, "reject", "business-leadership", DISSENT).status == 303
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        if name != LEADER:
            answer = room.vote(name, where, "approve", role.value)
            assert answer.status == 303, answer.words
    page = room.browser(SPONSOR).get(where)
    assert "Branches have &lt;not&gt; rehearsed the first week." in page.text
    assert page.text.index('id="dissent"') < page.text.index('id="decide"')
    assert "Not covered by an accepted risk." in page.words
    asked = chair.post(f"{where}/questions", chair.get(where).fields(f"{where}/questions") | {"question": "Who reads?"})
    assert asked.header("location") == f"{where}?item=1#questions"
    closed = chair.post(f"{where}/minutes", chair.get(where).fields(f"{where}/minutes") | {"note": "Next week."})
    assert closed.header("location") == f"{where}/minutes"
    after = chair.get(where)
    assert "What was decided stands in the minutes" in after.words
    assert "rejected, as the minutes say" in after.words
    assert "Today it would be" not in after.words
    forms = [form.attributes["action"] or "" for form in after.page.css("main form")]
    assert [action for action in forms if action.startswith("/cab/")] == [], "nothing is added to a closed session"
    minutes = chair.get(f"{where}/minutes")
    for words in ("Minutes of the cab session", "not", "rehearsed", "Who reads?", "unanswered", "Next week."):
        assert words in minutes.words
    assert "Carol Whitfield" in minutes.words
    assert CHAIR not in minutes.words, "people are named"
    assert not re.search(r"\d\dT\d\d:", minutes.words), "times are written for people"
    assert chair.get(f"{where}/minutes/pdf").body.startswith(b"%PDF-")
    assert "Closed" in chair.get(where).words
    assert chair.get(where).page.css_first(f'form[action="{where}/minutes"]') is None


def test_a_closed_session_says_what_was_decided_before_what_would_be_today(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        assert room.vote(name, where, "approve", role.value).status == 303
    assert room.vote(SPONSOR, where, "approve", "executive-sponsor").status == 303
    fields = chair.get(where).fields(f"{where}/minutes")
    assert chair.post(f"{where}/minutes", fields | {"note": ""}).status == 303
    room.world.inner.clock.advance(timedelta(days=120))
    (stop,) = room.browser(CHAIR).get(where).page.css("nav[aria-label=Agenda] li")
    words = " ".join(stop.text(separator=" ").split())
    assert re.search(r"MET approved, as the minutes say Today it would be: (NOT MET|STALE|EXPIRED) ", words), words
    with room.world.inner.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE board_session SET minutes = '{}'::bytea")
    page = room.browser(CHAIR).get(where)
    (stop,) = page.page.css("nav[aria-label=Agenda] li")
    words = " ".join(stop.text(separator=" ").split())
    assert "as the minutes say" not in words, "changed minutes tell nothing"
    assert re.search("UNKNOWN the minutes cannot be read Today it would be: (NOT MET|STALE|EXPIRED) ", words), words
    assert "were changed in the database" in page.words
    assert "What was decided is not known" in page.words


def test_the_sponsor_signs_after_the_board_on_what_the_page_showed(room: Room) -> None:
    where = room.call()
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        assert isinstance(room.world.sign(name, "cab", role), Signed)
    room.world.inner.clock.advance(timedelta(minutes=1))
    page = room.browser(SPONSOR).get(where)
    assert "Result of the board" in page.words
    answer = room.vote(SPONSOR, where, "approve", "executive-sponsor")
    assert answer.status == 303, answer.words
    assert room.world.status("cab").status is GateStatus.APPROVED
    assert "on what was there then" not in room.browser(CHAIR).get(where).words


def test_a_vote_binds_what_was_shown_and_is_refused_when_it_moved(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    fields = chair.get(where).fields(f"{where}/votes")
    room.world.inner.clock.advance(timedelta(minutes=1))
    room.world.attach(("tests.regression", junit(passed=4)))
    typed = {"role": "it-director", "decision": "approve", "confirmed": room.short[:8], "comment": "Kept words."}
    answer = chair.post(f"{where}/votes", fields | typed)
    assert answer.status == 409
    assert "VOTE_BIND_MISMATCH" in answer.words
    assert "Kept words." in answer.text
    assert "Nothing was recorded." in answer.words


def test_a_vote_of_the_board_asks_for_the_digits_and_a_fresh_sign_in(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    fields = chair.get(where).fields(f"{where}/votes")
    typed = fields | {"role": "it-director", "decision": "approve", "confirmed": "00000000"}
    answer = chair.post(f"{where}/votes", typed)
    assert answer.status == 422
    assert f"Type {room.short[:8]}" in answer.words
    room.world.inner.clock.advance(timedelta(minutes=16))
    again = chair.post(f"{where}/votes", typed | {"confirmed": room.short[:8]})
    assert "/login" in again.text
    assert room.world.rows()["gate_vote"] == 0


def test_a_vote_sent_again_from_the_page_before_is_the_vote_that_stands(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    said = {"role": "it-director", "decision": "approve", "comment": "Read it all.", "confirmed": room.short[:8]}
    first = chair.get(where).fields(f"{where}/votes") | said
    answers = [chair.post(f"{where}/votes", first) for _ in range(2)]
    room.world.inner.clock.advance(timedelta(seconds=9))
    page = chair.get(where)  # a browser that goes back opens the page again: its form has another key
    assert "You approved" in page.words
    answers.append(chair.post(f"{where}/votes", page.fields(f"{where}/votes") | said))
    assert [answer.status for answer in answers] == [303] * 3
    assert len({answer.header("location") for answer in answers}) == 1
    assert room.world.rows()["gate_vote"] == 1
    assert chair.get(where).words.count("approved as it-director") == 1


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_what_says_more_than_the_standing_vote_or_renews_it_is_a_vote(room: Room, decision: str) -> None:
    where = room.call()
    assert room.vote(CHAIR, where, decision, "it-director").status == 303
    assert room.vote(CHAIR, where, decision, "it-director", "Read it all again.").status == 303
    assert room.world.rows()["gate_vote"] == 2
    room.world.inner.clock.advance(timedelta(minutes=1))
    assert room.vote(CHAIR, where, decision, "it-director", "Read it all again.").status == 303  # a fresh sign-in
    assert room.vote(CHAIR, where, "reject", "it-director", "Not any more.").status == 303
    assert room.world.rows()["gate_vote"] == 4


def test_a_vote_whose_form_was_kept_over_a_sign_in_is_not_given_again_by_the_form_before(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    said = {"role": "it-director", "decision": "approve", "confirmed": room.short[:8]}
    first = chair.get(where).fields(f"{where}/votes") | said
    room.world.inner.clock.advance(timedelta(minutes=16))
    asked = chair.post(f"{where}/votes", first)
    kept = chair.post("/login", asked.fields("/login") | {"local_key": room.site.key(CHAIR).text})
    sent = chair.post(f"{where}/votes", kept.fields(f"{where}/votes"))
    assert sent.status == 303
    again = chair.post(f"{where}/votes", first | {"token": kept.fields(f"{where}/votes")["token"]})
    assert (again.status, again.header("location")) == (303, sent.header("location"))
    assert room.world.rows()["gate_vote"] == 1


def test_who_may_not_act_sees_why_and_is_refused_all_the_same(room: Room) -> None:
    where = room.call()
    author = room.browser("maria.chen")
    page = author.get(where)
    assert page.page.css_first("#why-close") is not None
    fields = page.fields(f"{where}/minutes")
    answer = author.post(f"{where}/minutes", fields)
    assert answer.status == 403
    assert "NOT_PERMITTED" in answer.words
    called = author.post("/cab", author.get("/cab").fields("/cab"))
    assert called.status == 403
    assert author.get("/cab").page.css_first("#why-call") is not None


def test_a_missing_pack_is_made_from_the_page_and_read_there(room: Room) -> None:
    where = room.call()
    chair = room.browser(CHAIR)
    page = chair.get(where)
    assert "No pack was made for this attempt." in page.words
    made = chair.post(f"{where}/packs", page.fields(f"{where}/packs"))
    assert made.header("location") == f"{where}?item=1#pack"
    link = chair.get(where).page.css_first('a[href^="/packs/"]')
    assert link is not None
    pack = chair.get(link.attributes["href"] or "")
    assert "MISSING" in pack.words
    assert "Risk register" in pack.words


def test_an_unknown_session_or_pack_is_not_there_and_a_wrong_item_is_the_first(room: Room) -> None:
    where, chair = room.call(), room.browser(CHAIR)
    assert chair.get("/cab/none").status == 404
    assert chair.get("/cab/none/minutes").status == 404
    assert chair.get("/packs/sha256:00").status == 404
    for item in ("7", "x", "-1", "99999999999"):
        assert chair.get(f"{where}?item={item}").status == 200


def test_a_typed_time_is_read_or_refused_with_how_to_write_it(room: Room) -> None:
    chair = room.browser(CHAIR)
    fields = chair.get("/cab").fields("/cab")
    answer = chair.post("/cab", fields | {"starts_at": "tomorrow"})
    assert answer.status == 422
    assert "Write it as 2026-11-26 14:00" in answer.words
    later = room.world.inner.clock.now() + timedelta(days=1)
    called = chair.post("/cab", fields | {"starts_at": f"{later:%Y-%m-%d %H:%M}"})
    assert called.status == 303
    assert "A vote may be given before it." in chair.get(called.header("location")).words


def barred(page: Answer, name: str) -> dict[str, str]:
    """Return the values of these radio buttons that are printed disabled, each with the reason it names."""
    found: dict[str, str] = {}
    for node in page.page.css(f'#decide input[name="{name}"][aria-disabled="true"]'):
        why = page.page.css_first(f"[id='{node.attributes['aria-describedby']}']")
        assert why is not None
        found[node.attributes["value"] or ""] = why.text()
    return found


def test_a_second_seat_of_one_person_is_disabled_with_the_reason_it_is_refused_for(
    engine: Engine, tmp_path: Path
) -> None:
    room = make_room(engine, tmp_path, also={Role.BUSINESS_LEADERSHIP: CHAIR})
    room.world.status("cab")
    room.world.inner.clock.advance(timedelta(days=8))
    where = room.call()
    assert barred(room.browser(CHAIR).get(where), "role") == {}
    assert room.vote(CHAIR, where, "approve", "it-director").status == 303
    why = barred(room.browser(CHAIR).get(where), "role")["business-leadership"]
    assert "SEAT_DUPLICATE" in why
    refused = room.vote(CHAIR, where, "approve", "business-leadership")
    assert "SEAT_DUPLICATE" in refused.words


def test_an_outdated_pack_leaves_a_reject_alone_on_the_page_and_at_the_command(engine: Engine, tmp_path: Path) -> None:
    room = make_room(engine, tmp_path, after=("code-review",))
    room.world.review()
    where = room.call()
    chair = room.browser(CHAIR)
    assert chair.post(f"{where}/packs", chair.get(where).fields(f"{where}/packs")).status == 303
    assert barred(chair.get(where), "decision") == {}
    room.world.inner.clock.advance(timedelta(minutes=1))
    room.world.attach(("tests.unit", junit(passed=4)))
    for address in (where, f"/releases/{room.short}/gates/cab"):
        why = barred(room.browser(CHAIR).get(address), "decision")
        assert why.keys() == {"approve", "abstain"}
        assert all("PACK_OUTDATED" in one for one in why.values())
    for decision in ("approve", "abstain"):
        assert "PACK_OUTDATED" in room.vote(CHAIR, where, decision, "it-director").words
    assert room.vote(CHAIR, where, "reject", "it-director", "The pack is old.").status == 303
