"""A gate says which of its documents its reader has opened, by their bytes; files are handed out and never rendered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.browser import Answer
from tests.console.room import Room, make_room
from tests.control.gate_world import BUILD, FELIX, KEIKO, REVIEW, junit

from pilotage.control.open_evidence import EvidenceFile, open_evidence
from pilotage.core.digest import digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.reason import Refusal
from pilotage.evidence.limits import MAX_BYTES
from pilotage.store import evidence_files

pytestmark = pytest.mark.store
HOSTILE = b"<script>alert(1)</script>\n# Runbook\n"


@pytest.fixture
def room(own_engine: Engine, tmp_path: Path) -> Room:
    half = replace(REVIEW.pre, documents=("runbook", "user-guide"))
    found = make_room(own_engine, tmp_path, gates={"code-review": replace(REVIEW, pre=half)})
    found.world.attach(("tests.unit", junit()))
    return found


def listed(room: Room, who: str = FELIX) -> list[str]:
    page = room.browser(who).get(f"/releases/{room.short}/gates/code-review").page
    return [" ".join(one.text(separator=" ").split()) for one in page.css("#documents li")]


def opened(room: Room, evidence: str, who: str = FELIX) -> Answer:
    return room.browser(who).get(f"/evidence/{evidence}/file")


def test_a_document_is_read_once_its_bytes_were_opened_by_this_person(room: Room) -> None:
    (item,) = room.world.attach(("document.runbook", HOSTILE), by="maria.chen")
    first, missing = listed(room)
    assert first.startswith("runbook not opened by you ")
    assert missing == "user guide not there yet"
    browser = room.browser(FELIX)
    assert browser.send("HEAD", f"/evidence/{item.id}/file").body == b""
    assert listed(room)[0].startswith("runbook not opened by you "), "a look at the headers opens nothing"
    answer = opened(room, item.id)
    assert (answer.status, answer.body) == (200, HOSTILE)
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("content-disposition").startswith("attachment; filename*=UTF-8''document.runbook-")
    assert answer.header("content-length") == str(len(HOSTILE))
    assert answer.header("x-content-type-options") == "nosniff"
    assert listed(room)[0].startswith("runbook read opened by you ")
    assert listed(room, KEIKO)[0].startswith("runbook not opened by you "), "what one read another did not"
    said = listed(room)
    room.world.inner.clock.advance(timedelta(hours=1))
    assert opened(room, item.id).status == 200
    assert listed(room) == said, "the first time stands"
    room.world.attach(("document.runbook", HOSTILE + b"More.\n"), by="maria.chen")
    assert listed(room)[0].startswith("runbook not opened by you "), "other bytes are unread"


def test_a_file_is_sent_in_pieces_and_nobody_without_a_session_gets_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = room.world.attach(("document.runbook", HOSTILE), by="maria.chen")
    monkeypatch.setattr(evidence_files, "PIECE", 7)
    found = open_evidence(room.world.instance, actor=room.world.person(FELIX), evidence=item.id)
    assert isinstance(found, EvidenceFile)
    sent = list(found.pieces())
    assert (len(sent), b"".join(sent)) == (6, HOSTILE)
    assert opened(room, item.id).body == HOSTILE
    unsigned = type(room.browser(FELIX))(application=room.site.console)
    assert unsigned.get(f"/evidence/{item.id}/file").status == 303
    assert opened(room, "01UNKNOWN").status == 404
    page = room.browser(FELIX).get(f"/evidence/{item.id}")
    assert page.page.css_first(f'a[href="/evidence/{item.id}/file"]') is not None
    assert f"{len(HOSTILE)} bytes" in page.words


def test_refused_erased_and_altered_bytes_are_not_handed_out(room: Room) -> None:
    (refused,) = room.world.attach(("tests.unit", b"<nothing/>"))
    page = room.browser(FELIX).get(f"/evidence/{refused.id}")
    assert page.page.css_first(f'a[href="/evidence/{refused.id}/file"]') is None
    assert "The file was refused and is not handed out." in page.words
    answer = opened(room, refused.id)
    assert answer.status == 409
    assert "EVIDENCE_REJECTED" in answer.words
    (item,) = room.world.attach(("document.runbook", HOSTILE), by="maria.chen")
    values = {"sha256": item.sha256.removeprefix("sha256:")}
    change = "UPDATE blob SET body = CAST(:body AS bytea) WHERE sha256 = :sha256"
    with room.world.instance.engine.begin() as connection:
        connection.execute(text(change), values | {"body": HOSTILE.replace(b"1", b"2")})
    assert opened(room, item.id).status == 503
    with pytest.raises(IntegrityError):
        open_evidence(room.world.instance, actor=room.world.person(FELIX), evidence=item.id)
    with room.world.instance.engine.begin() as connection:
        connection.execute(text(change), values | {"body": b""})
    answer = opened(room, item.id)
    assert answer.status == 409
    assert "EVIDENCE_ERASED" in answer.words
    with room.world.instance.engine.begin() as connection:
        size = text("UPDATE evidence SET size = :size WHERE id = :id")
        connection.execute(size, {"size": MAX_BYTES + 1, "id": item.id})
    assert "EV_TOO_LARGE" in opened(room, item.id).words
    assert listed(room)[0].startswith("runbook not opened by you "), "nothing was opened"


def test_a_machine_that_takes_a_document_has_read_nothing(room: Room) -> None:
    (item,) = room.world.attach(("document.runbook", HOSTILE), by="maria.chen")
    found = open_evidence(room.world.instance, actor=BUILD, evidence=item.id)
    assert not isinstance(found, Refusal)
    assert digest_of(b"".join(found.pieces())) == found.sha256 == item.sha256
    with room.world.instance.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM document_opening")) == 0
