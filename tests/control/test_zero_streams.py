"""After a rollback the last stream and the clocks are told beside the last admission (rollouts.md 8.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.test_rollback import back, running

from pilotage.control.follow_rollback import zero_json
from pilotage.control.rollout_status import rollout_status
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
_SAY = text(
    "INSERT INTO route_admission (process, space, workflow, release, admitted, last_at, streams, streams_at)"
    " SELECT :process, :space, :workflow, :release, 1, flipped_db - interval '1 s', :streams,"
    " flipped_db + CAST(:after AS interval) FROM rollout WHERE id = :id"
    " ON CONFLICT (process, space, workflow, release) DO UPDATE SET streams = EXCLUDED.streams,"
    " streams_at = EXCLUDED.streams_at"
)


def say(world: RolloutWorld, stored: StoredRollout, process: str, streams: int | None, *, after: float = 0.0) -> None:
    """Let a process say how many streams it has, and how long after the flip it saw one last."""
    values = {"process": process, "space": EAST, "workflow": WORKFLOW, "release": stored.release, "id": stored.id}
    with world.engine.begin() as connection:
        connection.execute(_SAY, {**values, "streams": streams, "after": timedelta(seconds=after)})


def do(world: RolloutWorld, query: str) -> None:
    with world.engine.begin() as connection:
        connection.execute(text(query))


def taken_out(engine: Engine) -> tuple[RolloutWorld, StoredRollout]:
    world, stored, _old = running(engine)
    back(world)
    return world, world.step(stored.id)


def test_streams_are_zero_when_every_process_says_so_and_the_last_one_counts(engine: Engine) -> None:
    world, stored = taken_out(engine)
    assert stored.state is State.VALIDATING
    say(world, stored, "gateway-1", 0, after=1.25)
    say(world, stored, "gateway-2", 1, after=3.0)
    assert world.step(stored.id).zero_streams_s is None
    say(world, stored, "gateway-2", 0, after=7.5)
    found = world.step(stored.id)
    assert found.zero_streams_s == pytest.approx(7.5)
    say(world, stored, "gateway-2", 0, after=9.0)
    assert world.step(stored.id).zero_streams_s == pytest.approx(7.5), "measured once"
    done = world.step(stored.id, timedelta(seconds=61))
    assert done.state is State.ROLLED_BACK
    shown: Any = rollout_status(world.instance, stored.id)
    assert shown["rollback"]["seconds_to_zero_streams"] == 7.5
    with engine.connect() as connection:
        query = text("SELECT convert_from(bytes, 'UTF8') FROM ledger_entry WHERE subject = :id AND kind = :kind")
        said = connection.scalars(query, {"id": stored.id, "kind": "rollback.verified"}).one()
    assert '"milliseconds_to_zero_streams":7500' in said


def test_a_process_of_before_that_counts_no_streams_leaves_it_unknown(engine: Engine) -> None:
    world, stored = taken_out(engine)
    say(world, stored, "gateway-1", None)
    assert world.step(stored.id).zero_streams_s is None
    assert world.step(stored.id, timedelta(seconds=61)).state is State.ROLLED_BACK
    assert zero_json(world.look(stored.id))["seconds_to_zero_streams"] is None


def test_the_streams_of_a_process_that_is_gone_ended_with_it(engine: Engine) -> None:
    world, stored = taken_out(engine)
    say(world, stored, "gateway-1", 0)
    say(world, stored, "gateway-9", 4, after=2.0)
    assert world.step(stored.id).zero_streams_s == pytest.approx(2.0)


def test_a_process_that_has_not_followed_yet_says_nothing_of_its_streams(engine: Engine) -> None:
    world, stored = taken_out(engine)
    say(world, stored, "gateway-1", 0)
    do(world, "UPDATE route_ack SET generation = 0 WHERE process = 'gateway-1'")
    assert world.look(stored.id).zero_streams_s is None
    assert world.step(stored.id).zero_streams_s == pytest.approx(0.0)


def test_clocks_more_than_half_a_second_apart_are_shown_as_uncertainty(engine: Engine) -> None:
    for offset, shown in ((-499, None), (-734, 0.734)):
        world, stored, _old = running(engine)
        back(world)
        do(world, "DELETE FROM process")
        do(world, f"UPDATE route_ack SET clock_offset_ms = {offset} WHERE process = 'gateway-2'")
        assert zero_json(world.step(stored.id))["clock_uncertainty_s"] == shown


def test_what_was_stable_has_no_count_of_admissions_so_its_time_is_that_of_the_last_process(engine: Engine) -> None:
    world, stored, _old = running(engine)
    world.serve(stored.release, [EAST])
    do(world, "UPDATE routing SET candidate = NULL, fraction_ppm = 0, rollout = NULL")
    do(world, "UPDATE rollout SET state = 'completed'; UPDATE rollout_wave SET state = 'done'")
    (moved,) = back(world)
    assert moved.id != stored.id
    found = world.step(moved.id)
    assert found.zero_s is not None
    assert found.zero_s > 0.0
