"""Sign-in with an identity provider: code flow with PKCE, bound to the browser; sessions; confirmation; sign-out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from joserfc.jwk import RSAKey
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank

from pilotage.adapters.identity_providers.key_cache import KeyCache
from pilotage.adapters.identity_providers.key_fetch import HttpKeyFetch
from pilotage.adapters.identity_providers.open_oidc import provider_sign_in
from pilotage.adapters.identity_providers.sign_in import ProviderSignIn
from pilotage.app import Joined
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.provider_session import KEPT_BY_ONE
from pilotage.control.refresh_tools import RefreshTools
from pilotage.core.errors import Unavailable
from pilotage.core.ids import PersonId
from pilotage.jobs.handlers import Step
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.jobs.schedules import CLOSING, make_registry
from pilotage.store.runs import find_run, request_run
from pilotage.testing.identity_provider import SECRET, TestProvider
from pilotage.workspace.people import IdentityMode, IdentitySettings

pytestmark = pytest.mark.store


class _Unfollowed(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None

    def http_error_302(self, _request: object, response: object, *_: object) -> object:
        return response


@dataclass
class Office:
    """A workspace that signs in with a provider, with maria's account declared as maria.chen's."""

    bank: Bank
    provider: TestProvider
    console: Console

    def browser(self) -> Browser:
        return Browser(application=self.console)

    def begin(self, browser: Browser, fields: dict[str, str] | None = None) -> str:
        """Press the button; return the provider's page that the browser is sent to."""
        answer = browser.post("/login", fields or {"next": "/workflows"})
        assert answer.status == 303, answer.text
        return answer.header("location")

    def follow(self, page: str) -> str:
        """Open the provider's page as the person; return where it sends the browser."""
        with build_opener(_Unfollowed).open(page) as response:
            return str(response.headers["location"])

    def come_back(self, browser: Browser, back: str) -> Answer:
        parts = urlsplit(back)
        return browser.get(f"{parts.path}?{parts.query}")

    def sign_in(self, browser: Browser, fields: dict[str, str] | None = None) -> Answer:
        return self.come_back(browser, self.follow(self.begin(browser, fields)))


