"""A drilled production space is drilled again before the proof runs out; one that was let slip is told of once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan

from pilotage.control.drill_finish import OVERDUE
from pilotage.control.drill_rollback import DrillRequest, drill_on_schedule
from pilotage.control.drill_schedule import DrillDue, look_at_drills
from pilotage.store.drills import StoredDrill, drills_in, save_drill
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, FakeProber, RolloutWorld
from pilotage.workspace.records import Channel, MessageKind

pytestmark = pytest.mark.store
EVERY = {DrillDue(workflow=WORKFLOW, space=space) for space in (EAST, WEST, EU)}


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    pager = Channel(name="pager", url_ref="env:PAGER", kinds=frozenset({MessageKind.PAGE}))
    found = make_world(engine, replace(with_plan(bank(), small_plan()), channels={"pager": pager}))
    found.serve(found.seal("Old."))
    found.ports = replace(found.ports, probe=FakeProber(processes=found.processes.names))
    return found


def look(world: RolloutWorld) -> set[DrillDue]:
    with world.engine.begin() as connection:
        return set(look_at_drills(connection, world.instance))


def drilled(world: RolloutWorld) -> StoredDrill:
    """Hold the drill of the east that the machine was asked for."""
    done = drill_on_schedule(
        world.instance,
        world.ports,
        request=DrillRequest(workflow=WORKFLOW, space=EAST),
        sleep=lambda _seconds: world.follow(),
    )
    assert isinstance(done, StoredDrill)
    return done


def overdue(world: RolloutWorld) -> list[tuple[str, str]]:
    query = text("SELECT space, severity FROM incident WHERE cause = :cause AND state = 'open' ORDER BY space")
    with world.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"cause": OVERDUE})]


def test_a_space_that_nobody_ever_drilled_is_left_to_people(world: RolloutWorld) -> None:
    assert look(world) == set()
    assert overdue(world) == []


def test_a_drill_is_repeated_two_weeks_before_it_runs_out(world: RolloutWorld) -> None:
    pass_drills(world, world.seal("New."))
    world.clock.advance(timedelta(days=75))
    assert look(world) == set()
    world.clock.advance(timedelta(days=2))
    assert look(world) == EVERY
    assert overdue(world) == []
    done = drilled(world)
    assert (done.state, done.started_by) == ("passed", "system:drills")
    assert look(world) == EVERY - {DrillDue(workflow=WORKFLOW, space=EAST)}


def test_a_drill_that_ran_out_is_an_incident_of_its_owner_once(world: RolloutWorld) -> None:
    pass_drills(world, world.seal("New."))
    world.clock.advance(timedelta(days=91))
    assert look(world) == EVERY
    look(world)
    assert overdue(world) == [(space, "SEV3") for space in sorted((EAST, WEST, EU))]
    with world.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incident_line")) == 3


def test_a_drill_that_failed_is_told_of_and_repeated_the_day_after(world: RolloutWorld) -> None:
    pass_drills(world, world.seal("New."))
    with world.engine.begin() as connection:
        for found in drills_in(connection, WORKFLOW, EAST, kind="rollback"):
            save_drill(connection, replace(found, state="failed", valid_until=None))
    assert look(world) == set()
    assert overdue(world) == [(EAST, "SEV3")]
    world.clock.advance(timedelta(days=1))
    assert look(world) == {DrillDue(workflow=WORKFLOW, space=EAST)}
    assert drilled(world).state == "passed"
    assert overdue(world) == []
    query = text("SELECT state, resolved_at IS NOT NULL FROM incident WHERE cause = :cause")
    with world.engine.connect() as connection:
        assert connection.execute(query, {"cause": OVERDUE}).one() == ("resolved", True)
        query = text(
            "SELECT i.is_drill FROM outbox o JOIN incident i ON i.id = o.payload -> 'links' ->> 'incident'"
            " WHERE o.target = 'pager' AND o.payload ->> 'event' = 'resolve'"
        )
        assert sorted(connection.scalars(query)) == [False, True], "what was overdue, and the drill's own"
    assert look(world) == set()


def test_settings_that_changed_ask_for_a_new_drill(world: RolloutWorld) -> None:
    pass_drills(world, world.seal("New."))
    world.clock.advance(timedelta(days=2))
    space = world.workspace.spaces[EAST]
    availability = replace(space.availability, health_check_interval_s=10)
    spaces = {**world.workspace.spaces, EAST: replace(space, availability=availability)}
    world.workspace = replace(world.workspace, spaces=spaces)
    assert look(world) == {DrillDue(workflow=WORKFLOW, space=EAST)}
    assert overdue(world) == []  # it is asked for; nobody let it slip
