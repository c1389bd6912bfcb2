"""Gate and inbox show what people want changed; it is asked and closed by forms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.console.room import Room, make_room
from tests.control.gate_world import FELIX, KEIKO, REVIEW

from pilotage.workspace.regulation import Regulation, RegulationItem

pytestmark = pytest.mark.store
AUTHOR, TEXT = "maria.chen", "Name the limit of a transfer."


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    return make_room(engine, tmp_path)


def test_a_change_is_asked_on_the_gate_page_seen_in_the_inbox_and_closed_by_whoever_asked(room: Room) -> None:
    where = f"/releases/{room.short}/gates/code-review"
    asker, author = room.browser(FELIX), room.browser(AUTHOR)
    page = asker.get(where)
    assert "Nobody has asked for a change." in page.words
    fields = page.fields(f"{where}/change-requests") | {"role": "senior-engineer", "change": TEXT}
    answer = asker.post(f"{where}/change-requests", fields)
    assert (answer.status, answer.header("location")) == (303, f"{where}#changes")
    room.site.clock.advance(timedelta(seconds=20))
    assert f"for gate code-review: {TEXT}" in author.get("/").words
    assert f"{where}/closures" not in room.browser(KEIKO).get(where).text
    assert f"{where}/change-requests" not in author.get(where).text
    fields = asker.get(where).fields(f"{where}/closures") | {"reason": "Settled."}
    assert asker.post(f"{where}/closures", fields).status == 303
    assert "Closed" in asker.get(where).words
    room.site.clock.advance(timedelta(seconds=20))
    assert TEXT not in author.get("/").words


def test_a_request_that_says_nothing_comes_back_with_what_was_typed(room: Room) -> None:
    where = f"/releases/{room.short}/gates/code-review"
    asker = room.browser(FELIX)
    fields = asker.get(where).fields(f"{where}/change-requests") | {"role": "senior-engineer", "change": "No."}
    answer = asker.post(f"{where}/change-requests", fields)
    assert answer.status in {400, 422}
    assert "at least 10 characters" in answer.words
    assert "No.</textarea>" in answer.text


def test_a_checklist_of_a_regulation_is_shown_item_by_item_and_answered_in_the_form(
    engine: Engine, tmp_path: Path
) -> None:
    item = RegulationItem(id="records", text="Kept for five years", cite="31 CFR 1010.430", evidence=("tests.unit",))
    bsa = Regulation(name="bsa", title="Secrecy", source="https://act.example", as_of="2026-10-01", items=(item,))
    (signoff,) = REVIEW.pre.signoffs
    half = replace(REVIEW.pre, signoffs=(replace(signoff, regulations=(bsa,)),))
    room = make_room(engine, tmp_path, gates={"code-review": replace(REVIEW, pre=half)})
    where = f"/releases/{room.short}/gates/code-review"
    browser = room.browser(FELIX)
    page = browser.get(where)
    assert "Source: https://act.example, read 2026-10-01. 1 item open." in page.words
    assert "Rests on tests.unit" in page.words
    assert "missing: tests.unit" not in page.words
    said = {"role": "senior-engineer", "decision": "approve", "check.read the diff": "yes"}
    bare = browser.post(where, page.fields(where) | said)
    assert "'bsa.records' is not answered" in bare.words
    answer = browser.post(where, browser.get(where).fields(where) | said | {"check.bsa.records": "yes"})
    assert answer.status == 303, answer.words
    assert "1 item open" not in browser.get(where).words


def test_an_item_of_a_regulation_that_does_not_apply_is_answered_with_its_reason(
    engine: Engine, tmp_path: Path
) -> None:
    item = RegulationItem(id="records", text="Kept for five years", cite="31 CFR 1010.430", evidence=("scan.sast",))
    bsa = Regulation(name="bsa", title="Secrecy", source="https://act.example", as_of="2026-10-01", items=(item,))
    (signoff,) = REVIEW.pre.signoffs
    half = replace(REVIEW.pre, signoffs=(replace(signoff, regulations=(bsa,)),))
    room = make_room(engine, tmp_path, gates={"code-review": replace(REVIEW, pre=half)})
    where, browser = f"/releases/{room.short}/gates/code-review", room.browser(FELIX)
    said = {"role": "senior-engineer", "decision": "approve", "check.read the diff": "yes"}
    why = {"na.bsa.records": "No record is made."}
    both = browser.post(where, browser.get(where).fields(where) | said | why | {"check.bsa.records": "yes"})
    assert (both.status, "CHECKLIST_BOTH" in both.words) == (422, True)
    assert 'value="No record is made."' in both.text
    assert "na.read the diff" not in both.text
    answer = browser.post(where, browser.get(where).fields(where) | said | why)
    assert answer.status == 303, answer.words
    assert "n/a: No record is made." in browser.get(where).words
