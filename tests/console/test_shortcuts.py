"""Shortcuts are off until a person switches them on; each leads somewhere, and none decides anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from tests.console.browser import Answer
from tests.console.conftest import Bank

from pilotage.console.commands import page_of
from pilotage.console.pages.guide import SHORTCUTS
from pilotage.console.render import coded

LEADS = {"g i": "/", "g w": "/workflows", "/": "q", "?": "/help#shortcuts"}


@pytest.fixture(autouse=True)
def unchosen(request: pytest.FixtureRequest) -> Iterator[None]:
    """What these tests switch on stays with them."""
    yield
    if "bank" in request.fixturenames:
        bank: Bank = request.getfixturevalue("bank")
        with bank.instance.engine.begin() as connection:
            connection.execute(text("DELETE FROM person_setting"))


def marked(answer: Answer) -> dict[str, str]:
    """What each key leads to: the address of a link, or the id of the field of the search."""
    found = {}
    for one in answer.page.css("[data-keys]"):
        given = one.attributes
        assert one.tag == "a" or (one.tag, given.get("type")) == ("input", "search"), one.html
        found[given["data-keys"] or ""] = given.get("href") or given.get("id") or ""
    return found


@pytest.mark.store
def test_keys_lead_nowhere_until_they_are_switched_on_by_the_form(bank: Bank) -> None:
    browser = bank.browser("luis.ortega")
    assert marked(browser.get("/workflows")) == {}
    fields = browser.get("/profile").fields("/profile") | {"zone": "", "shortcuts": "on"}
    assert browser.post("/profile", fields).status == 303
    for path in ("/", "/workflows", "/help", f"/releases/{bank.release.removeprefix('sha256:')[:12]}", "/nowhere"):
        assert marked(browser.get(path)) == LEADS, path
    assert marked(browser.get("/workflows?print=1")) == {}
    assert marked(bank.browser("maria.chen").get("/workflows")) == {}
    off = browser.get("/profile").fields("/profile") | {"zone": ""}
    assert browser.post("/profile", off).status == 303
    assert marked(browser.get("/workflows")) == {}


@pytest.mark.store
def test_help_lists_them_without_scripts_for_whoever_has_them_off(bank: Bank) -> None:
    assert set(SHORTCUTS) == set(LEADS)
    answer = bank.browser("maria.chen").get("/help")
    listed = answer.page.css("#shortcuts dt")
    assert [" ".join(key.text() for key in one.css("kbd")) for one in listed] == list(SHORTCUTS)


def test_a_command_that_a_page_carries_out_is_a_link_and_another_stays_as_it_is_typed() -> None:
    said = str(coded("There is no session 'x'. See `pilotage cab sessions`."))
    assert said.endswith('See <a href="/cab">Board sessions</a>.')
    assert page_of("pilotage corpus versions policies") == ("the corpus", "/corpora/policies")
    assert page_of("pilotage corpus versions ../x") is None
    assert str(coded("Run `pilotage ledger fsck`.")) == "Run <code>pilotage ledger fsck</code>."
