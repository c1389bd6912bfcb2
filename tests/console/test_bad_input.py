"""Bad input: what names nothing is 404, what is too long is 422 with the text kept, and no input is our fault."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy.exc import OperationalError
from tests.api.client import Client
from tests.api.test_api import api
from tests.console.asking import FakeAsking
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank
from tests.console.test_every_page import PAGES, POLICY, address, filled

from pilotage.api.app import Api
from pilotage.console import frame
from pilotage.console.app import Console
from pilotage.console.pages.guide import TOPICS
from pilotage.console.site import ENTRIES
from pilotage.serving.run import Finished
from pilotage.store.engine import make_engine

__all__ = ["api", "filled"]
pytestmark = pytest.mark.store

NOTHING = ("none", "9" * 12, "\x00", "a\x1b[2J", "x" * 600, "☃", "..", "' OR 1=1 --", "-1", "%s", "\u202e", "sha256:00")
LONG = "Far too long. " * 400


def entries(bank: Bank) -> int:
    with bank.instance.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM ledger_entry").scalar_one())


def test_an_address_that_names_nothing_is_not_there(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("anita.rao")
    for entry in PAGES:
        for name in re.findall(r"\{(\w+)\}", entry.path):
            for value in NOTHING:
                path = address(entry, {**filled, name: value})
                answer = browser.get(path)
                assert answer.status == 404, (path, answer.status, answer.words)
                assert "our fault" not in answer.words


def test_a_value_of_a_filter_that_means_nothing_is_left_out_and_a_wrong_page_is_the_first(
    bank: Bank, filled: dict[str, str]
) -> None:
    browser = bank.browser("anita.rao")
    ledger = browser.get("/ledger?kind=none&before=none&subject=%00")
    assert "kind none" in ledger.words
    first = [node.text() for node in browser.get("/ledger").page.css("tbody tr")]
    assert [node.text() for node in ledger.page.css("tbody tr")] == first
    for page in ("none", "%00", "9" * 40, "-1", "%27"):
        for path in (f"/cab?page={page}", f"/ledger?before={page}", f"/cab/{filled['session']}?item={page}"):
            assert browser.get(path).status == 200, path
        assert browser.get(f"/cab?page={page}").words == browser.get("/cab").words
    for path in (f"/releases/{filled['digest']}/changes?since=%00", f"/releases/{filled['digest']}/gates/qa?space=%00"):
        assert browser.get(path).status in {200, 404}, path


def test_no_character_of_a_form_is_our_fault(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("arthur.bell")
    before = entries(bank)
    fields = browser.get("/cab").fields("/cab")
    answer = browser.post("/cab", fields | {"release.\x00none": "yes"})
    assert answer.status == 404, answer.words
    gate = f"/releases/{filled['digest']}/gates/qa"
    for name, value in (("role", "\x00none"), ("decision", "no\x1b"), ("space", "none\x00"), ("bind.x\x00", "y")):
        answer = browser.post(
            gate, browser.get(gate).fields(gate) | {"role": "qa-lead", "decision": "reject"} | {name: value}
        )
        assert answer.status in {403, 404, 409, 422}, (name, answer.status)
        assert "Nothing was recorded" in answer.words
    assert entries(bank) == before


def test_the_api_says_that_a_value_cannot_be_read_and_not_that_the_database_is_down(bank: Bank, api: Api) -> None:
    caller = Client(api=api, key=bank.key("anita.rao").text)
    for path in ("/api/v1/releases/\x00", "/api/v1/rollouts/\x00", "/api/v1/interactions/\x00"):
        status, body = caller.get(path)
        assert status in {404, 422}, (path, status, body)


@pytest.mark.parametrize(
    ("where", "page", "field"),
    [
        ("/releases/{digest}/gates/qa", "/releases/{digest}/gates/qa", "comment"),
        ("/cab/{session}/votes", "/cab/{session}", "comment"),
        ("/cab/{session}/questions", "/cab/{session}", "question"),
        ("/cab/{session}/minutes", "/cab/{session}", "note"),
        ("/corpora/policies/versions/2", "/corpora/policies/versions/2", "note"),
        ("/rollouts/{rollout}", "/rollouts/{rollout}", "note"),
        ("/interactions/{interaction}/feedback", "/interactions/{interaction}", "comment"),
        ("/interactions/{interaction}/feedback", "/interactions/{interaction}", "correction"),
        ("/ask/policy-assistant", "/ask/policy-assistant", "question"),
    ],
)
def test_a_text_that_is_too_long_is_not_taken_and_stays_in_the_form(
    bank: Bank, filled: dict[str, str], proposed: int, where: str, page: str, field: str
) -> None:
    assert proposed == 2
    browser = bank.browser("omar.haddad" if "interaction" in where or "ask" in where else "arthur.bell")
    text = LONG * 40 if "ask" in where else LONG
    path = where.format(**filled)
    role = {"role": "risk-management", "decision": "reject", "confirmed": filled["digest"][:8]}
    typed = {"command": "abort", "rating": "down", "release": filled["digest"], "item": "1", **role, field: text}
    token = browser.get(page.format(**filled)).fields("/logout")["token"]
    before = entries(bank)
    answer = browser.post(path, {"token": token, "key": f"a-long-text-of-the-{field}", **typed})
    assert answer.status == 422, answer.words[:400]
    assert "_TOO_LONG" in answer.words
    assert "Nothing was recorded" in answer.words
    box = answer.page.css_first(f'textarea[name="{field}"]')
    assert box is not None
    assert box.text().strip() == text.strip()
    assert entries(bank) == before


@pytest.fixture(scope="module")
def proposed(bank: Bank) -> int:
    """A version of a corpus that nobody has decided about."""
    source = min((bank.instance.root / "corpora" / "policies" / "documents").rglob("*.md"))
    source.write_text(source.read_text() + "\n\nOne sentence more.\n")
    number = bank.refresh("policies").version
    assert number is not None
    return number


class Broken(FakeAsking):
    """A pipeline that fails in a way nobody foresaw."""

    async def ask(self, *_: object, **__: object) -> Finished:
        raise ZeroDivisionError


def test_errors_streams_and_files_carry_the_strict_headers_over_tls_too(
    bank: Bank, filled: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = bank.console._services
    nowhere = replace(services.reading, engine=make_engine("postgresql+psycopg://127.0.0.1:1/none"))
    browser = bank.browser("omar.haddad")
    for name in [*browser.cookies]:
        browser.cookies[f"__Host-{name}"] = browser.cookies[name]
    browser.scheme = "https"
    answers = [browser.get("/workflows"), browser.get("/none"), browser.get("/\x00"), browser.send("HEAD", "/\x00")]
    fields = browser.get("/ask/policy-assistant").fields("/ask/policy-assistant") | {"question": "What?"}
    broken = Browser(
        application=Console(replace(services, asking=Broken(bank.clock))), cookies=browser.cookies, scheme="https"
    )
    down = Browser(application=Console(replace(services, reading=nowhere)), cookies=browser.cookies, scheme="https")
    answers += [broken.post("/ask/policy-assistant", fields), down.get("/workflows")]
    monkeypatch.setattr(bank.console, "_renderer", _Broken(bank.console._renderer))
    answers.append(browser.get("/workflows"))
    monkeypatch.undo()
    asset = re.search(r'href="(/static/pilotage[^"]+)"', answers[0].text)
    assert asset is not None
    answers += [browser.get(asset[1]), browser.send("HEAD", asset[1]), browser.send("PUT", "/")]
    browser.stream(f"/live/rollouts/{filled['rollout']}", most=1)
    answers.append(Answer(status=200, headers=browser.opened, body=b""))
    assert [one.status for one in answers] == [200, 404, 404, 404, 500, 503, 500, 200, 200, 405, 200]
    assert [one.body for one in answers if one in (answers[3], answers[8])] == [b"", b""]
    for answer in answers:
        assert answer.header("content-security-policy") == POLICY
        assert answer.header("strict-transport-security") == "max-age=31536000; includeSubDomains"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert "camera=()" in answer.header("permissions-policy")
        assert answer.header("cache-control")
    plain = bank.browser("omar.haddad").get("/workflows")
    assert not plain.header("strict-transport-security")


class _Broken:
    """A renderer whose templates of pages fail; the page that says so does not."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def render(self, template: str, values: object) -> str:
        if template != "problem.html":
            raise ZeroDivisionError
        return str(self._inner.render(template, values))  # type: ignore[attr-defined]


