"""Signing in by an identity provider, in Chromium: there and back under the content policy, and out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.served import Served, chromium, free_port
from tests.console.conftest import Bank, bank

from pilotage.adapters.identity_providers.key_cache import KeyCache
from pilotage.adapters.identity_providers.key_fetch import HttpKeyFetch
from pilotage.adapters.identity_providers.sign_in import ProviderSignIn
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.core.ids import PersonId
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.testing.identity_provider import SECRET, TestProvider
from pilotage.workspace.people import IdentityMode, IdentitySettings

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def provider(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestProvider]:
    monkeypatch.setenv("TEST_OIDC_SECRET", SECRET)
    with TestProvider(clock=bank.clock) as found:
        yield found


@pytest.fixture
def served(bank: Bank, provider: TestProvider) -> Iterator[Served]:
    """A console whose people sign in with the provider; maria's account is maria.chen's."""
    port = free_port()
    provider.public_url = f"http://127.0.0.1:{port}"
    settings = provider.settings()
    workspace = bank.instance.workspace
    maria = replace(workspace.people[PersonId("maria.chen")], accounts=(f"{provider.issuer}|maria",))
    people = {**workspace.people, maria.id: maria}
    identity = IdentitySettings(mode=IdentityMode.OIDC, oidc=settings)
    instance = replace(bank.instance, workspace=replace(workspace, people=people, identity=identity))
    fetch = HttpKeyFetch(f"{provider.issuer}/keys", allow_private=("127.0.0.0/8",))
    keys = KeyCache(fetch, algorithms=("RS256",), monotonic=lambda: bank.clock.now().timestamp())
    services = Services(
        instance=instance,
        reading=instance,
        redact=str,
        asking=bank.asking,
        ports=rollout_ports(),
        provider=ProviderSignIn(settings, keys, clock=bank.clock, root=bank.instance.root),
    )
    with Served(Console(services), port=port) as found:
        yield found


def page_of(browser: Browser, served: Served, complaints: list[str], *, javascript: bool = True) -> Page:
    page = browser.new_context(base_url=served.address, java_script_enabled=javascript).new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    return page


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_person_goes_to_the_provider_and_comes_back_where_they_were(
    served: Served, browser: Browser, javascript: bool
) -> None:
    complaints: list[str] = []
    page = page_of(browser, served, complaints, javascript=javascript)
    page.goto("/rollouts")
    expect(page.locator("h1")).to_contain_text("Sign in")
    page.click("main button.main")
    page.wait_for_url(f"{served.address}/rollouts")
    expect(page.locator("h1")).to_have_text("Rollouts")
    expect(page.locator(".who")).to_contain_text("maria@bank.example")
    (cookie,) = [one for one in page.context.cookies() if one["name"].startswith("pilotage")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert complaints == []


def test_who_the_provider_refuses_or_nobody_knows_is_told_and_not_signed_in(
    served: Served, provider: TestProvider, browser: Browser
) -> None:
    provider.wrong["aud"] = "another-client"
    complaints: list[str] = []
    page = page_of(browser, served, complaints)
    page.goto("/login")
    page.click("main button.main")
    page.wait_for_url(f"{served.address}/login/return*")
    expect(page.locator("#problems")).to_contain_text("Nothing was recorded.")
    page.goto("/workflows")
    expect(page.locator("h1")).to_contain_text("Sign in")
