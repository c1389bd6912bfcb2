"""Sums of a newer version, met by a worker of an older one: it concludes nothing, and leaves them to the newer one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.test_bad_release import QUARTER, begun, observe

from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.rollout_status import rollout_status
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollouts import RolloutWorld

pytestmark = pytest.mark.store


def write(world: RolloutWorld, sums: str) -> None:
    with world.engine.begin() as connection:
        connection.execute(text(f"UPDATE rollout_wave SET totals = {sums}"))


def by_newer(world: RolloutWorld) -> None:
    write(world, """totals || '{"of_a_newer_version": 1}'""")


def read_by_newer(world: RolloutWorld) -> None:
    write(world, "totals - 'of_a_newer_version'")


@pytest.mark.parametrize("fault", [{}, {"error": 1.0}])
def test_sums_that_do_not_read_are_inconclusive_and_neither_go_nor_no_go(
    engine: Engine, fault: dict[str, float]
) -> None:
    world, stored, traffic, _old = begun(engine, **fault)
    world.step(stored.id)
    by_newer(world)
    found = observe(world, stored, traffic, rounds=6)
    assert (found.state, found.latched) == (State.OBSERVING, ())
    shown: Any = rollout_status(world.instance, stored.id)
    assert shown["verdict"]["outcome"] == "inconclusive"
    assert "internal_error" in {reason["code"] for reason in shown["verdict"]["reasons"]}
    found = world.step(stored.id, timedelta(hours=4))
    assert (found.state, found.decision_outcome) == (State.DECIDING, "inconclusive")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incident")) == 0


def looked_by(world: RolloutWorld, stored: StoredRollout, owner: str) -> StoredRollout | None:
    world.clock.advance(QUARTER)
    world.follow()
    with world.engine.begin() as connection:
        return reconcile_rollout(connection, world.instance, replace(world.ports, owner=owner), stored.id)


def test_a_worker_that_cannot_read_the_sums_lets_the_next_one_look_and_nothing_was_lost(engine: Engine) -> None:
    world, stored, traffic, _old = begun(engine, error=1.0)
    world.step(stored.id)
    by_newer(world)
    traffic.ask(400)
    assert looked_by(world, stored, "worker-1") is not None
    read_by_newer(world)
    found = looked_by(world, stored, "worker-2")
    assert found is not None, "the lease was given back"
    assert found.state is State.ROLLING_BACK


def test_a_worker_that_reads_them_keeps_its_lease(engine: Engine) -> None:
    world, stored, _traffic, _old = begun(engine)
    assert looked_by(world, stored, "worker-1") is not None
    assert looked_by(world, stored, "worker-2") is None
