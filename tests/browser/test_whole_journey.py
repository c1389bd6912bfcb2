"""A release's whole way in the browser, sealed to taken back and looked back on; with and without script.

Only the askers and the time are played. What people do, they do in forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine
from tests.browser.bank_on_its_way import SEATED, BankOnItsWay, bank_on_its_way
from tests.browser.board_steps import DISSENT, accept_the_risk, vote
from tests.browser.served import Served, chromium
from tests.control.gate_world import FELIX, KEIKO, RISK_OFFICER, SEATS, SPONSOR, junit
from tests.control.rollout_world import STARTER

from pilotage.rollout.states import State
from pilotage.store.releases import named_release

pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
Come = Callable[[str, str], AbstractContextManager[Page]]
"""Signs a person in, led to an address; who has done their part closes the browser."""
SEALER, WATCHER, HELPER, LEADER, CHAIR = "maria.chen", "elena.marchetti", "dina.kowalski", SEATS[1], SEATS[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Path) -> BankOnItsWay:
    return bank_on_its_way(own_engine, tmp_path)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_release_goes_its_whole_way_in_the_browser_and_is_taken_back(
    bank: BankOnItsWay, browser: Browser, javascript: bool
) -> None:
    with Served(bank.console()) as served:

        @contextmanager
        def come(name: str, to: str) -> Iterator[Page]:
            page = bank.come(browser, served, name, to=to, java_script_enabled=javascript)
            yield page
            page.set_viewport_size({"width": 360, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, page.url
            page.context.close()

        release = _seal(come)
        _bring(come, release)
        for name in (FELIX, KEIKO):
            _review(come, name, release)
        bank.site.clock.advance(timedelta(minutes=5))
        _meet(bank, come, release)
        bank.drilled(_whole(bank, release))
        _taken_back(bank, come, _start(come, release), is_live=javascript)


def _seal(come: Come) -> str:
    """Seal from the list of workflows; return the release's short digest."""
    with come(SEALER, "/workflows") as page:
        page.click("a.button:has-text('Seal')")
        expect(page.locator("main")).to_contain_text("changed")
        page.fill("#note", "Names effective dates.")
        page.click("#seal button.main")
        page.wait_for_url(re.compile("/releases/[0-9a-f]{12}$"))
        expect(page.locator("main")).to_contain_text("Names effective dates.")
        return page.url.rsplit("/", 1)[-1]


def _bring(come: Come, release: str) -> None:
    """Bring two reports, and one file that is none."""
    files = {"tests.unit": junit(), "tests.regression": junit(), "": b"no report"}
    with come(SEALER, f"/releases/{release}") as page:
        for kind, data in files.items():
            page.set_input_files("#file", {"name": "report.xml", "mimeType": "text/xml", "buffer": data})
            page.select_option("#kind", kind)
            page.click("#bring button.main")
            says = f"Taken as {kind}" if kind else "Refused, and kept as rejected"
            expect(page.locator("#evidence [role=status]")).to_contain_text(says)


def _review(come: Come, name: str, release: str) -> None:
    """Approve the code review, coming from the inbox."""
    with come(name, "/") as page:
        page.click(f"a:has-text('{release} at gate code-review')")
        page.check("input[name='check.read the diff']")
        page.check("input[name=decision][value=approve]")
        page.fill("#comment", "I read the diff.")
        page.click("#decide button.main")
        expect(page.locator("#votes")).to_contain_text("approved")


