"""The print view: nothing folded, nothing to press, targets as notes, and on top what it is, as of when, for whom."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.console.conftest import Bank
from tests.console.test_every_page import PAGES, address, filled, viewer

from pilotage.console.printing import printed
from pilotage.console.route import Entry
from pilotage.control.change_profile import change_profile

__all__ = ["filled"]

FRAME = '<html><a href="/out">x</a><main id="main">{}</main><footer><a href="/help">Help</a></footer></html>'


def test_a_target_has_one_note_and_what_cannot_be_followed_on_paper_has_none() -> None:
    page = printed(FRAME.format('<a href="/a">A</a> <a id="x" href="/b?c=1&amp;d">B</a> <a href="/a">again</a>'))
    assert '<a href="/a">A</a><sup>1</sup>' in page
    assert '<a id="x" href="/b?c=1&amp;d">B</a><sup>2</sup>' in page
    assert '<a href="/a">again</a><sup>1</sup>' in page
    assert "<ol><li>/a</li><li>/b?c=1&amp;d</li></ol>" in page
    assert '<a href="/out">x</a></main>' not in page
    assert '<a href="/help">Help</a></footer>' in page
    plain = FRAME.format('<a href="#here">A</a> <a class="button small" href="/c">C</a>')
    assert printed(plain) == plain


def test_what_folds_is_open_once() -> None:
    page = printed(FRAME.format('<details><summary>A</summary></details><details class="x" open><p>B</p></details>'))
    assert page.count("<details open>") == 1
    assert page.count(" open") == 2


def test_a_page_without_main_stays_as_it_is() -> None:
    assert printed("<p><details></details></p>") == "<p><details></details></p>"


@pytest.mark.store
@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.path)
def test_the_print_view_says_what_the_page_says(bank: Bank, filled: dict[str, str], entry: Entry) -> None:
    if entry.path.startswith("/login") or "/proof" in entry.path or entry.path == "/ask":
        return
    change_profile(bank.instance, actor=bank.person(viewer(entry)), zone="UTC")  # which paper is in anyway
    browser, path = bank.browser(viewer(entry)), address(entry, filled)
    whole, paper = browser.get(path), browser.get(f"{path}?print=1")
    assert paper.status == whole.status
    if not paper.header("content-type").startswith("text/html"):
        return
    assert paper.page.css("nav[aria-label=Main], .who, header form, script") == []
    assert paper.page.css("details:not([open])") == []
    assert (paper.page.css_first("html").attributes or {})["data-theme"] == "light"  # type: ignore[union-attr]
    assert not Counter(whole.words.split()) - Counter(paper.words.split())
    stamp = paper.page.css_first(".stamp")
    assert stamp is not None
    assert "As of" in stamp.text()
    assert "printed for" in stamp.text()


@pytest.mark.store
def test_paper_names_the_digest_of_what_it_shows_and_leads_back(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("omar.haddad")
    for path in (f"/releases/{filled['digest']}", f"/releases/{filled['digest']}/gates/qa"):
        paper = browser.get(f"{path}?print=1")
        stamp = paper.page.css_first(".stamp")
        assert stamp is not None
        assert bank.release in stamp.text()
        assert f'<a href="{path}">As a page again</a>' in paper.text
    page = browser.get("/rollouts?space=sandbox")
    assert 'href="/rollouts?space=sandbox&amp;print=1">Print view</a>' in page.text
