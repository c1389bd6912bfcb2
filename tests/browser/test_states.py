"""Pages in every state a person meets them in: signed out, refused, answered, wrong, unfolded. None is a barrier."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize
from tests.browser.accessible import violations
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, bank

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
UNFOLDED = "for (const one of document.querySelectorAll('details')) one.open = true"


@pytest.fixture(scope="module")
def browser(bank: Bank) -> Iterator[Browser]:
    for name in ("omar.haddad", "grace.okafor"):
        bank.key(name)
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def proposed(bank: Bank) -> str:
    """A version that waits for its steward, with words that changed."""
    file = bank.instance.root / "corpora" / "policies" / "documents" / "payments" / "wire-transfers.md"
    file.write_text(file.read_text().replace("$25,000", "$50,000"))
    return f"/corpora/policies/versions/{bank.refresh('policies').version}"


@pytest.mark.parametrize("width", [1280, 320])
def test_no_state_of_a_page_has_a_violation_or_scrolls_sideways(
    bank: Bank, proposed: str, browser: Browser, width: int
) -> None:
    size: ViewportSize = {"width": width, "height": 800}
    answered = bank.answered("omar.haddad", "What is the limit?", "It is $50,000. [1]")
    found: dict[str, list[str]] = {}

    def look(page: Page, state: str) -> None:
        page.evaluate(UNFOLDED)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        if broken := violations(page):
            found[state] = broken

    with Served(bank.console) as served:
        out = browser.new_context(base_url=served.address, viewport=size).new_page()
        for path in ("/login", "/help"):
            out.goto(path)
            look(out, f"signed out, {path}")
        out.goto("/login")
        out.fill("#local_key", "no key")
        out.click("main button.main")
        look(out, "a refused key")
        page = sign_in(browser, served.address, bank.key("omar.haddad").text, viewport=size)
        short = bank.release.removeprefix("sha256:")[:12]
        for path in (
            f"/interactions/{answered}",
            f"/interactions/{answered}?print=1",
            "/corpora/policies/passages/0/0",
            "/workflows/policy-assistant/seal",
            "/compare",
            "/search",
            "/search?q=wire",
            "/ledger",
            f"/releases/{short}/gates/code-review?print=1",
            proposed,
        ):
            page.goto(path)
            look(page, path)
        page.goto("/ask/policy-assistant")
        page.fill("#question", "What is the limit?")
        page.click("button[data-send]")
        page.wait_for_selector(".told .text:not(:empty)")
        look(page, "an answer")
        page = sign_in(browser, served.address, bank.key("grace.okafor").text, viewport=size)
        page.goto(proposed)
        look(page, "a version to decide")
        page.click("button[value=reject]")
        page.wait_for_selector("#problems")
        look(page, "a refused decision")
    assert found == {}
