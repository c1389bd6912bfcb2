"""Live pages and the assistant in Chromium: changes come by themselves, a lost server is said and made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console_process import console_process
from tests.browser.served import Served, chromium, sign_in
from tests.console.asking import FakeAsking
from tests.console.conftest import Bank, bank
from tests.console.test_every_page import open_incident
from tests.console.test_incidents import READER, WHOLE, kept, written

from pilotage.console.app import Console
from pilotage.console.live import PER_PERSON
from pilotage.console.visit import Services
from pilotage.core.digest import digest_of
from pilotage.identity.principal import Principal
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.serving.context import Asked, Peer
from pilotage.serving.run import Finished, Sink

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]


@dataclass
class EndlessAsking(FakeAsking):
    """Streams one word and then waits, until the browser leaves."""

    was_stopped: bool = False

    async def ask(self, asked: Asked, *, principal: Principal, peer: Peer, sink: Sink | None = None) -> Finished:
        if sink is None:
            return await super().ask(asked, principal=principal, peer=peer)
        await sink.begin(digest_of(b"release"))
        await sink.send("Begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_stopped = True
            raise
        raise AssertionError("nothing sets the event")


def console_of(bank: Bank, asking: FakeAsking | None = None) -> Console:
    """Return a console of its own, as a process that was started again has it."""
    instance = bank.instance
    services = Services(
        instance=instance, reading=instance, redact=str, asking=asking or bank.asking, ports=rollout_ports()
    )
    return Console(services)


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    return bank.roll_out()


@pytest.fixture(scope="module")
def browser(bank: Bank) -> Iterator[Browser]:
    for name in ("luis.ortega", "omar.haddad", READER):
        bank.key(name)
    with chromium() as found:
        yield found


def _note_what_is_shown(page: Page) -> None:
    """Keep the count of requests that the region shows, each time it is swapped."""
    page.evaluate(
        """(() => {
          const region = document.querySelector('#region [data-swap]');
          const shown = () => (region.textContent.match(/of (2,\\d00)/) || [])[1];
          window.seen = [];
          new MutationObserver(() => window.seen.push(shown())).observe(region, { childList: true });
        })()"""
    )


def test_a_verdict_comes_by_itself_and_a_killed_server_is_said_and_made_up_for(
    bank: Bank, rollout: str, browser: Browser
) -> None:
    key, minute = bank.key("luis.ortega").text, timedelta(minutes=1)

    def judged(n: int, *pages: Page) -> None:
        """Give a verdict; every page that is connected shows it by itself."""
        bank.judge(rollout, x=3, n=n, after=minute)
        for page in pages:
            expect(page.locator("#region")).to_contain_text(f"3 of {n:,}", timeout=20_000)

    with Served(console_of(bank)) as other, console_process(bank.instance) as killed:
        page, witness = sign_in(browser, killed.address, key), sign_in(browser, other.address, key)
        page.clock.install()
        for one in (page, witness):
            with one.expect_response(lambda reply: "/live/rollouts/" in reply.url):
                one.goto(f"/rollouts/{rollout}")
            expect(one.locator("#region")).to_contain_text("3 of 2,000")
        _note_what_is_shown(page)
        judged(2_100, page, witness)
        with page.expect_event("requestfailed", lambda sent: "/live/rollouts/" in sent.url, timeout=60_000):
            killed.kill()
        for n in (2_200, 2_300):
            judged(n, witness)
        page.clock.fast_forward(15_000)
        expect(page.locator("#stale")).to_contain_text("Not live since")
        expect(page.locator("#region")).to_contain_text("3 of 2,100")
        killed.start()
        expect(page.locator("#region")).to_contain_text("3 of 2,300", timeout=60_000)
        expect(page.locator("#stale")).to_be_hidden(timeout=60_000)
        judged(2_400, page)
        seen = [one for one in page.evaluate("window.seen") if one != "2,000"]
        assert seen == ["2,100", "2,200", "2,300", "2,400"], "an event was missed, or came twice"


def test_a_post_mortem_written_anew_under_its_reviewers_eyes_is_shown_and_not_approved_unread(
    bank: Bank, browser: Browser
) -> None:
    incident = open_incident(bank)
    written(bank, incident, WHOLE)
    with Served(console_of(bank)) as served:
        page = sign_in(browser, served.address, bank.key(READER).text)
        with page.expect_response(lambda reply: "/live/incidents/" in reply.url):
            page.goto(f"/incidents/{incident}")
        page.fill("#note", "Read to its end.")
        with page.expect_response(lambda reply: reply.url.endswith(f"/incidents/{incident}") and reply.ok):
            written(bank, incident, {**WHOLE, "cause": "Nobody read this."})
            expect(page.locator("#post-mortem")).to_contain_text("Nobody read this.", timeout=20_000)
        expect(page.locator("#note")).to_have_value("Read to its end.")
        approve = page.locator("button:has-text('Approve the post-mortem')")
        approve.click()
        expect(page.locator("main")).to_contain_text("POST_MORTEM_CHANGED")
        assert kept(bank, incident)["approved_by"] is None
        page.goto(f"/incidents/{incident}")
        approve.click()
        expect(page.locator("#post-mortem")).to_contain_text("Approved by")


def test_six_tabs_on_one_host_stay_usable(bank: Bank, rollout: str, browser: Browser) -> None:
    with Served(console_of(bank)) as served:
        page = sign_in(browser, served.address, bank.key("omar.haddad").text)
        tabs = [page, *(page.context.new_page() for _ in range(PER_PERSON))]
        for tab in tabs:
            tab.set_default_timeout(60_000)
            tab.goto(f"/rollouts/{rollout}")
            expect(tab.locator("#region")).to_contain_text("of 2,")
        for tab in tabs:
            tab.goto("/workflows")
            expect(tab.locator("h1")).to_have_text("Workflows")


def test_stop_ends_the_answer_and_the_call_behind_it(bank: Bank, browser: Browser) -> None:
    asking = EndlessAsking(bank.clock)
    with Served(console_of(bank, asking)) as served:
        page = sign_in(browser, served.address, bank.key("omar.haddad").text)
        page.goto("/ask/policy-assistant")
        page.fill("#question", "How long?")
        page.click("button[data-send]")
        expect(page.locator(".told .text").last).to_contain_text("Begun")
        page.click("button[data-stop]")
        expect(page.locator("button[data-send]")).to_be_visible()
        page.wait_for_function("!document.querySelector('.text.draft:empty')")
        for _ in range(600):
            if asking.was_stopped:
                break
            page.wait_for_timeout(50)
        assert asking.was_stopped


FOREIGN = """<!doctype html><title>Foreign</title>
<form method="post" action="{address}/theme"><input name="theme" value="dark"><button>Win</button></form>
<iframe src="{address}/login"></iframe>"""


def test_a_foreign_site_can_neither_post_a_form_nor_frame_a_page(bank: Bank, browser: Browser) -> None:
    with Served(console_of(bank)) as served:

        async def foreign(_scope: object, _receive: object, send: object) -> None:
            body = FOREIGN.format(address=served.address).encode()
            head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
            await send(head)  # type: ignore[operator]
            await send({"type": "http.response.body", "body": body})  # type: ignore[operator]

        with Served(foreign) as elsewhere:
            page = browser.new_context().new_page()
            complaints: list[str] = []
            page.on("console", lambda one: complaints.append(one.text))
            page.goto(elsewhere.address.replace("127.0.0.1", "localhost"))
            page.wait_for_load_state("networkidle")
            assert any("frame-ancestors" in one for one in complaints), complaints
            page.click("button")
            expect(page.locator("main")).to_contain_text("FOREIGN_ORIGIN")
            assert page.context.cookies(served.address) == []
