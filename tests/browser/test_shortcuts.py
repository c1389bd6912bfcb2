"""Keys of a person who switched them on: they lead to pages, and in a field they are letters."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.accessible import violations
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, bank

from pilotage.control.change_profile import change_profile

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]


def test_keys_lead_to_pages_outside_of_fields_and_only_where_they_are_switched_on(bank: Bank) -> None:
    key = bank.key("luis.ortega").text
    with chromium() as browser, Served(bank.console) as served:
        page = sign_in(browser, served.address, key)
        page.goto("/workflows")
        page.keyboard.type("gi")
        expect(page).to_have_url(f"{served.address}/workflows")
        page.goto("/profile")
        assert violations(page) == []
        page.get_by_label("Shortcuts on").check()
        page.get_by_label("Zone of times").select_option("Asia/Kathmandu")
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("footer")).to_contain_text("times in Asia/Kathmandu")
        page.keyboard.type("gi")
        expect(page).to_have_url(f"{served.address}/")
        page.keyboard.type("gw")
        expect(page).to_have_url(f"{served.address}/workflows")
        page.keyboard.type("?")
        expect(page).to_have_url(f"{served.address}/help#shortcuts")
        page.keyboard.type("/")
        expect(page.locator("#q")).to_be_focused()
        page.keyboard.type("g?/gi")
        expect(page.locator("#q")).to_have_value("g?/gi")
        expect(page).to_have_url(f"{served.address}/help#shortcuts")
        page.locator("#main").focus()
        page.keyboard.press("Control+g")
        page.keyboard.press("i")
        expect(page).to_have_url(f"{served.address}/help#shortcuts")
    change_profile(bank.instance, actor=bank.person("luis.ortega"), zone="", shortcuts=False)
