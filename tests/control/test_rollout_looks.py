"""While a rollout bakes, how its verdict stands and what both arms did is kept for people to look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, observing, small_plan, with_plan

from pilotage.control.count_observations import count_observations
from pilotage.control.rollout_status import rollout_status
from pilotage.rollout.assignment import Arm
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld
from pilotage.workspace.plan import Limits, Step

pytestmark = pytest.mark.store
LIMITS = Limits(error_go=0.2, error_trip=0.5, ungrounded_go=0.2, ungrounded_trip=0.5, policy_go=0.2, policy_trip=0.5)
PLAN = small_plan(
    Step(name="canary", weight=0.25, bake_s=24 * 3600, max_s=48 * 3600, limits=LIMITS),
    Step(name="full", weight=1.0, bake_s=3600, limits=LIMITS),
)
_LOOKS = text("SELECT at, is_decision FROM rollout_verdict WHERE rollout = :rollout ORDER BY at")
_RATE = text(
    "INSERT INTO feedback (id, interaction, rating, principal, at)"
    " SELECT i.id || 'f', i.id, :rating, i.principal, :at FROM interaction i"
    " WHERE i.release = :release ORDER BY i.id LIMIT :most"
)


def looks(world: RolloutWorld, stored: StoredRollout) -> list[Any]:
    with world.engine.connect() as connection:
        return list(connection.execute(_LOOKS, {"rollout": stored.id}))


def test_the_verdict_of_now_and_both_arms_stand_in_the_status_while_a_step_bakes(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    stored = observing(world)
    assert rollout_status(world.instance, stored.id)["arms"]["candidate"]["latency_ms"] is None  # type: ignore[index, call-overload]
    faults = {Arm.CANDIDATE: Faults(error=0.01, ungrounded=0.05), Arm.STABLE: Faults(slow=0.2)}
    traffic = RecordedTraffic(world=world, space=EAST, principals=400, faults=faults)
    traffic.ask(600)
    with world.engine.begin() as connection:
        rated = {"rating": "up", "at": world.clock.now(), "release": stored.release, "most": 4}
        connection.execute(_RATE, rated)
    world.step(stored.id, timedelta(seconds=20))

    shown: Any = rollout_status(world.instance, stored.id)
    assert shown["verdict"]["outcome"] == "inconclusive"
    arms = shown["arms"]
    seen = shown["observed"]["go.error"]
    assert arms["candidate"]["requests"] == seen["n"] > 100
    assert arms["candidate"]["failed"] == seen["x"] > 0
    assert 300 <= arms["candidate"]["latency_ms"] <= 918
    assert arms["stable"]["latency_ms"] == pytest.approx(9000, rel=0.02)
    assert (arms["stable"]["failed"], arms["stable"]["error_share"]) == (0, "0.000000")
    assert 0.9 < float(arms["candidate"]["grounded_share"]) < 1
    assert (arms["candidate"]["rated"], arms["candidate"]["helpful_share"]) == (4, "1.000000")
    assert (arms["stable"]["rated"], arms["stable"]["helpful_share"]) == (0, None)

    with world.engine.connect() as connection:
        rows = connection.execute(text("SELECT count(*) FROM rollout_course WHERE rollout = :r"), {"r": stored.id})
        assert rows.scalar_one() == 2


def test_of_each_slot_the_newest_look_stays_and_a_decision_always(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    stored = observing(world)
    traffic = RecordedTraffic(world=world, space=EAST, principals=400)
    first = world.clock.now()
    for _ in range(3):  # three looks in one slot: the last one stays
        traffic.ask(40)
        world.step(stored.id, timedelta(minutes=5))
    assert [one.at - first for one in looks(world, stored)] == [timedelta(minutes=15)]
    traffic.ask(40)
    world.step(stored.id, timedelta(seconds=5))  # the outcome is the same, and the last look is new
    assert [one.at - first for one in looks(world, stored)] == [timedelta(minutes=15)]
    for _ in range(26):
        traffic.ask(200)
        stored = world.step(stored.id, timedelta(hours=1))
    kept = looks(world, stored)
    assert len(kept) > 20
    assert len({one.at.replace(minute=0, second=0, microsecond=0) for one in kept if not one.is_decision}) >= 20
    assert any(one.is_decision for one in kept)
