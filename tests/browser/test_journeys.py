"""What people do in the browser: sign in, ask, read the passage, review, decide; with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.accessible import violations
from tests.browser.conftest import Site

from pilotage.control.manage_incident import open_by_person
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.incident.records import Severity
from pilotage.workspace.principals import local_principal

pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
WIRE = "What is the daily wire transfer limit for a retail customer?"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> javascript:alert(3)'


@pytest.fixture(autouse=True)
def nothing_was_blocked(site: Site) -> Iterator[None]:
    """No page may break the content policy it is served with."""
    site.problems.clear()
    yield
    assert [one for one in site.problems if "Content Security Policy" in one or "Trusted" in one] == []


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_question_is_answered_cited_and_the_passage_opens(site: Site, javascript: bool) -> None:
    page = site.page("omar.haddad", java_script_enabled=javascript)
    page.goto("/ask/policy-assistant")
    page.fill("#question", WIRE)
    page.click("button[data-send]")
    expect(page.locator(".told .text").last).to_contain_text("$50,000")
    page.click(".cites a >> nth=0")
    expect(page.locator("mark").first).to_contain_text("$50,000")
    expect(page.locator("h1")).to_contain_text("Wire")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_an_answer_is_rated_and_explained_link_by_link(site: Site, javascript: bool) -> None:
    page = site.page("omar.haddad", java_script_enabled=javascript)
    page.goto("/ask/policy-assistant")
    page.fill("#question", WIRE)
    page.click("button[data-send]")
    page.locator(".told a", has_text="Why this answer?").last.click()
    expect(page.locator("ol.chain > li")).to_have_count(8)
    page.check("input[name=rating][value=down]")
    page.fill("#comment", f"Too short {HOSTILE}")
    page.click("#feedback button.main")
    expect(page.locator("#feedback [role=status]")).to_contain_text("recorded")
    expect(page.locator("#feedback li").first).to_contain_text("Too short")
    assert page.title() == "Why this answer? - Explain - Pilotage"


def test_somebody_without_access_gets_no_passage_and_no_answer(site: Site) -> None:
    page = site.page("helena.stroud")
    page.goto("/ask/policy-assistant")
    page.fill("#question", "What is the annual retainer of a non-executive director?")
    page.click("button[data-send]")
    expect(page.locator(".told .text").last).to_contain_text("$84,000")
    link = page.locator(".cites a").first.get_attribute("href")
    assert link is not None
    other = site.page("omar.haddad")
    answer = other.goto(link)
    assert answer is not None
    assert answer.status == 404
    expect(other.locator("main")).not_to_contain_text("84,000")


def test_text_that_would_run_is_only_shown(site: Site) -> None:
    page = site.page("omar.haddad")
    page.goto("/ask/policy-assistant")
    page.fill("#question", f"{WIRE} {HOSTILE}")
    page.click("button[data-send]")
    expect(page.locator(".asked").last).to_contain_text("<img src=x")
    page.wait_for_timeout(500)
    assert page.title() == "Policy assistant - Assistant - Pilotage"
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_gate_refuses_the_author_with_the_reason_and_takes_a_reject(site: Site, javascript: bool) -> None:
    page = site.page("maria.chen", java_script_enabled=javascript)
    page.goto(f"/releases/{site.release}/gates/qa")
    expect(page.locator("#decide")).to_contain_text("This gate asks for qa-lead")
    page = site.page("sofia.lindgren", java_script_enabled=javascript)
    page.goto(f"/releases/{site.release}/gates/qa")
    expect(page.locator("h1")).to_have_text("Gate qa")
    page.check("input[name=decision][value=approve]")
    page.click("#decide button.main")
    expect(page.locator("#problems")).to_contain_text("Nothing was recorded")
    assert page.is_checked("input[name=decision][value=approve]")


def test_a_double_click_records_once(site: Site) -> None:
    page = site.page("omar.haddad")
    page.goto("/ask/policy-assistant")
    page.fill("#question", WIRE)
    page.click("button[data-send]")
    page.locator(".told a", has_text="Why this answer?").last.click()
    page.check("input[name=rating][value=up]")
    page.fill("#comment", "Counted once")
    page.dblclick("#feedback button.main")
    expect(page.locator("#feedback [role=status]")).to_be_visible()
    expect(page.locator("#feedback li", has_text="Counted once")).to_have_count(1)


def test_everything_is_reached_by_keyboard(site: Site) -> None:
    page = site.page("omar.haddad")
    page.goto("/ask/policy-assistant")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    seen: list[str] = []
    for _ in range(12):
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if seen[-1] == "question":
            break
        page.keyboard.press("Tab")
    assert seen[-1] == "question", seen
    page.keyboard.type(WIRE)
    page.keyboard.press("Enter")
    expect(page.locator(".told .text").last).to_contain_text("$50,000")


@pytest.mark.parametrize("width", [1280, 320])
def test_pages_have_no_accessibility_violation_and_do_not_scroll_sideways(site: Site, width: int) -> None:
    page = site.page("anita.rao", viewport={"width": width, "height": 800})
    found: dict[str, list[str]] = {}
    for path in _addresses(site, page):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if broken := violations(page):
            found[path] = broken
    assert found == {}


def _addresses(site: Site, page: Page) -> list[str]:
    page.goto("/ledger")
    entry = page.locator("tbody th a").first.get_attribute("href") or ""
    return [
        "/",
        "/workflows",
        "/portfolio",
        "/search?q=virtanen",
        "/rollouts?space=sandbox",
        f"/releases/{site.release}",
        f"/releases/{site.release}/changes",
        f"/releases/{site.release}/gates/qa",
        f"/releases/{site.release}/gates/cab",
        "/rollouts",
        "/ask/policy-assistant",
        "/corpora/policies",
        "/corpora/policies/versions/2",
        "/ledger",
        entry,
        "/incidents",
        f"/incidents/{_incident(site)}",
        "/nothing",
    ]


def _incident(site: Site) -> str:
    """Open an incident, the same one each time; return its id."""
    opened = open_by_person(
        site.instance,
        actor=local_principal(site.instance.workspace, PersonId("dina.kowalski")),
        workflow="policy-assistant",
        space="sandbox",
        severity=Severity.SEV2,
        summary="Answers are slow.",
    )
    assert not isinstance(opened, Refusal)
    return opened.id


def test_the_ledger_verifies_on_the_page(site: Site) -> None:
    page = site.page("anita.rao")
    page.goto("/ledger")
    page.click("button.main")
    expect(page.locator(".says")).to_contain_text("It is whole.")
    expect(page.locator("main")).to_contain_text(re.compile(r"Verdict\s*verified"))
