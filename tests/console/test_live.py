"""Streams: the same region as the whole page, sent again when something changed, ended when the session does."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.console.conftest import Bank
from tests.console.test_disabled_controls import one_role
from tests.console.test_every_page import open_incident

from pilotage.console import live
from pilotage.console.app import Console
from pilotage.console.cookies import PLAIN_NAME
from pilotage.console.events import event_bytes
from pilotage.console.live import PER_PERSON, LiveBoard, Source
from pilotage.console.pages.live import inbox_source
from pilotage.console.visit import Visit
from pilotage.console.waiting import WaitingCounts
from pilotage.control.console_session import SignedIn, find_session
from pilotage.control.manage_incident import Change, update_incident
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.serving.context import Peer
from pilotage.serving.ending import end
from pilotage.store.last_deed import last_deed
from pilotage.store.live_events import FRESH, LiveEvent, events_after, publish_event
from pilotage.store.rollout_history import rollout_version


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    """A rollout that is looked at."""
    return bank.roll_out()


class _World:
    """Something that is looked at: `change` makes it another, `is_gone` ends the viewer's permission."""

    def __init__(self) -> None:
        self.events = [LiveEvent(id=7, body="region 0")]
        self.is_gone = False
        self.sent: list[tuple[str, str, str]] = []
        self.asked: Counter[str] = Counter()
        self.version: str | None = None
        self.breaks = False

    def change(self) -> None:
        before = self.events[-1].id
        self.events.append(LiveEvent(id=before + 2, body=f"region {len(self.events)}", follows=before))

    async def send(self, event: str, data: str, identifier: str = "") -> None:
        self.sent.append((event, data, identifier))

    @property
    def source(self) -> Source:
        return Source(
            key="a",
            version=lambda: self.version or str(len(self.events)),
            newest=self.newest,
            after=self.after,
            is_allowed=self.is_allowed,
        )

    def newest(self) -> LiveEvent:
        self.asked["newest"] += 1
        if self.breaks:
            raise ValueError("no page")
        return self.events[-1]

    def is_allowed(self) -> bool:
        self.asked["is_allowed"] += 1
        return not self.is_gone

    def after(self, last: int) -> list[LiveEvent] | None:
        self.asked["after"] += 1
        if last not in {one.id for one in self.events}:
            return None
        return [one for one in self.events if one.id > last]


async def _until(world: _World, count: int) -> None:
    async with asyncio.timeout(10):
        while len(world.sent) < count:  # noqa: ASYNC110 - what is waited for is what the board does by itself
            await asyncio.sleep(0.005)


def test_a_change_is_sent_once_to_everybody_who_looks_and_the_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.01)

    async def story() -> list[tuple[str, str, str]]:
        board, world = LiveBoard(look_s=0.005), _World()
        one, two = (
            asyncio.ensure_future(board.follow(world.send, world.source, person=name)) for name in ("ada", "ben")
        )
        await _until(world, 2)
        world.change()
        await _until(world, 4)
        world.is_gone = True
        async with asyncio.timeout(10):
            await asyncio.gather(one, two)
        return world.sent

    sent = asyncio.run(story())
    assert sent == [
        ("region", "region 0", "7"),
        ("region", "region 0", "7"),
        ("region", "region 1", "9"),
        ("region", "region 1", "9"),
        ("gone", "", ""),
        ("gone", "", ""),
    ]


def test_a_change_is_read_once_whoever_looks() -> None:
    async def story() -> Counter[str]:
        board, world = LiveBoard(look_s=0.005), _World()
        three = [asyncio.ensure_future(board.follow(world.send, world.source, person=name)) for name in "abc"]
        await _until(world, 3)
        async with asyncio.timeout(10):
            while world.asked["newest"] < 4:  # noqa: ASYNC110 - as in _until
                await asyncio.sleep(0.005)
        world.asked.clear()
        world.change()
        await _until(world, 6)
        found = world.asked.copy()
        await end(*three)
        return found

    assert asyncio.run(story()) == {"newest": 1}


