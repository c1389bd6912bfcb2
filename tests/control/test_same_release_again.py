"""The same release tried again goes on with its counts: an abort and a new start wash no failure off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, STARTER, bank, make_world, small_plan, with_plan

from pilotage.analysis.counters import Metric
from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.count_observations import count_observations
from pilotage.control.rollout_facts import read_facts
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.digest import Digest
from pilotage.rollout.assignment import Arm
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld
from pilotage.workspace.plan import Limits, Step, Undecidable

pytestmark = pytest.mark.store
PLAN = replace(
    small_plan(
        Step(name="canary", weight=0.05, bake_s=3600, max_s=4 * 3600, limits=Limits(error_go=0.01)),
        Step(name="full", weight=1.0, bake_s=3600, limits=Limits(error_go=0.003)),
    ),
    undecidable=Undecidable.HOLD,
)


def begun(world: RolloutWorld, release: Digest) -> StoredRollout:
    request = StartRequest(release=release, space=EAST, per_day=20_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    assert done.against == ()
    stored = world.step(done.rollout.id)
    assert stored.state is State.OBSERVING
    return stored


def aborted(world: RolloutWorld, stored: StoredRollout) -> None:
    abort_rollout(world.instance, actor=world.person(DECIDER), rollout=stored.id, note="later")
    world.step(stored.id)
    assert world.step(stored.id, timedelta(seconds=61)).state is State.ROLLED_BACK


def counters(world: RolloutWorld, stored: StoredRollout) -> Any:
    with world.engine.begin() as connection:
        seen = read_facts(connection, world.instance, world.ports, stored, world.clock.now())
    assert seen.observed is not None
    return seen.observed.counters


def test_latencies_counted_under_other_limits_are_not_taken_over(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    first = begun(world, new)
    faults = {Arm.CANDIDATE: Faults(error=0.1)}
    RecordedTraffic(world=world, space=EAST, principals=400, faults=faults).ask(600)
    seen = counters(world, first)
    aborted(world, first)
    steps = tuple(replace(one, limits=replace(one.limits, latency_go_ms=1000)) for one in PLAN.waves[0].steps)
    world.workspace = with_plan(bank(), replace(PLAN, waves=(replace(PLAN.waves[0], steps=steps),)))
    again = counters(world, begun(world, new))
    assert again.metric(Metric.ERROR) == seen.metric(Metric.ERROR)
    assert seen.metric(Metric.SLOW).go.n > again.metric(Metric.SLOW).go.n == 0
    assert again.metric(Metric.STALLED).cusum is None


def test_latencies_that_an_older_version_summed_by_several_limits_are_not_taken_for_those_of_one(
    engine: Engine,
) -> None:
    canary, full = PLAN.waves[0].steps
    steps = (canary, replace(full, limits=replace(full.limits, latency_go_ms=500.0)))
    world = make_world(
        engine,
        with_plan(bank(), replace(PLAN, waves=(replace(PLAN.waves[0], steps=steps),))),
        observe=count_observations,
    )
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    first = begun(world, new)
    counters(world, first)
    older = text("UPDATE rollout_wave SET totals = jsonb_set(totals, '{metrics}', '{\"slow\": [9, 9, 9, 9, 9]}')")
    with world.engine.begin() as connection:
        connection.execute(older)
    aborted(world, first)
    world.workspace = with_plan(bank(), PLAN)
    assert counters(world, begun(world, new)).metric(Metric.SLOW).go.n == 0


def cusums(world: RolloutWorld, stored: StoredRollout) -> Any:
    query = text("SELECT totals -> 'cusums' FROM rollout_wave WHERE rollout = :id")
    with world.engine.connect() as connection:
        return connection.scalar(query, {"id": stored.id})


def test_an_alarm_goes_on_where_only_another_step_s_trip_limit_changed_or_an_older_version_named_it(
    engine: Engine,
) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    first = begun(world, new)
    faults = {Arm.CANDIDATE: Faults(error=0.1)}
    RecordedTraffic(world=world, space=EAST, principals=400, faults=faults).ask(600)
    counters(world, first)
    was = cusums(world, first)["error"]
    aborted(world, first)
    canary, full = PLAN.waves[0].steps
    steps = (canary, replace(full, limits=replace(full.limits, error_trip=0.25)))
    world.workspace = with_plan(bank(), replace(PLAN, waves=(replace(PLAN.waves[0], steps=steps),)))
    again = begun(world, new)
    counters(world, again)
    now = cusums(world, again)
    name = f"error>{canary.limits.error_trip!r}"
    assert (now[name], "error" in now, "error>0.25" in now) == (was, False, False)
    older = text(
        "UPDATE rollout_wave SET totals = jsonb_set(totals, '{cusums}',"
        " (totals -> 'cusums') - CAST(:name AS text) || jsonb_build_object('error', totals -> 'cusums' -> :name))"
        " WHERE rollout = :id"
    )
    with world.engine.begin() as connection:
        connection.execute(older, {"name": name, "id": again.id})
    seen = counters(world, again).metric(Metric.ERROR)
    assert (cusums(world, again)[name], seen.cusum) == (was, float.fromhex(was["peak"]))


@pytest.mark.feature("D13.34")
def test_an_aborted_release_tried_again_keeps_its_failures_and_a_changed_one_begins_anew(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    world.serve(world.seal("Old."), [EAST])
    new, changed = world.seal("New."), world.seal("New, and changed.")
    for release in (new, changed):
        pass_drills(world, release)
    faults = {Arm.CANDIDATE: Faults(error=0.1)}
    first = begun(world, new)
    RecordedTraffic(world=world, space=EAST, principals=400, faults=faults).ask(600)
    seen = counters(world, first).metric(Metric.ERROR)
    assert seen.go.x > 0
    aborted(world, first)

    again = begun(world, new)
    assert (first.attempt, again.attempt) == (1, 2)
    assert counters(world, again).metric(Metric.ERROR) == seen
    RecordedTraffic(world=world, space=EAST, principals=400, seed=8).ask(600)
    later = counters(world, again).metric(Metric.ERROR)
    assert later.go.x == seen.go.x
    assert later.go.n > seen.go.n
    aborted(world, again)

    other = begun(world, changed)
    assert other.attempt == 3
    assert counters(world, other).metric(Metric.ERROR).go.n == 0
