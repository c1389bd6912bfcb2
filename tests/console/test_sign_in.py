"""Who is signed in, and for how long; what a POST must prove."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.console.conftest import Bank

from pilotage.console.guards import form_token, is_form_token
from pilotage.console.pages.login import own_address
from pilotage.control.revoke_key import revoke_key

pytestmark = pytest.mark.store


def test_a_page_asks_for_a_sign_in_and_leads_back(bank: Bank) -> None:
    answer = bank.browser().get("/workflows")
    assert (answer.status, answer.header("location")) == (303, "/login?next=/workflows")


@pytest.mark.parametrize("key", ["", "plt_sk_x", "plt_sk_0123456789_" + "a" * 43 + "_abcdef"])
def test_a_wrong_key_is_refused_without_saying_what_is_wrong(bank: Bank, key: str) -> None:
    answer = bank.browser().post("/login", {"local_key": key})
    assert answer.status == 401
    assert "The key is not valid here." in answer.words
    assert not answer.header("set-cookie")


def test_the_cookie_is_out_of_reach_of_scripts_and_foreign_sites(bank: Bank) -> None:
    browser = bank.browser()
    cookie = browser.post("/login", {"local_key": bank.key("omar.haddad").text}).header("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie


def test_a_session_ends_after_half_an_hour_without_use(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    for _ in range(4):
        bank.clock.advance(timedelta(minutes=29))
        assert browser.get("/workflows").status == 200
    bank.clock.advance(timedelta(minutes=31))
    assert browser.get("/workflows").status == 303


def test_a_session_ends_after_ten_hours_however_busy(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    for _ in range(20):
        bank.clock.advance(timedelta(minutes=29))
        assert browser.get("/workflows").status == 200
    bank.clock.advance(timedelta(minutes=25))
    assert browser.get("/workflows").status == 303


def test_signing_out_ends_the_session_on_the_server(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    kept = dict(browser.cookies)
    browser.post("/logout", browser.get("/workflows").fields("/logout"))
    browser.cookies = kept
    assert browser.get("/workflows").status == 303


def test_revoking_the_key_ends_what_was_signed_in_with_it(bank: Bank) -> None:
    browser = bank.browser("raj.iyer")
    assert browser.get("/workflows").status == 200
    revoke_key(bank.instance, actor=bank.person("raj.iyer"), identifier=bank.key("raj.iyer").key.id)
    assert browser.get("/workflows").status == 303


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8081", "http://[", None])
def test_a_form_of_a_foreign_page_is_refused(bank: Bank, origin: str | None) -> None:
    browser = bank.browser("omar.haddad")
    fields = browser.get("/workflows").fields("/logout")
    browser.origin = origin
    answer = browser.post("/logout", fields)
    assert answer.status == 403
    assert "Nothing was recorded" in answer.words


def test_a_form_without_the_token_of_its_session_is_refused(bank: Bank) -> None:
    browser, other = bank.browser("omar.haddad"), bank.browser("wei.zhang")
    for token in ("", "x", other.get("/workflows").fields("/logout")["token"]):
        assert browser.post("/logout", {"token": token}).status == 403
    assert browser.get("/workflows").status == 200


def test_each_page_spells_the_token_anew_and_every_spelling_holds() -> None:
    spellings = {form_token("session") for _ in range(8)}
    assert len(spellings) == 8
    assert all(is_form_token("session", one) for one in spellings)
    assert not any(is_form_token("another", one) for one in spellings)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a b",
        "/\n",
        "//[",
        "//[x",
    ],
)
def test_after_signing_in_nobody_is_sent_to_a_foreign_address(address: str) -> None:
    assert own_address(address) == "/"


def test_an_address_that_cannot_be_read_leads_to_the_first_page(bank: Bank) -> None:
    signed_in = bank.browser("omar.haddad")
    answer = signed_in.get("/login?next=//[")
    assert (answer.status, answer.header("location")) == (303, "/")
    answer = signed_in.post("/theme", signed_in.get("/workflows").fields("/theme") | {"next": "//["})
    assert (answer.status, answer.header("location")) == (303, "/")
    assert bank.browser().get("/login?next=//[").status == 200


def test_a_form_that_met_an_ended_session_is_kept(bank: Bank) -> None:
    browser = bank.browser("grace.okafor")
    path = "/corpora/policies/versions/1"
    bank.clock.advance(timedelta(hours=1))
    answer = browser.post(path, {"decision": "reject", "note": "Needs <b>work</b>", "token": "x", "key": "y"})
    assert answer.status == 401
    fields = answer.fields("/login")
    assert fields["kept.note"] == "Needs <b>work</b>"
    shown = browser.post("/login", {**fields, "local_key": bank.key("grace.okafor").text})
    assert shown.status == 200
    again = shown.fields(path)
    assert (again["note"], again["decision"]) == ("Needs <b>work</b>", "reject")
    assert "Nothing was recorded yet" in shown.words
