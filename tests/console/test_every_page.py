"""What holds for every address: headers, nothing inline, roles, commands, statements, escaped text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from sqlalchemy import event
from tests.console.browser import Answer
from tests.console.conftest import ROOT, Bank

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.console.route import Entry
from pilotage.console.site import ENTRIES
from pilotage.control.manage_incident import open_by_person
from pilotage.core.reason import Refusal
from pilotage.identity.roles import DERIVED_ROLES, Action, Role, may
from pilotage.incident.records import Severity

pytestmark = pytest.mark.store

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types pilotage"
)
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'\u202e{{7*7}} javascript:alert(3)"
PAGES = [entry for entry in ENTRIES if entry.method == "GET" and not entry.path.startswith("/live/")]
FORMS = [entry for entry in ENTRIES if entry.method == "POST"]


def open_incident(bank: Bank) -> str:
    """Open an incident; return its id."""
    opened = open_by_person(
        bank.instance,
        actor=bank.person("dina.kowalski"),
        workflow="policy-assistant",
        space="sandbox",
        severity=Severity.SEV3,
        summary=f"Slow. {HOSTILE}",
    )
    assert not isinstance(opened, Refusal)
    return opened.id


def an_item(bank: Bank) -> str:
    """Return the id of an item of evidence."""
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id FROM evidence WHERE subject_kind = 'release' ORDER BY id LIMIT 1")
        return str(found.scalar_one())


@pytest.fixture(scope="module")
def filled(bank: Bank) -> dict[str, str]:
    """Values for the names in addresses: things that exist."""
    interaction = bank.answered("omar.haddad", f"Limit? {HOSTILE}", f"It is 5. [1] {HOSTILE}")
    with bank.instance.engine.connect() as connection:
        entry = connection.exec_driver_sql("SELECT id FROM ledger_entry ORDER BY id LIMIT 1").scalar_one()
    return {
        "digest": bank.release.removeprefix("sha256:")[:12],
        "workflow": "policy-assistant",
        "interaction": interaction,
        "name": "policies",
        "version": "1",
        "rev": "0",
        "chunk": "0",
        "entry": str(entry),
        "evidence": an_item(bank),
        "gate": "qa",
        "rollout": bank.roll_out(),
        "test": "error_rate.go",
        "incident": open_incident(bank),
        **bank.call_board(),
    }


def address(entry: Entry, filled: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: filled[match[1]], entry.path)


def viewer(entry: Entry) -> str:
    """Somebody who may open the page and sees it filled."""
    return "anita.rao" if entry.needs is Action.AUDIT or "passages" in entry.path else "omar.haddad"


LARGE = b"x" * 300_000


def test_every_answer_carries_the_strict_headers(bank: Bank, filled: dict[str, str]) -> None:
    signed, unsigned = bank.browser("anita.rao"), bank.browser()
    stylesheet = re.search(r'href="(/static/pilotage[^"]+)"', unsigned.get("/login").text)
    assert stylesheet is not None
    answers = [browser.get(address(entry, filled)) for entry in PAGES for browser in (signed, unsigned)]
    answers += [browser.post(address(entry, filled), {}) for entry in FORMS for browser in (signed, unsigned)]
    answers += [signed.get("/nothing"), signed.send("PUT", "/"), unsigned.get(stylesheet[1]), signed.get("/static/x")]
    own = {"origin": signed.origin or ""}
    answers += [signed.send("POST", "/ledger", headers={**own, "content-type": "text/plain"}, body=b"x")]
    answers += [signed.send("POST", "/ledger", body=b"x"), signed.send("POST", "/ledger", headers=own, body=LARGE)]
    answers += [signed.get("/?" + "&".join(["a=1"] * 300))]
    for answer in answers:
        assert answer.header("content-security-policy") == POLICY
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert answer.header("cross-origin-opener-policy") == "same-origin"
        assert "camera=()" in answer.header("permissions-policy")
        assert answer.header("cache-control") in {"no-store", "public, max-age=31536000, immutable"}
    assert {200, 303, 400, 403, 404, 405, 413, 415} <= {answer.status for answer in answers}


def test_pages_hold_nothing_inline_and_nothing_foreign(bank: Bank, filled: dict[str, str]) -> None:
    for entry in PAGES:
        answer = bank.browser(viewer(entry)).get(address(entry, filled))
        if answer.header("content-type").startswith("text/html"):
            assert_plain(answer)


def test_forms_that_are_shown_again_and_errors_hold_nothing_inline_either(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("anita.rao")
    token = browser.get("/help").fields("/logout")["token"]
    answers = [
        browser.post(address(entry, filled), {"token": token, "key": f"nothing-inline-{place}", "note": HOSTILE})
        for place, entry in enumerate(FORMS)
        if entry.path not in {"/login", "/logout", "/theme"} and entry.takes_files is None
    ]
    unsigned = bank.browser()
    answers += [unsigned.get("/login"), unsigned.post("/login", {"local_key": HOSTILE}), browser.get("/nothing")]
    answers += [browser.send("PUT", "/"), bank.browser("omar.haddad").get("/ledger"), browser.get("/releases/00000000")]
    seen = {answer.status for answer in answers}
    assert {403, 404, 405, 422} <= seen, seen
    for answer in answers:
        if answer.header("content-type").startswith("text/html"):
            assert_plain(answer)


def assert_plain(answer: Answer) -> None:
    for node in answer.page.css("*"):
        assert node.tag not in {"style", "iframe", "object", "embed", "base"}, node.html
        for name, value in node.attributes.items():
            assert name != "style", node.html
            assert not re.match(r"\s*(?:js|javascript|data|vbscript):", value or "") or name == "value", node.html
            assert "//" not in (value or "") or name in {"value", "datetime"}, node.html
            assert not name.startswith(("on", "hx-on")), node.html
            if name in {"src", "href", "action"}:
                assert (value or "").startswith(("/", "#")), node.html
                assert not (value or "").startswith("//"), node.html
    for script in answer.page.css("script"):
        assert script.attributes.get("src")
        assert not script.text().strip()


def test_hostile_text_is_shown_and_never_runs(bank: Bank, filled: dict[str, str]) -> None:
    answer = bank.browser("omar.haddad").get(f"/interactions/{filled['interaction']}")
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "\u202e" not in answer.text
    assert "[U+202E]" in answer.words
    assert "{{7*7}}" in answer.words


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.path)
def test_a_page_opens(bank: Bank, filled: dict[str, str], entry: Entry) -> None:
    answer = bank.browser("anita.rao" if entry.needs is Action.AUDIT else "omar.haddad").get(address(entry, filled))
    expected = {"/ask": 303, "/login": 303, "/login/return": 303, "/releases/{digest}/changes": 404}
    expected["/compare/numbers"] = 303  # it needs two releases
    assert answer.status == expected.get(entry.path, 200), answer.words
    if b'class="skip"' in answer.body:
        assert f"{entry.name} - Pilotage</title>" in answer.text


AUDITORS_ONLY = {"/ledger", "/ledger/{entry}"}
"""Every other page opens for every signed-in person; what it shows, and who may act, is decided by the commands."""


@pytest.mark.parametrize("role", [*(role for role in Role if role not in DERIVED_ROLES), None], ids=str)
def test_addresses_open_for_the_roles_of_the_table(role: Role | None) -> None:
    roles = () if role is None else (role,)
    for entry in ENTRIES:
        if entry.needs is not None:
            is_open = may(roles, entry.needs) is None
            assert is_open is (entry.path not in AUDITORS_ONLY or role is Role.AUDITOR), entry.path


@pytest.mark.parametrize("name", ["anita.rao", "tess.murray"])
def test_a_closed_address_names_the_missing_role_and_an_open_form_needs_its_token(
    bank: Bank, filled: dict[str, str], name: str
) -> None:
    browser = bank.browser(name)
    for entry in ENTRIES:
        if entry.needs is None:
            continue
        if entry.path in AUDITORS_ONLY and name != "anita.rao":
            answer = browser.send(entry.method, address(entry, filled), headers={"origin": browser.origin or ""})
            assert answer.status == 403
            assert "auditor" in answer.words
        elif entry.method == "POST":
            answer = browser.post(address(entry, filled), {})
            assert answer.status == 403
            is_refused_unread = entry.takes_files is not None and entry.takes_files(bank.person(name)) is not None
            assert ("NOT_PERMITTED" if is_refused_unread else "FORM_TOKEN") in answer.words


def test_every_form_carries_out_a_command_that_the_command_line_has_too() -> None:
    known = set(_commands(typer.main.get_command(make_app(Joined()))))
    for entry in FORMS:
        assert entry.command, entry.path
        assert entry.command == "-" or entry.command in known, (entry.path, entry.command)
        assert entry.needs is None or may((Role.AUDITOR,), entry.needs) is None or entry.needs is not Action.AUDIT


def _commands(command: Any, *above: str) -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield " ".join((*above, name))
        yield from _commands(inner, *above, name)


@contextmanager
def counted(bank: Bank) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(bank.instance.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(bank.instance.engine, "before_cursor_execute", note)


def test_a_form_sent_twice_is_recorded_once(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("omar.haddad")
    path = f"/interactions/{filled['interaction']}/feedback"
    fields = browser.get(f"/interactions/{filled['interaction']}").fields(path) | {"rating": "down", "comment": "No."}
    answers = [browser.post(path, fields) for _ in range(3)]
    assert [answer.status for answer in answers] == [303, 303, 303]
    assert len({answer.header("location") for answer in answers}) == 1
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM feedback WHERE comment = 'No.'").scalar_one()
    assert found == 1


def test_a_refused_form_may_be_sent_again_and_keeps_what_was_typed(bank: Bank) -> None:
    browser = bank.browser("grace.okafor")
    path = "/corpora/policies-uat/versions/1"
    fields = {"token": browser.get(path).fields("/logout")["token"], "key": "again-and-again-1"}
    for _ in range(2):
        answer = browser.post(path, fields | {"decision": "reject", "note": ""})
        assert answer.status == 422
        assert "A rejection needs its reason." in answer.words
        assert "Nothing was recorded." in answer.words


def test_no_cache_and_no_robot_learns_what_a_page_says(bank: Bank) -> None:
    answer = bank.browser("omar.haddad").get("/workflows")
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == "text/html; charset=utf-8"


def test_the_guide_names_every_page() -> None:
    guide = (ROOT / "docs" / "guide" / "console.md").read_text()
    for entry in ENTRIES:
        assert f"| {entry.name} |" in guide, entry.name


def test_no_page_promises_what_is_not_there(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    lost = browser.get("/nothing")
    sought = lost.page.css_first("main form[action='/search'] input[name=q]")
    assert (lost.status, sought is not None and sought.attributes["value"]) == (404, "nothing")
    inbox = browser.get("/").words
    assert "Nothing waits for you." in inbox
    assert "incidents you are called for" in inbox
