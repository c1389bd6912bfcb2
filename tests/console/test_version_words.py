"""Whoever accepts a version reads what changed in it, word by word, where they may read the document."""

from __future__ import annotations

import pytest
from tests.console.conftest import Bank

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


def test_the_first_version_is_not_printed_whole(bank: Bank) -> None:
    page = bank.browser("katya.orlova").get("/corpora/policies/versions/1")
    assert page.page.css("ins, del") == []