def test_what_follows_an_event_nobody_saw_made_is_looked_up_once() -> None:
    async def story() -> tuple[list[str], int]:
        board, world = LiveBoard(look_s=0.005), _World()
        three = [asyncio.ensure_future(board.follow(world.send, world.source, person=name)) for name in "abc"]
        await _until(world, 3)
        async with asyncio.timeout(10):
            while world.asked["newest"] < 4:  # noqa: ASYNC110 - as in _until
                await asyncio.sleep(0.005)
        world.asked.clear()
        world.events += [LiveEvent(id=9, body="of another process"), LiveEvent(id=11, body="of this one", follows=9)]
        await _until(world, 9)
        found = world.asked["after"]
        await end(*three)
        return [identifier for _, _, identifier in world.sent[3:]], found

    assert asyncio.run(story()) == (["9", "11"] * 3, 1)


def test_permission_is_asked_while_changes_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.05)

    async def story() -> str:
        board, world = LiveBoard(look_s=0.002), _World()
        one = asyncio.ensure_future(board.follow(world.send, world.source, person="ada"))
        await _until(world, 1)
        world.is_gone = True
        async with asyncio.timeout(10):
            while not one.done():
                world.change()
                await asyncio.sleep(0.002)
        return world.sent[-1][0]

    assert asyncio.run(story()) == "gone"


def test_what_time_alone_changes_reaches_every_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.01)

    async def story() -> list[tuple[str, str, str]]:
        board, world = LiveBoard(look_s=0.005), _World()
        world.version = "the same"
        two = [asyncio.ensure_future(board.follow(world.send, world.source, person=name)) for name in "ab"]
        await _until(world, 2)
        world.change()
        await _until(world, 4)
        await end(*two)
        return world.sent

    assert asyncio.run(story())[2:] == [("region", "region 1", "9")] * 2


def test_a_region_that_cannot_be_shown_any_more_ends_its_streams() -> None:
    async def story() -> list[object]:
        board, world = LiveBoard(look_s=0.005), _World()
        two = [asyncio.ensure_future(board.follow(world.send, world.source, person=name)) for name in "ab"]
        await _until(world, 2)
        world.breaks = True
        world.change()
        async with asyncio.timeout(10):
            return [type(one) for one in await asyncio.gather(*two, return_exceptions=True)]

    assert asyncio.run(story()) == [ValueError, ValueError]


@pytest.mark.parametrize("cut", range(6))
def test_wherever_a_stream_is_cut_the_browser_misses_nothing_and_sees_nothing_twice(cut: int) -> None:
    async def story() -> list[str]:
        board, world = LiveBoard(look_s=0.005), _World()
        first = asyncio.ensure_future(board.follow(world.send, world.source, person="ada"))
        await _until(world, 1)
        for _ in range(cut):
            world.change()
            await _until(world, len(world.events))
        first.cancel()
        await asyncio.wait([first])
        for _ in range(3):
            world.change()
        last = int(world.sent[-1][2])
        again = asyncio.ensure_future(board.follow(world.send, world.source, person="ada", last=last))
        await _until(world, len(world.events))
        world.change()
        await _until(world, len(world.events))
        again.cancel()
        await asyncio.wait([again])
        return [identifier for _, _, identifier in world.sent]

    assert asyncio.run(story()) == [str(7 + 2 * number) for number in range(cut + 5)]


@pytest.mark.parametrize("last", [None, 3, 8])
def test_who_comes_back_with_an_id_nobody_kept_gets_the_whole_region(last: int | None) -> None:
    async def story() -> list[tuple[str, str, str]]:
        board, world = LiveBoard(look_s=0.005), _World()
        world.change()
        one = asyncio.ensure_future(board.follow(world.send, world.source, person="ada", last=last))
        await _until(world, 1)
        one.cancel()
        await asyncio.wait([one])
        return world.sent

    assert asyncio.run(story()) == [("region", "region 1", "9")]


