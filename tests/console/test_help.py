"""Help needs no internet: the docs list each page, and what help links to is there (console.md 10.15)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.console.conftest import Bank

from pilotage.console.pages.guide import TOPICS
from pilotage.console.site import ENTRIES

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<name>[A-Z]\w+) \| (?P<where>[^|]+) \| [^|]+ \|$", re.MULTILINE)


def shape(address: str) -> str:
    """An address with its variable parts unnamed."""
    return re.sub(r"\{\w+\}", "{}", address)


def test_the_docs_list_every_page_with_addresses_that_exist() -> None:
    rows = list(_ROW.finditer((ROOT / "docs" / "guide" / "console.md").read_text()))
    assert [row["name"] for row in rows] == list(dict.fromkeys(row["name"] for row in rows))
    assert {row["name"] for row in rows} == {entry.name for entry in ENTRIES} == {topic.name for topic in TOPICS}
    for row in rows:
        shown = {shape(entry.path) for entry in ENTRIES if entry.name == row["name"] and entry.method == "GET"}
        named = {shape(one) for one in re.findall(r"`([^`]+)`", row["where"])}
        assert named
        assert named <= shown, row["name"]
        assert {one for one in shown if "{" not in one and one.count("/") == 1} <= named | {"/ask"}, row["name"]


@pytest.mark.store
def test_every_link_of_help_opens_and_none_leaves_the_console(bank: Bank) -> None:
    browser = bank.browser("anita.rao")
    links = [one.attributes["href"] or "" for one in browser.get("/help").page.css("a[href], link[href]")]
    assert {topic.path for topic in TOPICS if topic.path} <= set(links)
    for link in links:
        assert link.startswith(("/", "#")), link
        path, _, place = link.partition("#")
        answer = browser.get(path or "/help")
        if answer.status == 303:
            answer = browser.get(answer.header("location"))
        assert answer.status == 200, link
        assert not place or answer.page.css_first(f'[id="{place}"]') is not None, link


@pytest.mark.store
@pytest.mark.parametrize("path", ["/nowhere", "/releases/0000", "/ledger"])
def test_a_page_that_cannot_be_shown_leads_to_help_too(bank: Bank, path: str) -> None:
    answer = bank.browser("felix.braun").get(path)
    assert answer.status in {403, 404}
    link = answer.page.css_first('footer a[href^="/help"]')
    assert link is not None
    _, _, place = (link.attributes["href"] or "").partition("#")
    assert not place or place in {topic.name.lower() for topic in TOPICS}
