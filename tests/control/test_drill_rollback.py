"""A drill rehearses on the real row, leaves users where they are, and counts only when everything was measured."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan

from pilotage.control import drill_measures
from pilotage.control.drill_measures import Measures
from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.digest import parse_digest
from pilotage.core.reason import Refusal
from pilotage.jobs import drills
from pilotage.jobs.lease import Lease
from pilotage.rollout.states import State
from pilotage.store.drills import StoredDrill, valid_drills
from pilotage.store.probes import read_probes
from pilotage.store.routes import read_route
from pilotage.store.runs import Done, Run, RunState
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProber, RolloutWorld
from pilotage.workspace.plan import Limits, Step

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


@pytest.mark.feature("DP.5", "R3.7")
def test_a_drill_measures_every_process_and_leaves_users_where_they_are(engine: Engine) -> None:
    world, old, new = world_of(engine)
    done = drill(world, new)
    assert done.state == "passed", done.report
    assert set(done.report["processes"]) == set(world.processes.names)
    assert done.report["tripped"] is True
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
        found = connection.execute(text("SELECT is_drill, state FROM incident")).all()
        sent = connection.execute(text("SELECT payload->>'title', payload->>'event' FROM outbox")).all()
        claims = connection.execute(text("SELECT claims FROM evidence WHERE kind = 'drill.rollback'")).scalar_one()
    assert (route.stable, route.candidate, route.drill) == (old, None, None)
    assert [tuple(row) for row in found] == [(True, "closed")]
    assert {event for _, event in sent} == {None, "resolve"}
    assert all(title.startswith("[drill]") for title, event in sent if event is None)
    assert claims["verified"] == 1
    assert claims["seconds_to_zero_traffic"] < 30


def test_a_drill_beside_a_rollout_passes_and_leaves_its_candidate_alone(engine: Engine) -> None:
    world, old, new = world_of(engine)
    pass_drills(world, parse_digest(new))
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    started = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(started, Started)
    for _ in range(4):
        world.step(started.rollout.id)
    done = drill(world, old)
    assert done.state == "passed", done.report
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
    assert (route.stable, route.candidate, route.rollout, route.drill) == (old, new, started.rollout.id, None)


def test_a_drill_whose_failures_do_not_trip_the_limits_of_the_plan_has_failed(engine: Engine) -> None:
    world, _old, new = world_of(engine)
    blind = Step(name="full", weight=1.0, bake_s=3600, limits=Limits(error_go=0.4, error_trip=0.5))
    canary = Step(name="canary", weight=0.05, bake_s=3600)
    world.workspace = with_plan(bank(), small_plan(canary, blind))
    done = drill(world, new)
    assert (done.state, done.report["tripped"]) == ("failed", False)
    assert done.report["against"] == ["the judge did not trip on 30 failures of 100 requests"]


def test_a_drill_that_lost_its_row_is_not_tried_again_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world, _old, _new = world_of(engine)

    def sleep(_seconds: float) -> None:
        world.follow()
        with engine.begin() as connection:
            connection.execute(text("UPDATE routing SET drill = NULL WHERE space = :space"), {"space": EAST})

    monkeypatch.setattr(time, "sleep", sleep)
    run = Run(
        kind=drills.DRILL,
        key=f"{EAST}/{WORKFLOW}",
        state=RunState.DUE,
        due_at=world.clock.now(),
        attempt=0,
        generation=1,
        requested=1,
        payload={},
        last_error=None,
        lease_owner=None,
    )
    assert drills.drill(world.instance, Lease(engine, run)) == Done()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT state FROM drill")).scalar_one() == "failed"


@pytest.mark.parametrize("passed", [{"gateway-1": (10, 10)}, {"gateway-1": (9, 10), "gateway-2": (10,)}])
def test_the_last_answers_of_each_process_count_and_those_of_one_are_not_those_of_two(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, passed: dict[str, tuple[int, ...]]
) -> None:
    monkeypatch.setattr(drill_measures, "VALID_LIMIT", timedelta())
    world, _old, new = world_of(engine)
    world.follow()
    with engine.begin() as connection:
        for process, numbers in passed.items():
            for generation, number in enumerate(numbers, start=4):
                values = {"process": process, "generation": generation, "passed": number, "release": new}
                connection.execute(_PROBED, {**values, "space": EAST, "workflow": WORKFLOW})
    looks = Measures(
        instance=world.instance,
        ports=replace(world.ports, probe=read_probes),
        space=EAST,
        workflow=WORKFLOW,
        sleep=lambda _seconds: None,
    )
    assert (looks.validated(4, release=parse_digest(new)) is not None) == (len(passed) == 2)


_PROBED = text(
    "INSERT INTO route_probe (process, space, workflow, generation, asked, passed, right_release, at, release)"
    " VALUES (:process, :space, :workflow, :generation, 10, :passed, true, clock_timestamp(), :release)"
)


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


@pytest.mark.feature("D12.43", "DL.14", "R3.7")
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