def test_a_person_holds_at_most_five_streams_and_gets_them_back() -> None:
    async def story() -> tuple[bool, bool]:
        board, world = LiveBoard(look_s=0.005), _World()
        open_ = [asyncio.ensure_future(board.follow(world.send, world.source, person="ada")) for _ in range(PER_PERSON)]
        await _until(world, PER_PERSON)
        full = board.has_room("ada")
        for one in open_:
            one.cancel()
        await asyncio.wait(open_)
        return full, board.has_room("ada")

    assert asyncio.run(story()) == (False, True)


def test_an_event_carries_its_id_and_every_line_of_its_data() -> None:
    assert event_bytes("region", "a\nb", "7") == b"event: region\nid: 7\ndata: a\ndata: b\n\n"
    assert event_bytes("gone", "") == b"event: gone\ndata: \n\n"


@pytest.mark.store
def test_events_of_a_stream_rise_a_state_is_one_event_and_ten_minutes_are_kept(bank: Bank) -> None:
    start = bank.clock.now()

    def publish(state: str, body: str, minutes: int) -> LiveEvent:
        with bank.instance.engine.begin() as connection:
            now = start + timedelta(minutes=minutes)
            return publish_event(connection, "s", version=lambda: state, body=lambda: body, now=now)

    first = publish("1", "one", 0)
    assert publish("1", "never rendered", 0) == first
    assert publish("1b", "one", 1) == first  # another state that looks the same is nothing new to see
    second, third = publish("2", "two", 2), publish("3", "three", 3)
    assert first.id < second.id < third.id
    with bank.instance.engine.begin() as connection:
        assert events_after(connection, "s", first.id) == (second, third)
        assert events_after(connection, "s", third.id) == ()
        assert events_after(connection, "s", third.id + 1) is None
        assert events_after(connection, "other", first.id) is None
    fourth = publish("4", "four", 13)
    with bank.instance.engine.begin() as connection:
        assert events_after(connection, "s", second.id) is None
        assert events_after(connection, "s", third.id) == (fourth,)


@pytest.mark.store
def test_what_time_alone_changes_is_shown_and_what_it_does_not_is_no_event(bank: Bank) -> None:
    start = bank.clock.now()

    def publish(body: str, seconds: float) -> LiveEvent:
        with bank.instance.engine.begin() as connection:
            now = start + timedelta(seconds=seconds)
            return publish_event(connection, "t", version=lambda: "same", body=lambda: body, now=now)

    wait = FRESH.total_seconds()
    first = publish("3 waiting", 0)
    assert publish("3 waiting", wait) == first
    assert publish("not looked at yet", 2 * wait - 1) == first
    second = publish("3 lost", 2 * wait)
    assert (second.id > first.id, second.body) == (True, "3 lost")


_PHASE = """
INSERT INTO rollout_shadow (rollout, label, workflow, space, release, stable, scorer, sample_ppm, started_at, cursor)
SELECT id, 'shadow', workflow, 'sandbox', release, release, 'support-v1', 1000000, state_at, 0
FROM rollout WHERE id = :rollout
"""
_PAIR = """
INSERT INTO rollout_pair (rollout, label, interaction, principal, day, is_counted, due_at, state)
SELECT id, 'shadow', 'one', 'somebody', '2026-01-01', true, state_at, 'expected' FROM rollout WHERE id = :rollout
"""
_INCIDENT = """
INSERT INTO incident (id, workflow, space, spaces, cause, severity, state, summary, detected_by, started_at,
  detected_at)
SELECT 'INC-1', workflow, 'sandbox', '{sandbox}', 'manual', 'SEV3', 'open', 'Slow.', 'watch', state_at, state_at
FROM rollout WHERE id = :rollout
"""


