"""Whoever accepts a version that changes much of a corpus says how much, typed."""

from __future__ import annotations

import pytest
from tests.console.conftest import Bank

pytestmark = pytest.mark.store


def test_so_large_a_change_is_accepted_only_with_the_number_typed(bank: Bank) -> None:
    folder = bank.instance.root / "corpora" / "policies" / "documents" / "new"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.md").write_text(f"# Rule {number}\n\nRule {number} of the new library names its limit.")
    version = bank.refresh("policies").version
    path = f"/corpora/policies/versions/{version}"
    browser = bank.browser("grace.okafor")
    fields = browser.get(path).fields(path) | {"decision": "accept"}
    assert browser.get(path).page.css_first("#confirmed") is not None
    for typed in ("", "39"):
        answer = browser.post(path, fields | {"confirmed": typed})
        assert (answer.status, "Type 40, the number of documents" in answer.words) == (422, True)
        assert "Proposed" in browser.get(path).words
    assert bank.browser("omar.haddad").get(path).page.css_first("#confirmed") is None
    answer = browser.post(path, fields | {"confirmed": "40"})
    assert answer.status == 303, answer.words
    assert "Accepted" in browser.get(path).words
