"""A line of a prompt that was removed is never shown as one that came, whatever it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.console.conftest import Bank

from pilotage.console.pages import release
from pilotage.control.instance import Instance
from pilotage.control.release_reports import diff_named
from pilotage.release.diff import ReleaseDiff

pytestmark = pytest.mark.store
LINES = {"-Note: added later": "minus", "+Note: removed later": "plus", "x: added": "plus", "x: removed": "minus"}


def test_the_first_character_of_a_line_tells_its_side(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(instance: Instance, before: str, after: str) -> ReleaseDiff:
        found = diff_named(instance, before, after)
        first, *rest = found.parts
        return replace(found, parts=(replace(first, is_same=False, detail=tuple(LINES)), *rest))

    monkeypatch.setattr(release, "diff_named", told)
    name = bank.release.removeprefix("sha256:")[:12]
    page = bank.browser("omar.haddad").get(f"/releases/{name}/changes?since={name}").page
    assert {one.text(): one.attributes["class"] for one in page.css(".diff span")} == LINES
