"""The board in Chromium: a session from its call to its minutes, with and without JavaScript, by keyboard, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine, text
from tests.browser.accessible import violations
from tests.browser.board_steps import DISSENT, accept_the_risk, vote
from tests.browser.served import Served, chromium, sign_in
from tests.console.room import CHAIR, LEADER, SPONSOR, Room, make_room
from tests.control.gate_world import RISK_OFFICER, SEAT_ROLES, SEATS, junit

from pilotage.control.call_session import call_session
from pilotage.control.make_cab_pack import make_cab_pack
from pilotage.control.sign_gate import Signed
from pilotage.gate.session import Session
from pilotage.gate.vocabulary import GateStatus

pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    return make_room(engine, tmp_path)


@pytest.fixture
def hall(room: Room) -> Iterator[Served]:
    with Served(room.site.console) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def called(room: Room) -> str:
    """Call a session about the release; return its path."""
    world = room.world
    done = call_session(world.instance, actor=world.person(CHAIR), releases=[world.release])
    assert isinstance(done, Session)
    return f"/cab/{done.id}"


def votes(room: Room) -> int:
    return room.world.rows()["gate_vote"]


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_board_meets_dissents_accepts_the_risk_and_leaves_minutes(
    room: Room, hall: Served, browser: Browser, javascript: bool
) -> None:
    def come(name: str) -> Page:
        return sign_in(browser, hall.address, room.site.key(name).text, java_script_enabled=javascript)

    chair = come(CHAIR)
    chair.goto("/cab")
    chair.check(f'input[name="release.{room.short}"]')
    chair.click("form[action='/cab'] button.main")
    expect(chair.locator("h1")).to_have_text("Session of the cab board")
    where = chair.url
    leader = come(LEADER)
    leader.goto(where)
    vote(leader, room.short, "reject", DISSENT)
    expect(leader.locator("#dissent")).to_contain_text("Not covered")
    for name, role in zip(SEATS, SEAT_ROLES, strict=True):
        if name not in {LEADER, CHAIR}:
            assert isinstance(room.world.sign(name, "cab", role), Signed)
    chair.goto(where)
    vote(chair, room.short, "approve")
    expect(chair.locator("#votes")).to_contain_text("approved")
    officer = come(RISK_OFFICER)
    officer.goto(where)
    accept_the_risk(officer, room.short, "production-us-east-space", "production-us-west-space", "production-eu-space")
    room.world.inner.clock.advance(timedelta(minutes=1))
    sponsor = come(SPONSOR)
    sponsor.goto(where)
    expect(sponsor.locator("#dissent")).to_contain_text(DISSENT)
    vote(sponsor, room.short, "approve", "I read the dissent.")
    expect(sponsor.locator("nav[aria-label=Agenda]")).to_contain_text("approved with risk acceptance")
    assert room.world.status("cab").status is GateStatus.APPROVED_WITH_RISK_ACCEPTANCE
    chair.goto(where)
    chair.fill("#note", "Decided in one session.")
    chair.click("button:has-text('Close and record the minutes')")
    expect(chair.locator("h1")).to_have_text("Minutes of the cab session")
    expect(chair.locator("main")).to_contain_text(DISSENT)
    assert chair.locator("main b").count() == 0


def test_a_double_click_records_one_vote_and_the_way_back_shows_it(room: Room, hall: Served, browser: Browser) -> None:
    where = called(room)
    chair = sign_in(browser, hall.address, room.site.key(CHAIR).text)
    chair.goto(where)
    chair.check("input[name=decision][value=approve]")
    chair.fill("#confirmed", room.short[:8])
    chair.dblclick("#decide button.main")
    expect(chair.locator("#votes")).to_contain_text("Votes, newest first")
    chair.go_back()
    expect(chair.locator("#decide")).to_contain_text("You approved")
    chair.reload()
    assert votes(room) == 1
    chair.check("input[name=decision][value=approve]")
    chair.fill("#confirmed", room.short[:8])
    chair.click("#decide button.main")
    chair.wait_for_url("**#votes")
    expect(chair.locator("#decide")).to_contain_text("You approved")
    assert votes(room) == 1


def test_evidence_that_came_meanwhile_refuses_the_vote_and_says_what_moved(
    room: Room, hall: Served, browser: Browser
) -> None:
    where = called(room)
    chair = sign_in(browser, hall.address, room.site.key(CHAIR).text)
    chair.goto(where)
    room.world.inner.clock.advance(timedelta(minutes=1))
    room.world.attach(("tests.regression", junit(passed=4)))
    vote(chair, room.short, "approve")
    expect(chair.locator("#problems")).to_contain_text("evidence_set")
    expect(chair.locator("#comment")).to_have_value("Read it all.")
    assert votes(room) == 0


def test_a_vote_is_given_by_keyboard_alone_with_the_focus_in_sight(room: Room, hall: Served, browser: Browser) -> None:
    where = called(room)
    chair = sign_in(browser, hall.address, room.site.key(CHAIR).text)
    chair.goto(where)
    order: list[str] = []
    for _ in range(60):
        chair.keyboard.press("Tab")
        at = chair.evaluate(
            "(() => { const one = document.activeElement, form = one.closest('#decide');"
            " return [form ? one.name || one.tagName : '', getComputedStyle(one).outlineStyle]; })()"
        )
        assert at[1] != "none", at
        if at[0]:
            order.append(at[0])
        if at[0] == "decision":
            chair.keyboard.press("Space")
        elif at[0] == "confirmed":
            chair.keyboard.type(room.short[:8])
        elif at[0] == "BUTTON":
            chair.keyboard.press("Enter")
            break
    assert order == ["role", "SUMMARY", "decision", "comment", "confirmed", "BUTTON"]
    expect(chair.locator("#votes")).to_contain_text("Votes, newest first")
    assert votes(room) == 1


@pytest.mark.parametrize("width", [1280, 320])
def test_pages_of_the_board_have_no_violation_and_do_not_scroll_sideways(
    room: Room, hall: Served, browser: Browser, width: int
) -> None:
    world, where = room.world, called(room)
    pack = make_cab_pack(room.site.instance, actor=world.person(CHAIR), release=world.release)
    assert isinstance(world.sign(LEADER, "cab", SEAT_ROLES[1], "reject", comment=DISSENT), Signed)
    page = sign_in(browser, hall.address, room.site.key(CHAIR).text, viewport={"width": width, "height": 800})
    found: dict[str, list[str]] = {}
    for path in ("/cab", where, f"{where}/minutes", f"/packs/{getattr(pack, 'digest', '')}", "/cab/none"):
        page.goto(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if broken := violations(page):
            found[path] = broken
    assert found == {}


def test_session_and_minutes_print_with_what_was_decided(room: Room, hall: Served, browser: Browser) -> None:
    where = called(room)
    assert isinstance(room.world.sign(LEADER, "cab", SEAT_ROLES[1], "reject", comment=DISSENT), Signed)
    page = sign_in(browser, hall.address, room.site.key(CHAIR).text)
    for path, words in ((where, "Dissent"), (f"{where}/minutes", "Draft minutes")):
        page.goto(path)
        document = pypdfium2.PdfDocument(page.pdf(format="A4"))
        printed = " ".join(" ".join(one.get_textpage().get_text_range() for one in document).split())
        assert words in printed
        assert "rehearsed" in printed
        assert "Record decision" not in printed
        assert len(document) <= 4


def test_nothing_of_a_board_runs_what_people_wrote(room: Room, hall: Served, browser: Browser) -> None:
    where = called(room)
    with room.world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE release SET note = '<img src=x onerror=document.title=1>'"))
    page = sign_in(browser, hall.address, room.site.key(CHAIR).text)
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.goto(where)
    page.fill("#question", '<script>document.title=2</script><a href="javascript:alert(3)">x</a>')
    page.click("#questions button:has-text('Ask')")
    expect(page.locator("#questions")).to_contain_text("<script>document.title=2</script>")
    assert page.title() == "Session of the cab board - CAB - Pilotage"
    assert page.locator("#questions script, #questions a").count() == 0
    assert complaints == []
