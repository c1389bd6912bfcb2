"""A version's page shows beside its texts who gained and lost them since the version before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.console.conftest import Bank

from pilotage.control.load_workspace import load_workspace

pytestmark = pytest.mark.store


def test_a_version_shows_who_may_read_what_they_could_not(bank: Bank) -> None:
    path = "/corpora/policies/versions/1"
    browser = bank.browser("omar.haddad")
    assert "Readers" not in browser.get(path).words
    rules = bank.instance.root / "corpora" / "policies" / "documents" / "acl.yaml"
    before = rules.read_text()
    rules.write_text(before.replace("group:everyone", "group:lending"))
    assert rules.read_text() != before
    bank.instance = replace(bank.instance, workspace=load_workspace(bank.instance.root))
    assert bank.refresh("policies").state == "unchanged"
    words = browser.get(path).words
    assert "Readers" in words
    assert "now also group:lending; no longer group:everyone" in words
    assert words.index("Readers widened") < words.index("Added")


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