@pytest.mark.store
def test_every_row_that_the_region_shows_changes_its_version(bank: Bank, rollout: str) -> None:
    changes = (
        _PHASE,
        _PAIR,
        "UPDATE rollout_pair SET state = 'lost' WHERE rollout = :rollout",
        "UPDATE rollout SET incident = 'INC-1' WHERE id = :rollout",
        "UPDATE incident SET severity = 'SEV1'",
        "UPDATE incident SET summary = 'Down.'",
        "UPDATE incident SET state = 'resolved'",
        "UPDATE rollout_shadow SET ended_at = started_at WHERE rollout = :rollout",
    )
    with bank.instance.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text(_INCIDENT), {"rollout": rollout})
        versions = [rollout_version(connection, rollout)]
        for change in changes:
            connection.execute(text(change), {"rollout": rollout})
            versions.append(rollout_version(connection, rollout))
        transaction.rollback()
    assert [number for number, one in enumerate(versions) if one in versions[:number]] == []


@pytest.mark.store
def test_a_browser_that_lost_its_stream_gets_each_verdict_it_missed(bank: Bank, rollout: str) -> None:
    browser, address = bank.browser("luis.ortega"), f"/live/rollouts/{rollout}"
    (first,) = browser.stream(address, most=1)
    last = first.split("\n")[1].removeprefix("id: ")
    bank.judge(rollout, x=4, n=3000)
    (missed,) = bank.browser("omar.haddad").stream(address, most=1)
    bank.judge(rollout, x=5, n=4000)
    resumed = browser.stream(address, most=2, last_event_id=last)
    assert resumed[0] == missed
    assert "5 of 4000" in resumed[1]
    by_address = browser.stream(f"{address}?after={last}", most=2)
    assert by_address == resumed
    (whole,) = browser.stream(f"{address}?after=x", most=1)
    assert whole == resumed[1]


@pytest.mark.store
def test_what_is_streamed_is_byte_for_byte_the_region_of_the_page(bank: Bank, rollout: str) -> None:
    browser = bank.browser("luis.ortega")
    page = browser.get(f"/rollouts/{rollout}").text
    (event,) = browser.stream(f"/live/rollouts/{rollout}", most=1)
    lines = event.split("\n")
    assert lines[0] == "event: region"
    assert lines[1].removeprefix("id: ").isdigit()
    assert "\n".join(line.removeprefix("data: ") for line in lines[2:]).rstrip("\n") in page


@pytest.mark.store
def test_the_inbox_is_streamed_as_its_page_shows_it_and_holds_no_token(bank: Bank) -> None:
    bank.refresh("policies")
    browser = bank.browser("grace.okafor")
    page = browser.get("/").page.css_first("#region")
    (event,) = browser.stream("/live/inbox", most=1)
    streamed = "\n".join(line.removeprefix("data: ") for line in event.split("\n")[2:]).rstrip("\n")
    assert page is not None
    assert (page.html or "").removeprefix('<div id="region" data-live="/live/inbox">').removesuffix("</div>") in {
        streamed,
        streamed + "\n",
    }
    assert "token" not in streamed
    assert 'key"' not in streamed


@pytest.mark.store
def test_sessions_of_one_person_with_other_roles_share_neither_stream_nor_count(bank: Bank) -> None:
    now, steward = bank.clock.now(), bank.person("grace.okafor")
    reader = replace(steward, roles=frozenset({Role.AUDITOR}))
    one, two, three = (
        inbox_source(visit_of(bank.console, person)).key for person in (steward, reader, replace(reader))
    )
    assert (one == two, two == three) == (False, True)
    counts = WaitingCounts()
    counts.put(steward, 3, now)
    assert (counts.get(steward, now), counts.get(reader, now)) == (3, None)
    counts.put(reader, 0, now)
    counts.forget(steward)
    assert (counts.get(steward, now), counts.get(reader, now)) == (None, None)