def _meet(bank: BankOnItsWay, come: Come, release: str) -> None:
    """Hold the board's session: one seat dissents, its risk is accepted, the sponsor authorises."""
    with come(CHAIR, "/cab") as chair:
        chair.check(f'input[name="release.{release}"]')
        chair.click("form[action='/cab'] button.main")
        expect(chair.locator("h1")).to_have_text("Session of the cab board")
        where = urlsplit(chair.url).path
        chair.click("button:has-text('Make the pack')")
        expect(chair.locator("#pack")).to_contain_text("Pack as PDF")
        _vote(chair, release, "approve", "Read it all.")
    for name in SEATS[:SEATED]:
        if name != CHAIR:
            decision, comment = ("reject", DISSENT) if name == LEADER else ("approve", f"{name} read it all.")
            with come(name, where) as page:
                _vote(page, release, decision, comment)
    with come(RISK_OFFICER, where) as officer:
        accept_the_risk(officer, release, "production-us-east-space")
    bank.site.clock.advance(timedelta(minutes=1))
    with come(SPONSOR, where) as sponsor:
        expect(sponsor.locator("#dissent")).to_contain_text(DISSENT)
        _vote(sponsor, release, "approve", "I read the dissent.")
        expect(sponsor.locator("nav[aria-label=Agenda]")).to_contain_text("approved with risk acceptance")


def _vote(page: Page, release: str, decision: str, comment: str) -> None:
    vote(page, release, decision, comment)
    expect(page.locator("#votes")).to_contain_text(comment)


def _whole(bank: BankOnItsWay, release: str) -> str:
    with bank.world.engine.connect() as connection:
        return named_release(connection, release).digest


def _start(come: Come, release: str) -> str:
    """Start the rollout on the release's page; return its id."""
    with come(STARTER, f"/releases/{release}") as page:
        page.check("input[name=accepted]")
        page.click("button:has-text('Start')")
        page.wait_for_url(re.compile("/rollouts/"))
        return page.url.rsplit("/", 1)[-1]


def _taken_back(bank: BankOnItsWay, come: Come, rollout: str, *, is_live: bool) -> str:
    """Let the candidate fail before people; return where the page leads that says so: the incident's."""
    begun = bank.world.step(rollout)
    assert begun.state is State.OBSERVING, begun.why
    with come(WATCHER, f"/rollouts/{rollout}") as page:
        region = page.locator("#region")
        expect(region).to_contain_text("OBSERVING at 5 %")
        page.fill("#note", "The rates look wrong.")
        for _ in range(12):
            if bank.world.step(rollout, timedelta(minutes=2)).state.is_over:
                break
        if not is_live:
            page.click("a:has-text('Reload')")
        expect(region).to_contain_text("ROLLED BACK")
        expect(region).to_contain_text("Taken back to")
        expect(region).to_contain_text("Incident")
        expect(page.locator("#do-pause")).to_have_attribute("aria-disabled", "true")
        expect(page.locator("#note")).to_have_value("The rates look wrong." if is_live else "")
        return page.locator("#region a[href^='/incidents/']").get_attribute("href") or ""


def _look_back(come: Come, incident: str) -> None:
    """Take the incident on, resolve it, write its post-mortem and have it approved: then it closes, and not before."""
    with come(HELPER, incident) as page:
        expect(page.locator(".says")).to_contain_text("open")
        for word in ("Take it on", "It is mitigated", "Lift its freeze", "It is resolved"):
            page.click(f"#change button:has-text('{word}')")
            expect(page.locator("#problems")).to_have_count(0)
        expect(page.locator(".says")).to_contain_text("resolved")
        expect(page.locator("#do-closed")).to_have_attribute("aria-disabled", "true")
        expect(page.locator("#why-closed")).to_contain_text("POST_MORTEM_MISSING")
        page.fill("#cause", "The new rule made one answer in twenty fail.")
        page.fill("#informed", "Those who asked were written to.")
        page.fill("#text-1", "Ask the golden set for the years")
        page.fill("#owner-1", SEALER)
        page.fill("#due-1", "2026-04-30")
        page.click("#write button.main")
        expect(page.locator("#post-mortem")).to_contain_text("Nobody approved it yet.")
    with come(WATCHER, incident) as page:
        page.click("button:has-text('Approve the post-mortem')")
        expect(page.locator("#post-mortem")).to_contain_text("Approved by Elena Marchetti.")
    with come(HELPER, incident) as page:
        page.click("#change button:has-text('Close it')")
        expect(page.locator(".says")).to_contain_text("closed")
