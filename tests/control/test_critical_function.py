"""A candidate that fails critical questions which stable passes leaves every space at once, with its streams cut."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.test_rollback import running

from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict
from pilotage.rollout.states import State
from pilotage.store.routes import read_route
from pilotage.testing.rollouts import EAST, EU, WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
_ROUND = text(
    "INSERT INTO route_probe (process, space, workflow, generation, release, asked, passed, right_release, at)"
    " VALUES ('gateway-1', :space, :workflow, :generation, :release, 10, :passed, true,"
    " clock_timestamp() - CAST(:age AS interval))"
)


def write_round(
    world: RolloutWorld, release: Digest, *, passed: int = 9, age: str = "0 s", generations_ago: int = 0
) -> None:
    with world.engine.begin() as connection:
        generation = read_route(connection, EAST, WORKFLOW).generation - generations_ago
        values = {"space": EAST, "workflow": WORKFLOW, "generation": generation, "release": release}
        connection.execute(_ROUND, {**values, "passed": passed, "age": age})


@pytest.mark.feature("DT.5")
def test_it_is_rolled_back_as_a_hard_event_of_the_business_function(engine: Engine) -> None:
    world, stored, old = running(engine)
    write_round(world, stored.release)
    done = world.step(stored.id)
    assert (done.state, done.target) == (State.ROLLING_BACK, old)
    assert [reason.code for reason in done.why] == ["CRITICAL_IMPAIRED"]
    assert "9 of 10" in done.why[0].text
    with engine.connect() as connection:
        incident = connection.execute(text("SELECT cause, severity FROM incident WHERE freezes")).one()
        assert tuple(incident) == ("business-function", "SEV2")
        assert connection.scalar(text("SELECT hard FROM space_quarantine")) is True


def test_it_leaves_the_spaces_that_others_hold_or_nobody_does_too(engine: Engine) -> None:
    world, stored, old = running(engine)
    world.serve(old, [EU])
    world.clock.advance(timedelta(hours=1))
    world.serve(stored.release, [EU])
    write_round(world, stored.release)
    assert world.step(stored.id).flipped == (EAST,)
    with engine.connect() as connection:
        route = read_route(connection, EU, WORKFLOW)
        assert (route.stable, route.candidate) == (old, None)
        assert connection.scalar(text("SELECT count(*) FROM rollout WHERE state = 'rolling_back'")) == 2


def test_while_another_rollback_is_being_written_it_is_tried_again_instead_of_waiting(engine: Engine) -> None:
    world, stored, _old = running(engine)
    write_round(world, stored.release)
    with engine.connect() as other, other.begin():
        other.execute(text("SELECT pg_advisory_xact_lock(hashtext('pilotage rollback ' || :w))"), {"w": WORKFLOW})
        with pytest.raises(Conflict, match="being written"):
            world.step(stored.id)
    assert world.step(stored.id).state is State.ROLLING_BACK


@pytest.mark.parametrize(
    "changes", [{"passed": 10}, {"age": "200 s"}, {"generations_ago": 1}], ids=["passed", "old", "earlier row"]
)
def test_a_passed_an_old_or_an_earlier_round_takes_nothing_out(engine: Engine, changes: dict[str, object]) -> None:
    world, stored, _old = running(engine)
    write_round(world, stored.release, **changes)  # type: ignore[arg-type]
    assert world.step(stored.id).state is State.OBSERVING


def test_a_failed_round_of_stable_or_of_a_silent_process_takes_nothing_out(engine: Engine) -> None:
    world, stored, old = running(engine)
    write_round(world, old)
    assert world.step(stored.id).state is State.OBSERVING
    write_round(world, stored.release)
    with engine.begin() as connection:
        connection.execute(text("UPDATE route_probe SET process = 'gone'"))
    assert world.step(stored.id).state is State.OBSERVING
