"""Everything a person must decide is decided by keyboard alone, the focus in sight at each step, in the order kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine
from tests.browser.keyboard import act, same_as_golden
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, bank
from tests.console.room import make_room
from tests.control.gate_world import FELIX

from pilotage.console.app import Console
from pilotage.control.create_key import IssuedKey
from pilotage.gate.vocabulary import VoteDecision
from pilotage.rollout.states import State
from pilotage.store.rollouts import find_rollout

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
VARYING: Final = {
    r"\b[0-9a-f]{12}\b": "DIGEST",
    r"\b[0-9A-HJKMNP-TV-Z]{26}\b": "ID",
    r"\d{1,2} \w{3} \d{4}, \d\d:\d\d": "WHEN",
    r"^a Inbox \d+ ": "a Inbox N ",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def opened(browser: Browser, console: Console, key: IssuedKey, path: str) -> Iterator[Page]:
    """Serve the console and sign a person in, whose browser then shows this page."""
    with Served(console) as served:
        page = sign_in(browser, served.address, key.text)
        page.goto(path)
        yield page


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    return bank.roll_out()


def test_a_gate_is_voted_on_by_keyboard(own_engine: Engine, tmp_path: Path, browser: Browser) -> None:
    room = make_room(own_engine, tmp_path)
    with opened(browser, room.site.console, room.site.key(FELIX), f"/releases/{room.short}/gates/code-review") as page:
        keys = {
            "checkbox read the diff": ("Space",),
            "radio approve": ("Space",),
            "textarea Comment needed to reject or abstain": ("I read the diff.",),
        }
        way = act(page, keys, last="button Record decision", hide=VARYING)
        expect(page.locator("#votes")).to_contain_text("I read the diff.")
    same_as_golden("gate", way)
    with own_engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT decision FROM gate_vote").scalar_one()
    assert found == VoteDecision.APPROVE.value


def test_a_rollout_is_aborted_by_keyboard(bank: Bank, rollout: str, browser: Browser) -> None:
    with opened(browser, bank.console, bank.key("luis.ortega"), f"/rollouts/{rollout}") as page:
        keys = {"textarea Why may follow later": ("The rates are wrong.",)}
        way = act(page, keys, last="button Abort and roll back", hide=VARYING)
        expect(page.get_by_role("alert")).to_contain_text("Aborted")
    same_as_golden("rollout", way)
    with bank.instance.engine.connect() as connection:
        stored = find_rollout(connection, rollout)
    assert stored is not None
    assert stored.state is State.ROLLING_BACK


def test_a_question_is_asked_by_keyboard(bank: Bank, browser: Browser) -> None:
    with opened(browser, bank.console, bank.key("omar.haddad"), "/ask/policy-assistant") as page:
        way = act(page, {"textarea Your question": ("What is the wire limit?",)}, last="button Ask", hide=VARYING)
        expect(page.locator(".told .text").last).not_to_be_empty()
    same_as_golden("assistant", way)
    assert [one.messages[-1].text for one in bank.asking.asked] == ["What is the wire limit?"]


def test_feedback_is_given_by_keyboard(bank: Bank, browser: Browser) -> None:
    interaction = bank.answered("omar.haddad", "What is the wire limit?", "It is $50,000. [1]")
    with opened(browser, bank.console, bank.key("omar.haddad"), f"/interactions/{interaction}") as page:
        keys = {"radio helpful": ("Space", "ArrowDown"), "textarea Why? optional": ("Too short.",)}
        way = act(page, keys, last="button Record feedback", hide=VARYING)
        expect(page.locator("#feedback [role=status]")).to_contain_text("recorded")
        expect(page.locator("#feedback li")).to_have_text("not helpful Too short.")
    same_as_golden("feedback", way)


def test_a_version_of_a_corpus_is_accepted_by_keyboard(bank: Bank, browser: Browser) -> None:
    changed = bank.instance.root / "corpora" / "policies" / "documents" / "cards" / "card-limits.md"
    changed.write_text(f"{changed.read_text()}\n\nCards of closed accounts are destroyed within two days.\n")
    number = bank.refresh("policies").version
    with opened(browser, bank.console, bank.key("grace.okafor"), f"/corpora/policies/versions/{number}") as page:
        keys = {"textarea Note a rejection needs one": ("Read the change.",)}
        way = act(page, keys, last="button Accept", hide=VARYING)
        expect(page.locator(".says")).to_contain_text("Accepted")
    same_as_golden("corpus", way)
