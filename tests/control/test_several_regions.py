"""One plan over several spaces: a failed one goes back alone, the others keep their weight and stay watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, with_plan

from pilotage.control.decide_rollout import release_hold
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.rollout_facts import attempt_in
from pilotage.control.rollout_verdict import planned_requests
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.reason import Refusal
from pilotage.rollout.machine import Place
from pilotage.rollout.states import State, WaveState
from pilotage.store.rollouts import StoredRollout, waves_of
from pilotage.store.routes import read_route
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Limits, Plan, Step, Wave

pytestmark = pytest.mark.store
HOUR = timedelta(hours=1)
STEPS = (Step(name="all", weight=1.0, bake_s=3600),)
PLAN = Plan(
    name="regions",
    waves=(Wave(space=EAST, steps=STEPS), Wave(space=WEST, steps=STEPS), Wave(space=EU, steps=STEPS, isolated=True)),
    plain={"regions": 3},
)


def failing_in(
    engine: Engine, space: str, hours: int, *, error: float = 0.2
) -> tuple[RolloutWorld, StoredRollout, CountedTraffic]:
    traffic = CountedTraffic(
        per_day=dict.fromkeys(PER_DAY, 480_000.0),
        bad=Behaviour(error=error),
        bad_space=space,  # type: ignore[arg-type]
        bad_from=SimulatedClock().now() + hours * HOUR,
    )
    world = make_world(engine, with_plan(bank(), PLAN), observe=traffic)
    world.serve(world.seal("Old."))
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    for _ in range(8):
        stored = world.step(stored.id, HOUR)
        if stored.state not in {State.OBSERVING, State.DECIDING, State.ADVANCING}:
            break
    return world, stored, traffic


def shape(world: RolloutWorld, stored: StoredRollout) -> dict[str, tuple[WaveState, int]]:
    with world.engine.connect() as connection:
        return {
            wave.space: (wave.state, read_route(connection, wave.space, WORKFLOW).fraction_ppm)
            for wave in waves_of(connection, stored.id)
        }


def test_a_trip_in_the_second_region_leaves_the_first_with_its_weight_and_armed(engine: Engine) -> None:
    world, stored, traffic = failing_in(engine, WEST, 0)
    assert stored.flipped == (WEST,)
    assert shape(world, stored) == {
        EAST: (WaveState.LEFT, 1_000_000),
        WEST: (WaveState.ROLLED_BACK, 0),
        EU: (WaveState.DONE, 0),
    }
    world.step(stored.id)
    done = world.step(stored.id, timedelta(seconds=61))
    assert done.state is State.ROLLED_BACK
    traffic.bad_space = EAST
    world.step(stored.id, HOUR)
    assert shape(world, stored)[EAST] == (WaveState.ROLLED_BACK, 0)
    with engine.connect() as connection:
        query = "SELECT count(*) FROM incident WHERE cause = 'statistical trip' AND NOT is_drill"
        assert connection.scalar(text(query)) == 2
        carried = connection.scalar(text("SELECT id FROM rollout WHERE flipped = ARRAY['production-us-east-space']"))
    assert carried is not None
    assert world.step(carried).state is State.VALIDATING
    assert world.step(carried, timedelta(seconds=61)).state is State.ROLLED_BACK


def test_a_left_region_whose_critical_questions_fail_is_taken_back_as_a_hard_event(engine: Engine) -> None:
    world, stored, _traffic = failing_in(engine, WEST, 0)
    assert shape(world, stored)[EAST][0] is WaveState.LEFT
    with engine.begin() as connection:
        generation = read_route(connection, EAST, WORKFLOW).generation
        query = (
            "INSERT INTO route_probe (process, space, workflow, generation, release, asked, passed, right_release, at)"
            " VALUES ('gateway-1', :space, :workflow, :generation, :release, 10, 9, true, clock_timestamp())"
        )
        values = {"space": EAST, "workflow": WORKFLOW, "generation": generation, "release": stored.release}
        connection.execute(text(query), values)
    assert world.step(stored.id).state is State.VALIDATING
    assert shape(world, stored)[EAST] == (WaveState.ROLLED_BACK, 0)
    with engine.connect() as connection:
        found = "SELECT hard FROM space_quarantine WHERE space = :east"
        assert connection.execute(text(found), {"east": EAST}).scalar_one() is True


def test_a_late_trip_in_an_earlier_region_takes_back_that_region(engine: Engine) -> None:
    world, stored, _traffic = failing_in(engine, EAST, 2)
    assert stored.flipped == (EAST,)
    assert shape(world, stored)[EAST] == (WaveState.ROLLED_BACK, 0)


def test_a_guard_that_fires_in_an_earlier_region_keeps_the_release_from_the_next(engine: Engine) -> None:
    world, stored, _traffic = failing_in(engine, EAST, 2, error=0.004)
    assert stored.state is State.HELD
    assert {reason.where for reason in stored.why if reason.code == "guard_fired"} == {EAST}
    assert shape(world, stored)[EU] == (WaveState.WAITING, 0)
    lead = world.person(DECIDER)
    again = release_hold(world.instance, world.ports, actor=lead, rollout=stored.id, note="go on")
    assert isinstance(again, Refusal)


def test_each_region_reckons_with_its_own_traffic(engine: Engine) -> None:
    _world, stored, _traffic = failing_in(engine, WEST, 0)
    steps = [{"space": EAST, "per_day": "240"}, {"space": WEST, "per_day": "2400"}, {"space": EU, "per_day": None}]
    known = replace(stored, preflight={"per_day": 240.0, "forecast": {"steps": steps}})
    assert [planned_requests(known, wave) for wave in range(3)] == [20, 200, 0]


def test_a_person_can_take_back_a_space_that_was_left(engine: Engine) -> None:
    world, stored, _traffic = failing_in(engine, WEST, 0)
    world.step(stored.id)
    world.step(stored.id, timedelta(seconds=61))
    request = RollbackRequest(workflow=WORKFLOW, space=EAST, reason="same release")
    moved = roll_back(world.instance, actor=world.person(DECIDER), request=request)
    assert not isinstance(moved, Refusal)
    assert shape(world, stored)[EAST] == (WaveState.ROLLED_BACK, 0)
    assert moved[0].flipped == (EAST,)


def test_a_rollback_of_what_serves_in_a_waiting_region_is_not_a_rollback_of_the_candidate(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=CountedTraffic(per_day=PER_DAY))
    older = world.seal("Older.")
    world.serve(older)
    world.clock.advance(HOUR)
    world.serve(world.seal("Old."))
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    back = RollbackRequest(workflow=WORKFLOW, space=WEST, reason="old rates")
    moved = roll_back(world.instance, actor=world.person(DECIDER), request=back)
    assert not isinstance(moved, Refusal)
    assert (moved[0].flipped, moved[0].target) == ((WEST,), older)
    assert moved[0].id != stored.id
    for _ in range(4):
        stored = world.step(stored.id, HOUR)
    assert stored.state is not State.ROLLING_BACK
    assert shape(world, stored)[EAST][1] == 1_000_000
    assert shape(world, stored)[WEST] == (WaveState.ROLLED_BACK, 0)


def test_each_region_counts_its_own_attempts(engine: Engine) -> None:
    world, stored, _traffic = failing_in(engine, WEST, 0)
    world.step(stored.id)
    world.step(stored.id, timedelta(seconds=61))
    with engine.connect() as connection:
        known = replace(stored, place=Place(wave=1))
        assert [attempt_in(connection, one) for one in (stored, known, replace(known, id="next"))] == [1, 1, 2]


def test_an_isolated_region_alone_keeps_the_strict_limit(engine: Engine) -> None:
    loose = replace(STEPS[0], limits=Limits(error_go=0.01))
    plans = {
        code: replace(PLAN, waves=(PLAN.waves[0], Wave(space=EU, steps=(step,), isolated=True)))
        for code, step in (("WAVE_ORDER", loose), ("", STEPS[0]))
    }
    for code, plan in plans.items():
        world = make_world(engine, with_plan(bank(), plan))
        world.serve(world.seal("Old."))
        new = world.seal("New.")
        pass_drills(world, new)
        request = StartRequest(release=new, space=EU, per_day=480_000, accepted=True)
        done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
        found = {reason.code for reason in done.reasons} if isinstance(done, Refusal) else set()
        assert ("WAVE_ORDER" in found) == bool(code)


@pytest.mark.feature("D0.6", "D0.7", "D13.4", "D13.43", "D13.44")
def test_a_later_region_cannot_start_before_the_first_one_serves_the_release(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), replace(PLAN)))
    world.serve(world.seal("Old."))
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=WEST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Refusal)
    assert [reason.code for reason in done.reasons] == ["WAVE_ORDER"]
