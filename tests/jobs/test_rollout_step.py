"""A worker's reconciler moves rollouts: looked at again while they run, and no more once they are over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.jobs.handlers import Registry
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.rollout_reconciler import KIND, RolloutStep, rollout_ports, schedule_rollouts
from pilotage.rollout.states import State
from pilotage.store.rollouts import find_rollout
from pilotage.store.runs import RunState, find_run
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld

pytestmark = pytest.mark.store


def state(world: RolloutWorld, rollout: str) -> State:
    with world.engine.connect() as connection:
        found = find_rollout(connection, rollout)
    assert found is not None
    return found.state


def run_state(world: RolloutWorld, rollout: str) -> RunState | None:
    with world.engine.connect() as connection:
        found = find_run(connection, KIND, rollout)
    return None if found is None else found.state


def test_a_worker_moves_a_rollout_until_it_is_over(engine: Engine) -> None:
    traffic = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0))
    world = make_world(engine, with_plan(bank(), small_plan()), observe=traffic)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    rollout = done.rollout.id
    reconciler = Reconciler(world.instance, Registry(steps={KIND: RolloutStep(world.ports)}))
    world.follow()
    assert reconciler.turn() == 1
    assert state(world, rollout) is State.OBSERVING
    assert reconciler.turn() == 0, "the next look is half a second away"
    assert run_state(world, rollout) is RunState.DUE
    abort_rollout(world.instance, actor=world.person(DECIDER), rollout=rollout)
    for _ in range(4):
        world.clock.advance(timedelta(seconds=31))
        world.follow()
        reconciler.turn()
    assert state(world, rollout) is State.ROLLED_BACK
    assert run_state(world, rollout) is RunState.DONE


def test_a_wiped_table_of_runs_loses_no_rollout(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), small_plan()))
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE run"))
    schedule_rollouts(world.instance)
    assert run_state(world, done.rollout.id) is RunState.DUE


def test_a_run_of_a_rollout_that_never_was_ends(engine: Engine) -> None:
    world = make_world(engine)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO run (kind, key, state, due_at) VALUES (:kind, 'ghost', 'due', :now)"),
            {"kind": KIND, "now": world.clock.now()},
        )
    Reconciler(world.instance, Registry(steps={KIND: RolloutStep(world.ports)})).turn()
    assert run_state(world, "ghost") is RunState.DONE


def test_a_real_process_brings_real_ports_and_a_name_of_its_own() -> None:
    ports = rollout_ports()
    assert ports.owner
    assert replace(ports, owner="x").gate is ports.gate
