"""The ledger by space: an entry is of the space it names itself, and what was not looked through is said."""

from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser
from tests.console.conftest import Bank

from pilotage.control.ledger_checkpoint import sequence_now
from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store import ledger_browse
from pilotage.store.ledger_entries import append

pytestmark = pytest.mark.store
EAST = "production-us-east-space"


def told(bank: Bank, space: str, subject: str) -> None:
    now = bank.clock.now()
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.DEPLOYMENT_PROMOTED,
        at=now,
        actor="system:gates",
        subject=subject,
        space=space,
        data={"space": "sandbox"},
    )
    with bank.instance.engine.begin() as connection:
        append(connection, entry)
    assert isinstance(sequence_now(bank.instance), int)


def subjects(page: LexborHTMLParser) -> list[str]:
    return [one.text() for one in page.css("td[data-label=about] .mono")]


def test_the_ledger_shows_the_entries_of_one_space(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    told(bank, EAST, "first")
    told(bank, "sandbox", "second")
    told(bank, EAST, "third")
    browser = bank.browser("anita.rao")
    answer = browser.get(f"/ledger?space={EAST}")
    assert subjects(answer.page) == ["third", "first"]
    assert "second" in subjects(browser.get("/ledger?space=sandbox").page)
    assert "first" not in subjects(browser.get("/ledger?space=sandbox").page)
    assert answer.page.css_first(f'#space option[value="{EAST}"][selected]') is not None
    assert subjects(browser.get(f"/ledger?space={EAST}&kind=gate").page) == []
    assert "No entry matches." in browser.get(f"/ledger?space={EAST}&kind=gate").words
    lost = browser.get("/ledger?space=nowhere")
    assert "Ignored, because nothing is called that: space nowhere." in lost.words
    assert len(subjects(lost.page)) > 3

    monkeypatch.setattr(ledger_browse, "SPAN", 2)
    some = browser.get(f"/ledger?space={EAST}")
    assert subjects(some.page) == ["third"]
    older = some.page.css_first('a.button[href*="before="]')
    assert older is not None
    assert subjects(browser.get(older.attributes["href"] or "").page) == ["first"]
    none = browser.get("/ledger?space=qa-deployment-space").words
    assert "No entry matches above number " in none
    assert "Older entries" in none
