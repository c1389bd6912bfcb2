"""A drill rehearses on the real row, leaves users where they are, and counts only when everything was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan

from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.reason import Refusal
from pilotage.rollout.states import State
from pilotage.store.drills import StoredDrill, valid_drills
from pilotage.store.routes import read_route
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProber, RolloutWorld

pytestmark = pytest.mark.store
SUPPORT, STARTER = "dina.kowalski", "luis.ortega"


def world_of(engine: Engine) -> tuple[RolloutWorld, str, str]:
    world = make_world(engine, with_plan(bank(), small_plan()))
    old = world.seal("Old.")
    world.serve(old, list(world.workspace.spaces))
    new = world.seal("New.")
    probers = FakeProber(processes=world.processes.names)
    world.ports = replace(world.ports, probe=probers)
    return world, old, new


def drill(
    world: RolloutWorld, release: str, space: Any = EAST, *, cut_off: frozenset[str] = frozenset()
) -> StoredDrill:
    done = drill_rollback(
        world.instance,
        world.ports,
        actor=world.person(SUPPORT),
        request=DrillRequest(workflow=WORKFLOW, space=space, release=release),
        sleep=lambda _seconds: world.follow(cut_off=cut_off),
    )
    assert isinstance(done, StoredDrill), done
    return done


def test_a_drill_measures_every_process_and_leaves_users_where_they_are(engine: Engine) -> None:
    world, old, new = world_of(engine)
    done = drill(world, new)
    assert done.state == "passed", done.report
    assert set(done.report["processes"]) == set(world.processes.names)
    assert done.report["tripped"] is True
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
        found = connection.execute(text("SELECT is_drill, state FROM incident")).all()
        titles = list(connection.scalars(text("SELECT payload->>'title' FROM outbox")))
        claims = connection.execute(text("SELECT claims FROM evidence WHERE kind = 'drill.rollback'")).scalar_one()
    assert (route.stable, route.candidate, route.drill) == (old, None, None)
    assert [tuple(row) for row in found] == [(True, "closed")]
    assert titles
    assert all(title.startswith("[drill]") for title in titles)
    assert claims["verified"] == 1
    assert claims["seconds_to_zero_traffic"] < 30


def test_a_drill_that_nobody_can_prove_has_failed(engine: Engine) -> None:
    world, _old, new = world_of(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM route_ack"))
    refused = drill_rollback(
        world.instance,
        world.ports,
        actor=world.person(STARTER),
        request=DrillRequest(workflow=WORKFLOW, space=EAST, release=new),
        sleep=lambda _seconds: None,
    )
    assert isinstance(refused, Refusal)
    with engine.connect() as connection:
        assert valid_drills(connection, WORKFLOW, now=world.clock.now()) == ()


def test_a_rollout_in_production_needs_a_drill_in_staging_and_one_in_its_space(engine: Engine) -> None:
    world, _old, new = world_of(engine)
    staging = next(name for name, one in world.workspace.spaces.items() if one.tier.value == "staging")
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)

    def start() -> Started:
        done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
        assert isinstance(done, Started), done
        return done

    assert [one.code for one in start().against] == ["DRILL_MISSING", "DRILL_MISSING"]
    drill(world, new, staging)
    assert [one.where for one in start().against] == [EAST]
    drill(world, new)
    assert start().rollout.state is State.PLANNED
