"""The default plan over three regions, in simulated time, by the real control code."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, OWNER, PER_DAY, PRIVACY, STARTER, make_world

from pilotage.control.decide_rollout import sign_go
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.reason import Refusal
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
HOUR = timedelta(hours=1)
HELD_HOURS = 12
PACE = {State.VALIDATING: timedelta(seconds=61), State.WATCHING: 24 * HOUR, State.OBSERVING: 2 * HOUR}


def started(world: RolloutWorld) -> tuple[StoredRollout, str]:
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old)
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    assert done.against == ()
    return done.rollout, old


def run(world: RolloutWorld, stored: StoredRollout, *, most: int = 1000) -> StoredRollout:
    """Let hours pass and deciders sign until the rollout is over or held."""
    people, held = (DECIDER, OWNER, PRIVACY), 0
    for _ in range(most):
        stored = world.step(stored.id, PACE.get(stored.state, HOUR))
        if stored.state is State.DECIDING:
            for name in people:
                role_holder = world.person(name)
                if set(stored.place.of(stored.plan).decide) & role_holder.roles and stored.state is State.DECIDING:
                    signed = sign_go(world.instance, world.ports, actor=role_holder, rollout=stored.id)
                    assert not isinstance(signed, Refusal), signed
                    stored = signed
        held += stored.state is State.HELD
        if stored.state.is_over or held > HELD_HOURS:
            return stored
    return stored


@pytest.mark.feature("D13.1", "D13.3", "D13.38", "D13.40", "D13.42", "D13.43", "D13.44", "D13.45")
def test_a_healthy_release_reaches_every_region(engine: Engine) -> None:
    world = make_world(engine, observe=CountedTraffic(per_day=PER_DAY))
    stored, _old = started(world)
    done = run(world, stored)
    assert done.state is State.COMPLETED, done
    with engine.connect() as connection:
        for space in (EAST, WEST, EU):
            route = read_route(connection, space, WORKFLOW)
            assert (route.stable, route.candidate, route.fraction_ppm) == (done.release, None, 0)


@pytest.mark.feature("DT.1", "DL.1")
def test_five_percent_errors_from_hour_six_on_take_it_out_at_the_first_step(engine: Engine) -> None:
    bad_from = SimulatedClock().now() + 6 * HOUR
    traffic = CountedTraffic(per_day=PER_DAY, bad=Behaviour(error=0.05), bad_from=bad_from)
    world = make_world(engine, observe=traffic)
    stored, old = started(world)
    done = run(world, stored)
    assert done.state is State.ROLLED_BACK
    assert done.place.step == 0
    assert done.incident is not None
    assert done.zero_s is not None
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
        kinds = list(
            connection.scalars(
                text("SELECT kind FROM ledger_entry WHERE subject = :id ORDER BY inserted_at"), {"id": done.id}
            )
        )
    assert (route.stable, route.candidate) == (old, None)
    assert kinds.count("rollback.started") == 1


@pytest.mark.feature("D13.17", "DT.1")
def test_half_a_percent_errors_are_held_neither_tripped_nor_go(engine: Engine) -> None:
    world = make_world(engine, observe=CountedTraffic(per_day=PER_DAY, candidate=Behaviour(error=0.005)))
    stored, _old = started(world)
    done = run(world, stored)
    assert done.state is State.HELD