@pytest.fixture
def office(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("TEST_OIDC_SECRET", SECRET)
    with bank.instance.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM console_login")
    with TestProvider(clock=bank.clock) as provider:
        workspace = bank.instance.workspace
        maria = replace(workspace.people[PersonId("maria.chen")], accounts=(f"{provider.issuer}|maria",))
        changed = replace(
            workspace,
            people={**workspace.people, maria.id: maria},
            identity=IdentitySettings(mode=IdentityMode.OIDC, oidc=provider.settings()),
        )
        instance = replace(bank.instance, workspace=changed)
        fetch = HttpKeyFetch(f"{provider.issuer}/keys", allow_private=("127.0.0.0/8",))
        keys = KeyCache(fetch, algorithms=("RS256",), monotonic=lambda: bank.clock.now().timestamp())
        services = Services(
            instance=instance,
            reading=instance,
            redact=Joined().redact(instance),
            asking=bank.asking,
            ports=rollout_ports(),
            provider=ProviderSignIn(provider.settings(), keys, clock=bank.clock, root=bank.instance.root),
        )
        yield Office(bank=bank, provider=provider, console=Console(services))


@pytest.mark.feature("X18")
def test_a_person_signs_in_and_goes_on_where_they_were(office: Office) -> None:
    browser = office.browser()
    page = office.begin(browser, {"next": "/rollouts?space=sandbox"})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://127.0.0.1:8080/login/return"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
    assert len({asked[name] for name in ("state", "nonce", "code_challenge")}) == 3
    answer = office.come_back(browser, office.follow(page))
    assert (answer.status, answer.header("location")) == (303, "/rollouts?space=sandbox")
    shown = browser.get("/workflows")
    assert shown.status == 200
    assert "maria@bank.example" in shown.text


def test_no_secret_of_the_sign_in_reaches_the_address_or_the_database(office: Office) -> None:
    browser = office.browser()
    page = office.begin(browser)
    secret = browser.cookies["pilotage-login"]
    assert secret not in page
    with office.bank.instance.engine.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM console_login").all())
    assert secret not in stored
    assert parse_qs(urlsplit(page).query)["state"][0] not in stored


def test_an_answer_begun_in_another_browser_is_refused(office: Office) -> None:
    back = office.follow(office.begin(office.browser()))
    other = office.browser()
    assert "not begun in this browser" in office.come_back(other, back).words
    office.begin(other)
    answer = office.come_back(other, back)
    assert answer.status == 401
    assert other.get("/workflows").status == 303


def test_a_state_of_any_letters_is_refused(office: Office) -> None:
    browser = office.browser()
    office.begin(browser)
    answer = browser.get("/login/return?state=%C3%A9&code=x")
    assert answer.status == 401
    assert "not begun in this browser" in answer.words


def test_an_answer_is_used_once_and_within_ten_minutes(office: Office) -> None:
    browser = office.browser()
    back = office.follow(office.begin(browser))
    kept = dict(browser.cookies)
    assert office.come_back(browser, back).status == 303
    browser.cookies = kept
    assert "used before" in office.come_back(browser, back).words
    back = office.follow(office.begin(browser))
    office.bank.clock.advance(timedelta(minutes=11))
    assert office.come_back(browser, back).status == 401


def test_a_foreign_page_cannot_begin_a_sign_in(office: Office) -> None:
    browser = office.browser()
    browser.origin = "https://evil.example"
    assert browser.post("/login", {"next": "/"}).status == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": ["pilotage-console", "another-client"]},
        {"aud": ["pilotage-console", "another-client"], "azp": "another-client"},
        {"nonce": "of another request"},
        {"nonce": None},
        {"exp": 1_600_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"auth_time": 99_999_999_999},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_signs_nobody_in(office: Office, wrong: dict[str, object]) -> None:
    browser = office.browser()
    office.provider.wrong = wrong
    answer = office.sign_in(browser)
    assert answer.status == 401
    assert "Sign in again" in answer.words
    assert browser.get("/workflows").status == 303


@pytest.mark.parametrize(("typ", "status"), [(None, 303), ("jwt", 303), ("at+jwt", 401), ("logout+jwt", 401)])
def test_an_id_token_needs_no_type_and_has_no_other(office: Office, typ: str | None, status: int) -> None:
    office.provider.typ = typ
    assert office.sign_in(office.browser()).status == status


def test_keys_rotate_and_a_key_that_is_not_published_signs_nobody_in(office: Office) -> None:
    assert office.sign_in(office.browser()).status == 303
    office.provider.rotate()
    office.bank.clock.advance(timedelta(seconds=31))
    assert office.sign_in(office.browser()).status == 303
    published = office.provider.key
    office.provider.signs_with = RSAKey.generate_key(2048, {"kid": published.kid or ""})
    assert office.sign_in(office.browser()).status == 401
    office.provider.signs_with = RSAKey.generate_key(2048, {"kid": "of nobody"})
    office.bank.clock.advance(timedelta(seconds=31))
    answer = office.sign_in(office.browser())
    assert answer.status == 401
    assert "a key that it does not publish" in answer.words


def test_the_provider_saying_no_or_another_issuer_is_told_in_words(office: Office) -> None:
    browser = office.browser()
    office.provider.has_approved = False
    assert "did not sign you in" in office.sign_in(browser).words
    office.provider.has_approved = True
    back = office.follow(office.begin(browser)).replace("iss=http", "iss=https")
    assert "another provider" in office.come_back(browser, back).words


def test_a_provider_that_is_down_is_an_outage_not_a_bad_sign_in(office: Office) -> None:
    settings = replace(office.provider.settings(), issuer="http://127.0.0.1:1")
    workspace = office.bank.instance.workspace
    changed = replace(workspace, identity=IdentitySettings(mode=IdentityMode.OIDC, oidc=settings))
    instance = replace(office.bank.instance, workspace=changed)
    services = Services(
        instance=instance,
        reading=instance,
        redact=str,
        asking=office.bank.asking,
        ports=rollout_ports(),
        provider=provider_sign_in(changed, office.bank.clock, instance.root),
    )
    answer = Browser(application=Console(services)).post("/login", {"next": "/"})
    assert answer.status == 503
    assert "identity provider does not answer" in answer.words


def test_roles_come_from_the_token_and_from_the_roster_of_now(office: Office) -> None:
    browser = office.browser()
    office.provider.subject = "somebody"
    assert office.sign_in(browser).status == 303
    assert browser.get("/ledger").status == 403
    office.provider.claims = {"roles": ["auditor"], "groups": ["audit"]}
    other = office.browser()
    assert office.sign_in(other).status == 303
    assert other.get("/ledger").status == 200


def test_a_session_of_another_identity_mode_or_issuer_ends(office: Office) -> None:
    browser, local = office.browser(), office.bank.browser("maria.chen")
    assert office.sign_in(browser).status == 303
    local.application = office.console
    assert local.get("/workflows").status == 303
    browser.application = office.bank.console
    assert browser.get("/workflows").status == 303


def _vote(office: Office, browser: Browser) -> tuple[str, dict[str, str]]:
    path = f"/releases/{office.bank.release}/gates/cab"
    token = browser.get(path).fields("/logout")["token"]
    return path, {
        "decision": "approve",
        "role": "cab-chair",
        "comment": "Good <b>work</b>",
        "token": token,
        "key": "k" * 20,
    }


def test_a_grave_decision_asks_to_sign_in_again_and_keeps_the_form(office: Office) -> None:
    browser = office.browser()
    office.sign_in(browser)
    office.bank.clock.advance(timedelta(minutes=16))
    path, fields = _vote(office, browser)
    asked = browser.post(path, fields)
    assert asked.status == 401
    assert "sign-in of the last 15 minutes" in asked.words
    kept = asked.fields("/login")
    old = dict(browser.cookies)
    shown = office.sign_in(browser, kept)
    assert office.provider.asked[-1]["prompt"] == "login"
    assert office.provider.asked[-1]["max_age"] == "900"
    assert shown.status == 200
    assert shown.fields(path)["comment"] == "Good <b>work</b>"
    again = browser.post(path, {**fields, "token": shown.fields(path)["token"]})
    assert again.status != 401
    assert browser.cookies["pilotage"] != old["pilotage"]
    stale = Browser(application=office.console, cookies=old)
    assert stale.get("/workflows").status == 303


IBAN = "Is DE89370400440532013000 covered?"


def _ask_without_session(browser: Browser) -> dict[str, str]:
    """Send a question after the session has ended; return the fields that keep it on the way to the provider."""
    answer = browser.post("/ask/policy-assistant", {"question": IBAN})
    assert answer.status == 401
    return answer.fields("/login")


def _stored(office: Office) -> list[Any]:
    with office.bank.instance.engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT * FROM console_login").all())


def test_what_was_typed_is_readable_to_the_browser_that_typed_it_alone(office: Office) -> None:
    browser = office.browser()
    page = office.begin(browser, {**_ask_without_session(browser), "next": "/search?q=DE89370400440532013000"})
    [row] = [one for one in _stored(office) if one.holder is not None]
    written = "".join(str(bytes(one) if isinstance(one, memoryview) else one) for one in row)
    assert "DE89" not in written
    assert "/ask/policy-assistant" not in written
    shown = office.come_back(browser, office.follow(page))
    assert shown.status == 200
    assert shown.fields("/ask/policy-assistant")["question"] == IBAN


def test_an_attempt_put_in_the_place_of_another_opens_nothing(office: Office) -> None:
    browser, other = office.browser(), office.browser()
    office.begin(other, _ask_without_session(other))
    mine = office.begin(browser, {"next": "/workflows"})
    with office.bank.instance.engine.begin() as connection:
        other_row = "SELECT sealed FROM console_login WHERE holder IS NOT NULL"
        connection.exec_driver_sql(f"UPDATE console_login SET sealed = ({other_row})")
    assert office.come_back(browser, office.follow(mine)).status == 401


def test_one_address_without_a_session_cannot_take_every_place_for_forms(office: Office) -> None:
    browser = office.browser()
    for _ in range(KEPT_BY_ONE + 2):
        page = office.begin(browser, _ask_without_session(browser))
    assert sum(one.holder is not None for one in _stored(office)) == KEPT_BY_ONE
    assert office.come_back(browser, office.follow(page)).status == 303
    browser = office.browser()
    browser.peer = "203.0.113.9"
    page = office.begin(browser, _ask_without_session(browser))
    assert office.come_back(browser, office.follow(page)).fields("/ask/policy-assistant")["question"] == IBAN


def test_a_sign_in_that_nobody_finishes_is_forgotten_by_the_next_look(office: Office) -> None:
    browser = office.browser()
    office.begin(browser, _ask_without_session(browser))
    work = make_registry(lambda _instance: RefreshTools()).steps[CLOSING]
    office.bank.clock.advance(timedelta(minutes=9))
    _look(office, work)
    assert len(_stored(office)) > 0
    office.bank.clock.advance(timedelta(minutes=1))
    _look(office, work)
    assert _stored(office) == []


def _look(office: Office, work: Step) -> None:
    with office.bank.instance.engine.begin() as connection:
        request_run(connection, kind=CLOSING, key="interaction", due_at=office.bank.clock.now())
        run = find_run(connection, CLOSING, "interaction")
        assert run is not None
        work(office.bank.instance, connection, run)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"auth_time": None}, "does not say when you signed in"),
        ({"auth_time": 1_600_000_000}, "did not ask you to sign in again"),
        ({"sub": "another"}, "Another account signed in"),
    ],
)
def test_a_confirmation_needs_the_same_account_and_a_fresh_time(
    office: Office, wrong: dict[str, object], words: str
) -> None:
    browser = office.browser()
    office.sign_in(browser)
    office.bank.clock.advance(timedelta(minutes=16))
    path, fields = _vote(office, browser)
    kept = browser.post(path, fields).fields("/login")
    office.provider.wrong = wrong
    answer = office.sign_in(browser, kept)
    assert answer.status == 401
    assert words in answer.words
    assert ("kept.comment" in answer.fields("/login")) == ("sub" not in wrong)
    assert browser.post(path, fields).status == 401


