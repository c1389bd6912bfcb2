"""Streams: the same region as the whole page, sent again when something changed, ended when the session does."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.console.conftest import Bank

from pilotage.console.live import PER_PERSON, LiveBoard


class _World:
    """Something that is looked at: `version` changes it, `is_gone` ends the viewer's permission."""

    def __init__(self) -> None:
        self.number = 0
        self.is_gone = False
        self.sent: list[tuple[str, str]] = []

    async def send(self, event: str, data: str) -> None:
        self.sent.append((event, data))

    def version(self) -> str:
        return str(self.number)

    def render(self) -> str | None:
        return None if self.is_gone else f"region {self.number}"


async def _until(world: _World, count: int) -> None:
    async with asyncio.timeout(10):
        while len(world.sent) < count:  # noqa: ASYNC110 - what is waited for is what the board does by itself
            await asyncio.sleep(0.005)


def test_a_change_is_sent_once_to_everybody_who_looks_and_the_end_is_said() -> None:
    async def story() -> list[tuple[str, str]]:
        board, world = LiveBoard(look_s=0.005), _World()
        one, two = (
            asyncio.ensure_future(
                board.follow(world.send, key="a", person=name, version=world.version, render=world.render)
            )
            for name in ("ada", "ben")
        )
        await _until(world, 2)
        world.number = 1
        await _until(world, 4)
        world.is_gone = True
        world.number = 2
        async with asyncio.timeout(10):
            await asyncio.gather(one, two)
        return world.sent

    sent = asyncio.run(story())
    assert sent == [
        ("region", "region 0"),
        ("region", "region 0"),
        ("region", "region 1"),
        ("region", "region 1"),
        ("gone", ""),
        ("gone", ""),
    ]


def test_a_person_holds_at_most_five_streams_and_gets_them_back() -> None:
    async def story() -> tuple[bool, bool]:
        board, world = LiveBoard(look_s=0.005), _World()
        open_ = [
            asyncio.ensure_future(
                board.follow(world.send, key="a", person="ada", version=world.version, render=world.render)
            )
            for _ in range(PER_PERSON)
        ]
        await _until(world, PER_PERSON)
        full = board.has_room("ada")
        for one in open_:
            one.cancel()
        await asyncio.wait(open_)
        return full, board.has_room("ada")

    assert asyncio.run(story()) == (False, True)


@pytest.mark.store
def test_what_is_streamed_is_byte_for_byte_the_region_of_the_page(bank: Bank) -> None:
    rollout = bank.roll_out()
    browser = bank.browser("luis.ortega")
    page = browser.get(f"/rollouts/{rollout}").text
    (event,) = browser.stream(f"/live/rollouts/{rollout}", most=1)
    lines = event.split("\n")
    assert lines[0] == "event: region"
    assert "\n".join(line.removeprefix("data: ") for line in lines[1:]).rstrip("\n") in page


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
