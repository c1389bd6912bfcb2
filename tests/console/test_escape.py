"""Whatever stands in a field that people or documents fill is shown as text: no tag, handler or address of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import text
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank
from tests.console.test_every_page import filled

from pilotage.console.prose import show_invisible

__all__ = ["filled"]
pytestmark = pytest.mark.store

PIECES = (
    '"><x-mark onerror=alert(1)>',
    "'><x-mark>",
    "</textarea><x-mark>",
    "</code></td><x-mark onclick='a()'>",
    "<script>x()</script>",
    "<!--",
    "-->",
    "]]>",
    "{{ 7*7 }}",
    "{% raw %}",
    "[a](javascript:x)",
    "![i](https://elsewhere.example/i)",
    "&lt;x-mark&gt;",
    "&#60;x-mark&#62;",
    "`<x-mark>`",
    "| <x-mark> | b |",
    "javascript:x()",
    "\u202e",
    "\u200b",
    "\U000e0041",
)
HOSTILE = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)),
    min_size=3,
    max_size=9,
).map(" ".join)

_WRITES = (
    "UPDATE interaction_text SET question = :text, answer = :text",
    "UPDATE board_question SET text = :text, answer = :text, answered_by = :text, answered_at = asked_at",
    "UPDATE release SET note = :text",
    "UPDATE revision SET title = :text",
    "UPDATE chunk SET section = :text",
    "UPDATE corpus_version SET decision_note = :text",
    "UPDATE evidence SET summary = :text, producer = :text",
    "UPDATE incident SET summary = :text",
    "UPDATE feedback SET comment = :text",
    """UPDATE rollout_verdict SET body = convert_to(CAST(jsonb_set(CAST(convert_from(body, 'UTF8') AS jsonb),
    '{reasons}', CAST(:reasons AS jsonb)) AS text), 'UTF8')""",
)
_INCIDENT = """
INSERT INTO incident (id, workflow, space, spaces, cause, severity, state, summary, detected_by, started_at,
  detected_at)
SELECT 'INC-9', workflow, 'sandbox', '{sandbox}', 'manual', 'SEV3', 'open', 'Slow.', 'watch', state_at, state_at
FROM rollout LIMIT 1
"""
_EVIDENCE = """
INSERT INTO evidence (id, sha256, kind, subject_kind, subject, producer, trust, produced_at, received_at, claims,
  state, summary)
SELECT 'ev-hostile', (SELECT sha256 FROM blob LIMIT 1), 'tests.unit', 'release', digest, 'x', 'claimed', sealed_at,
  sealed_at, '{}', 'accepted', 'x'
FROM release WHERE digest = :release
"""


@pytest.fixture(scope="module")
def written(bank: Bank, filled: dict[str, str]) -> dict[str, str]:
    """One row of everything that carries words."""
    with bank.instance.engine.begin() as connection:
        connection.execute(text(_INCIDENT))
        connection.execute(text("UPDATE rollout SET incident = 'INC-9'"))
        connection.execute(text(_EVIDENCE), {"release": bank.release})
    browser = bank.browser("omar.haddad")
    path = f"/interactions/{filled['interaction']}/feedback"
    fields = browser.get(f"/interactions/{filled['interaction']}").fields(path)
    assert browser.post(path, fields | {"rating": "up", "comment": "Yes."}).status == 303
    return filled


def write(bank: Bank, hostile: str) -> None:
    values = {"text": hostile, "reasons": json.dumps([{"code": "x", "text": hostile}])}
    with bank.instance.engine.begin() as connection:
        for statement in _WRITES:
            assert connection.execute(text(statement), values).rowcount > 0, statement


def answers(browser: Browser, names: dict[str, str], hostile: str) -> Iterator[tuple[str, Answer]]:
    digest, interaction = names["digest"], names["interaction"]
    for path in (
        f"/interactions/{interaction}",
        f"/cab/{names['session']}",
        f"/releases/{digest}",
        f"/releases/{digest}/gates/qa",
        f"/rollouts/{names['rollout']}",
        "/evidence/ev-hostile",
        "/corpora/policies/passages/0/0",
        "/corpora/policies/versions/1",
        "/ask/policy-assistant",
    ):
        yield path, browser.get(path)
    yield "the ledger's filter", browser.send("GET", "/ledger?" + _query(kind=hostile, subject=hostile))
    for path, page in (
        (f"/releases/{digest}/gates/qa", f"/releases/{digest}/gates/qa"),
        (f"/interactions/{interaction}/feedback", f"/interactions/{interaction}"),
        (f"/rollouts/{names['rollout']}", f"/rollouts/{names['rollout']}"),
        ("/cab", "/cab"),
    ):
        fields = browser.get(page).fields("/logout")
        names_of = ("comment", "correction", "note", "risk", "starts_at", "role", "decision", "command")
        typed = dict.fromkeys(names_of, hostile)
        yield f"{path}, refused", browser.post(path, fields | {"key": "a-key-of-this-form-only"} | typed)


def _query(**values: str) -> str:
    return urlencode(values)


def assert_only_text(where: str, answer: Answer) -> None:
    for node in answer.page.css("*"):
        assert node.tag not in {"x-mark", "iframe", "object", "embed", "img", "style"}, (where, node.html)
        if node.tag == "script":
            assert not node.text().strip(), where
        for name, value in node.attributes.items():
            assert not name.startswith("on"), (where, node.html)
            assert name not in {"style", "srcdoc"}, (where, node.html)
            if name in {"href", "src", "action", "formaction"}:
                assert re.match(r"/(?!/)|#", value or ""), (where, node.html)
    for odd in ("\u202e", "\u200b", "\U000e0041"):
        assert odd not in answer.text, where


def shown(answer: Answer) -> str:
    """Every word of the page, with what stands in its inputs."""
    page = LexborHTMLParser(answer.text)
    values = [node.attributes.get("value") or "" for node in page.css("main input")]
    main = page.css_first("main")
    assert main is not None
    return _plain(" ".join([main.text(), *values]))


def _plain(words: str) -> str:
    return "".join(words.split())


def _assert_escaped(bank: Bank, names: dict[str, str], hostile: str) -> None:
    write(bank, hostile)
    found = 0
    for where, answer in answers(bank.browser("anita.rao"), names, hostile):
        assert answer.status < 500, (where, answer.words)
        assert_only_text(where, answer)
        assert ">49<" not in answer.text.replace(" ", "")
        found += _plain(show_invisible(hostile)) in shown(answer)
    assert found >= 5, found


def test_every_piece_of_hostile_text_is_text_in_every_field(bank: Bank, written: dict[str, str]) -> None:
    _assert_escaped(bank, written, " ".join(piece for piece in PIECES if "`" not in piece and "|" not in piece))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile=HOSTILE)
def test_any_text_in_any_field_is_text(bank: Bank, written: dict[str, str], hostile: str) -> None:
    write(bank, hostile)
    found = 0
    for where, answer in answers(bank.browser("anita.rao"), written, hostile):
        assert answer.status < 500, (where, answer.words)
        assert_only_text(where, answer)
        found += _plain(show_invisible(hostile)) in shown(answer)
    assert found, hostile