@pytest.mark.store
def test_an_inbox_is_not_followed_any_more_when_the_roles_behind_it_changed(bank: Bank) -> None:
    person = one_role(bank)
    person.become(Role.QA_LEAD)
    console, token = person.browser.application, person.browser.cookies[PLAIN_NAME]
    assert isinstance(console, Console)
    signed = find_session(console._services.reading, token)
    assert signed is not None
    source = inbox_source(visit_of(console, signed.principal, token=token))
    assert source.is_allowed()
    person.become(Role.AUDITOR)
    assert not source.is_allowed()


def visit_of(console: Console, person: Principal, *, token: str = "") -> Visit:
    services = console._services
    now = services.instance.clock.now()
    signed = SignedIn(token=token, principal=person, authenticated_at=now)
    return Visit(services=services, method="GET", path="/", now=now, peer=Peer(address=""), signed_in=signed)


@pytest.mark.store
def test_what_is_recorded_changes_the_inbox_version_and_an_answer_does_not(bank: Bank) -> None:
    def version() -> str:
        with bank.instance.engine.connect() as connection:
            return last_deed(connection)

    before = version()
    bank.answered("omar.haddad", "How much?", "It is 5. [1]")
    assert version() == before
    source = next((bank.instance.root / "corpora" / "policies" / "documents").rglob("*.md"))
    source.write_text(f"{source.read_text()}\n\nA line for the stream.\n")
    bank.refresh("policies")
    assert version() != before


@pytest.mark.store
def test_a_stream_without_a_session_leads_to_the_sign_in(bank: Bank) -> None:
    answer = bank.browser().get("/live/rollouts/none")
    assert answer.status == 303


@pytest.mark.store
def test_an_answer_is_streamed_and_ends_with_the_fragment_of_the_whole_page(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    bank.asking.text = "One line.\nAnother one. [1]"
    fields = browser.get("/ask/policy-assistant").fields("/ask/policy-assistant") | {"question": "What?"}
    begin, first, second, answer = browser.stream("/ask/policy-assistant", most=9, method="POST", fields=fields)
    assert begin.startswith("event: begin")
    words = [json.loads(one.split("\n")[1].removeprefix("data: ")) for one in (first, second)]
    assert "".join(words) == bank.asking.text
    assert answer.startswith("event: answer")
    assert 'class="cite"' in answer
    whole = browser.post("/ask/policy-assistant", fields)
    assert whole.status == 200
    assert "Another one." in whole.words
    # the same but for the interaction and the form's token, which are each question's and each form's own
    plain = [_plain(text) for text in (answer, whole.text)]
    assert "\n".join(line.removeprefix("data: ") for line in plain[0].split("\n")[1:]).strip() in plain[1]


def _plain(text: str) -> str:
    (interaction,) = re.findall(r"/interactions/([0-9A-Z]{26})/feedback", text)
    return re.sub(r'(name="token" value=)"[^"]+"', r'\1"TOKEN"', text.replace(interaction, "INTERACTION"))


@pytest.mark.store
def test_an_incident_is_streamed_as_its_page_shows_it_and_again_when_it_changed(bank: Bank) -> None:
    incident, browser = open_incident(bank), bank.browser("omar.haddad")
    page = browser.get(f"/incidents/{incident}").text
    (event,) = browser.stream(f"/live/incidents/{incident}", most=1)
    last = event.split("\n")[1].removeprefix("id: ")
    assert "\n".join(line.removeprefix("data: ") for line in event.split("\n")[2:]).rstrip("\n") in page
    (other,) = bank.browser("dina.kowalski").stream(f"/live/incidents/{incident}", most=1)
    assert other == event  # one fragment for everybody
    change = Change(note="A second look.")
    assert not isinstance(
        update_incident(bank.instance, actor=bank.person("dina.kowalski"), incident=incident, change=change), Refusal
    )
    (again,) = browser.stream(f"/live/incidents/{incident}", most=1, last_event_id=last)
    assert "A second look." in again
    assert browser.get("/live/incidents/none").status == 404
