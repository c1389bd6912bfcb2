"""An item of evidence has a page: its numbers, its findings, who stands behind it, and why it does not count."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.conftest import Bank
from tests.console.room import make_room
from tests.console.test_every_page import an_item
from tests.control.gate_world import FELIX, junit

from pilotage.control.evidence_reports import list_evidence

pytestmark = pytest.mark.store
_READ = text("UPDATE evidence SET claims = CAST(:claims AS jsonb), reading = CAST(:reading AS jsonb) WHERE id = :id")
_REFUSED = text("UPDATE evidence SET state = 'rejected', reason = CAST(:reason AS jsonb) WHERE id = :id")
FINDING = {
    "rule": "CVE-2026-1",
    "severity": "high",
    "title": "A parser reads too far",
    "component": "libparse",
    "version": "1.2",
    "location": "",
    "suppressed": True,
}


def test_an_item_shows_its_numbers_and_findings_and_pages_lead_to_it(bank: Bank) -> None:
    item = an_item(bank)
    reading = {"findings": [FINDING], "refs": {"head_sha": "abc"}, "names": {"failed_tests": ["test_a"]}}
    with bank.instance.engine.begin() as connection:
        values = {
            "id": item,
            "claims": json.dumps({"line_rate": 0.8999996, "requests": 12345678, "tests": 1204777.0}),
            "reading": json.dumps(reading),
        }
        connection.execute(_READ, values)
    browser = bank.browser("omar.haddad")
    page = browser.get(f"/evidence/{item}")
    for words in (
        "line_rate 0.8999996",
        "requests 12345678",
        "tests 1204777",
        "CVE-2026-1",
        "high suppressed by the tool",
        "libparse 1.2",
        "abc",
        "test_a",
    ):
        assert words in page.words, words
    release = browser.get(f"/releases/{bank.release[7:19]}")
    assert release.page.css_first(f'#evidence a[href="/evidence/{item}"]') is not None
    gates = [browser.get(f"/releases/{bank.release[7:19]}/gates/{gate}") for gate in bank.instance.workspace.gates]
    assert any(gate.page.css('a[href^="/evidence/"]') for gate in gates)


def test_what_is_superseded_or_too_old_says_that_it_does_not_count(own_engine: Engine, tmp_path: Path) -> None:
    room = make_room(own_engine, tmp_path)
    world = room.world
    world.attach(("tests.unit", junit()))
    world.inner.clock.advance(timedelta(hours=1))
    world.attach(("tests.unit", junit() + b"\n"))

    def said() -> list[str]:
        items = list_evidence(world.instance, world.release)
        listed = [one for one in items if one["kind"] == "tests.unit"]
        pages = [room.browser(FELIX).get(f"/evidence/{one['id']}") for one in listed]
        found = [page.page.css_first(".says") for page in pages]
        assert all("Counts until" in page.words for page in pages)
        return ["" if one is None else one.text() for one in found]

    newest, older = said()
    assert "not count" not in newest
    assert older.startswith("It does not count: superseded. ")
    world.inner.clock.advance(timedelta(days=15))
    assert said()[0].startswith("It does not count any more: expired. ")


def test_an_item_that_does_not_count_says_so_first_and_one_that_is_not_there_is_404(bank: Bank) -> None:
    item = an_item(bank)
    browser = bank.browser("omar.haddad")
    headline = browser.get(f"/evidence/{item}").page.css_first(".says")
    assert headline is not None
    assert "does not count" not in headline.text()
    with bank.instance.engine.begin() as connection:
        reason = json.dumps({"code": "EV_BROKEN", "text": "The file holds nothing."})
        connection.execute(_REFUSED, {"id": item, "reason": reason})
    page = browser.get(f"/evidence/{item}")
    headline = page.page.css_first(".says")
    assert headline is not None
    assert headline.text() == "It does not count: rejected."
    assert "The file holds nothing." in page.words
    assert browser.get("/evidence/none").status == 404