def test_a_frame_that_cannot_be_read_is_unknown_and_says_nothing_about_the_ledger(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = bank.browser("omar.haddad")

    def silent(*_: object) -> int:
        raise OperationalError("SELECT 1", {}, TimeoutError())

    monkeypatch.setattr(frame, "signed_size", silent)
    page = browser.get("/workflows").page
    foot, waiting = page.css_first("footer"), page.css_first("nav .count")
    assert foot is not None
    assert waiting is not None
    assert "Ledger: UNKNOWN" in " ".join(foot.text().split())
    assert "not signed" not in foot.text()
    assert waiting.text().startswith("?")
    assert waiting.attributes["class"] == "count"


def test_every_page_leads_to_its_own_line_of_the_help(bank: Bank, filled: dict[str, str]) -> None:
    browser = bank.browser("anita.rao")
    help_page = browser.get("/help").page
    assert [one.name for one in TOPICS] == list(dict.fromkeys(one.name for one in TOPICS))
    assert {one.name for one in TOPICS} == {entry.name for entry in ENTRIES}
    for entry in PAGES:
        path = address(entry, filled)
        answer = browser.get(path)
        if not answer.header("content-type").startswith("text/html"):
            continue
        link = answer.page.css_first('footer a[href^="/help#"]')
        assert link is not None, path
        assert link.attributes["href"] == f"/help#{entry.name.lower()}"
        assert help_page.css_first(f'section[id="{entry.name.lower()}"]') is not None
