"""Go-live waits in the inbox for each production space, and again after its first traffic, until it is confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text
from tests.console.room import Room, make_room

from pilotage.identity.roles import Role
from pilotage.workspace.gate import Accept, Condition, Criterion, Gate, GateHalf, Operator, Signoff, Trust

pytestmark = pytest.mark.store

LEAD, NEW_YORK = "elena.marchetti", ZoneInfo("America/New_York")
NO_FREEZE = Criterion(
    id="no-freeze",
    of=("fact.freeze",),
    all=(Condition(claim="active", operator=Operator.EQ, limit=0),),
    accept=Accept.NEVER,
    trust=Trust.ATTESTED,
)
HALF = GateHalf(criteria=(NO_FREEZE,), signoffs=(Signoff(role=Role.OPERATIONS_LEAD),))
GO_LIVE = Gate(
    name="go-live",
    guards="production",
    trust=Trust.ATTESTED,
    pre=HALF,
    post=replace(HALF, confirm_within_s=4 * 3600),
)


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    found = make_room(engine, tmp_path, gates={"go-live": GO_LIVE})
    found.site.release = found.world.release
    return found


def inbox(room: Room) -> tuple[str, list[str]]:
    room.site.clock.advance(timedelta(seconds=20))
    page = room.browser(LEAD).get("/")
    links = [node.attributes["href"] or "" for node in page.page.css("li.card a")]
    return page.words, links


def spaces_of(room: Room) -> list[str]:
    rollout = next(iter(room.world.workspace.workflows.values())).rollout
    assert rollout is not None
    return [wave.space for wave in rollout.plans[rollout.default_plan].waves]


def test_go_live_waits_for_each_space_and_then_to_be_confirmed_in_time(room: Room) -> None:
    words, links = inbox(room)
    path = f"/releases/{room.short}/gates/go-live"
    spaces = spaces_of(room)
    assert len(spaces) > 1
    assert links == [f"{path}?space={space}" for space in spaces]
    assert all(f"at gate go-live for {space}" in words for space in spaces)
    assert "Confirm go-live" not in words

    rollout = room.site.roll_out()
    began = start_traffic(room, rollout)
    words, links = inbox(room)
    assert f"Confirm go-live of release {room.short} in {spaces[0]}" in words
    assert links[0] == f"{path}?space={spaces[0]}&half=post", "what is due comes first"
    assert f"Confirm go-live of release {room.short} in {spaces[1]}" not in words
    assert f", due {(began + timedelta(hours=4)).astimezone(NEW_YORK):%-d %b %Y, %H:%M}" in words

    assert "after the first traffic" in room.browser(LEAD).get(links[0]).words
    with room.world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE rollout_step SET ended_at = :at"), {"at": room.site.clock.now()})
    assert "Confirm go-live" not in inbox(room)[0]


def start_traffic(room: Room, rollout: str) -> datetime:
    now = room.site.clock.now()
    step = (
        "INSERT INTO rollout_step (rollout, wave, step, generation, fraction_ppm, cohort_share, started_at)"
        " VALUES (:id, 0, 0, 1, 50000, 1, :at)"
    )
    with room.world.instance.engine.begin() as connection:
        connection.execute(text(step), {"id": rollout, "at": now})
    return now
