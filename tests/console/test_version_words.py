"""Whoever accepts a version reads what changed in it, word by word, where they may read the document."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.console.conftest import Bank, make_bank

from pilotage.console.pages import corpus
from pilotage.corpus.diff import SectionDiff

pytestmark = pytest.mark.store
SECRET = "executive/board-compensation.md"


def test_a_version_shows_the_words_that_changed_and_those_of_what_came(bank: Bank) -> None:
    folder = bank.instance.root / "corpora" / "policies" / "documents"
    for name, before, after in (
        ("payments/wire-transfers.md", "$25,000", "$50,000"),
        (SECRET, "$84,000", "$94,000"),
    ):
        file = folder / name
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))
    (folder / "payments" / "new-rule.md").write_text("# New rule\n\nA payee is confirmed by a second person.")
    path = f"/corpora/policies/versions/{bank.refresh('policies').version}"
    page = bank.browser("katya.orlova").get(path)
    changed, secret, came = (
        next(one for one in page.page.css("main li") if name in one.text())
        for name in ("payments/wire-transfers.md", SECRET, "payments/new-rule.md")
    )
    assert [one.text() for one in changed.css("del")] == ["$25,000"]
    assert [one.text() for one in changed.css("ins")] == ["$50,000"]
    assert secret.css("ins, del") == [], "its text is not for everybody"
    assert "94,000" not in page.text
    (new,) = came.css("ins")
    assert "by a second person." in new.text()
    assert "Words are shown of documents that you may read" in page.words
    inside = bank.browser("helena.stroud").get(path)
    assert any("$94,000" in one.text() for one in inside.page.css("ins"))


def test_twenty_large_documents_make_no_large_page(own_engine: Engine, tmp_path: Path) -> None:
    bank = make_bank(own_engine, tmp_path)
    folder = bank.instance.root / "corpora" / "policies" / "documents" / "payments"
    source = (folder / "wire-transfers.md").read_text()
    rules = "\n\n".join(
        f"Rule {n} of this paper says that a branch keeps record {n * 7} for {n} years." for n in range(1100)
    )
    for number in range(20):
        words = source.replace("Wire", f"Kind {number} wire") + f"\n\n## Part {number}\n\n{rules}"
        assert len(words) > 80_000
        (folder / f"large-{number}.md").write_text(words)
    page = bank.browser("omar.haddad").get(f"/corpora/policies/versions/{bank.refresh('policies').version}")
    assert page.status == 200
    assert len(page.body) < 250_000
    assert page.words.count("Cut here. All of it: pilotage corpus diff policies 1 2 --words --json") == 20
    assert page.words.count("Rule 5 of this paper says") == 20


@pytest.mark.parametrize("room", [100, 700])
def test_what_fits_is_shown_and_what_does_not_is_cut_at_a_word(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MOST_BYTES", room)
    whole = (SectionDiff(section="A", words=(("=", "same " * 60), ("+", "one two three four five"))),)
    found, cut = corpus.shown_words({"d": whole})
    assert (found["d"] == whole, cut) == (room == 700, frozenset() if room == 700 else {"d"})


def test_the_first_version_is_not_printed_whole(bank: Bank) -> None:
    page = bank.browser("katya.orlova").get("/corpora/policies/versions/1")
    assert page.page.css("ins, del") == []
