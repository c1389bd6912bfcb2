"""The release page tells which settings change where the release may enter next."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.console.room import make_room
from tests.control.gate_world import PROMOTER

pytestmark = pytest.mark.store


def test_the_release_page_lists_what_changes_into_qa(engine: Engine, tmp_path: Path) -> None:
    room = make_room(engine, tmp_path)
    page = room.browser(PROMOTER).get(f"/releases/{room.short}")
    assert "Settings that change from dev-deployment-space into qa-deployment-space:" in page.words
    assert page.page.css('div[aria-label="Settings into qa-deployment-space"] tbody tr')