def test_a_sign_in_that_fails_keeps_the_form_and_where_it_leads(office: Office) -> None:
    browser = office.browser()
    fields = {**_ask_without_session(browser), "next": "/rollouts?space=sandbox"}
    office.provider.has_approved = False
    denied = office.sign_in(browser, fields)
    assert denied.status == 401
    office.provider.has_approved, office.provider.wrong = True, {"nonce": "of another request"}
    failed = office.sign_in(browser, denied.fields("/login"))
    assert failed.status == 401
    office.provider.wrong = {}
    again = failed.fields("/login")
    assert again["next"] == "/rollouts?space=sandbox"
    shown = office.sign_in(browser, again)
    assert shown.status == 200
    assert shown.fields("/ask/policy-assistant")["question"] == IBAN


def test_a_provider_that_fell_silent_on_the_way_back_keeps_the_form(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object, **__: object) -> None:
        raise Unavailable("IDENTITY_PROVIDER_UNAVAILABLE", "The identity provider does not answer.", hint="Try again.")

    browser = office.browser()
    back = office.follow(office.begin(browser, _ask_without_session(browser)))
    monkeypatch.setattr(ProviderSignIn, "redeem", silent)
    answer = office.come_back(browser, back)
    assert answer.status == 503
    assert answer.fields("/login")["kept.question"] == IBAN


