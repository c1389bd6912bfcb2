"""The Release page shows what is done about fairness findings in its line; owner and day change by a form."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.console.room import Room, make_room
from tests.control.test_mitigations import OPENER, OWNER, one_of

pytestmark = pytest.mark.store


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    return make_room(engine, tmp_path)


def test_owner_and_day_change_by_a_form_with_a_reason(room: Room) -> None:
    where = f"/releases/{room.short}"
    opener = room.browser(OPENER)
    assert "Mitigations" not in opener.get(where).words
    one = one_of(room.world)
    later = (one.due + timedelta(days=3)).isoformat()
    page = opener.get(where)
    assert one.action in page.words
    assert f"{where}/mitigations" not in room.browser(OWNER).get(where).text
    short = page.fields(f"{where}/mitigations") | {"due": later, "reason": "Leave."}
    answer = opener.post(f"{where}/mitigations", short)
    assert "at least 20 characters" in answer.words
    assert later in answer.text, "what was typed comes back"
    fields = opener.get(where).fields(f"{where}/mitigations")
    answer = opener.post(f"{where}/mitigations", fields | {"due": later, "reason": "Keiko is on leave until then."})
    assert (answer.status, answer.header("location")) == (303, f"{where}#mitigations")
    assert f"does it by {later}" in opener.get(where).words
