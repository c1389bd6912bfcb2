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