def test_a_confirmation_that_is_refused_stays_one_and_is_kept_for_the_same_person_only(office: Office) -> None:
    browser = office.browser()
    office.sign_in(browser)
    office.bank.clock.advance(timedelta(minutes=16))
    path, fields = _vote(office, browser)
    kept = browser.post(path, fields).fields("/login")
    office.provider.has_approved = False
    denied = office.sign_in(browser, kept)
    assert "Confirm that it is you" in denied.words
    assert denied.fields("/login")["kept.comment"] == fields["comment"]
    back = office.follow(office.begin(browser, denied.fields("/login")))
    del browser.cookies["pilotage"]
    assert "kept.comment" not in office.come_back(browser, back).fields("/login")


def test_an_unknown_time_of_sign_in_is_never_recent(office: Office) -> None:
    browser = office.browser()
    office.provider.wrong = {"auth_time": None}
    assert office.sign_in(browser).status == 303
    path, fields = _vote(office, browser)
    assert browser.post(path, fields).status == 401


def test_signing_out_ends_the_session_here_and_goes_to_the_providers_sign_out(office: Office) -> None:
    browser = office.browser()
    office.sign_in(browser)
    old = dict(browser.cookies)
    answer = browser.post("/logout", browser.get("/workflows").fields("/logout"))
    assert answer.status == 303
    assert answer.header("location").startswith(f"{office.provider.issuer}/end?client_id=pilotage-console&")
    browser.cookies = old
    assert browser.get("/workflows").status == 303


def test_forms_may_lead_to_the_provider_and_nowhere_else(office: Office) -> None:
    policy = office.browser().get("/login").header("content-security-policy")
    assert f"form-action 'self' {office.provider.issuer};" in policy
