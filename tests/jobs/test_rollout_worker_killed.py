"""`kill -9` of the process that moves a rollout: it ends once, with one incident and one page, whatever was cut."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.rollout.states import State
from pilotage.store.engine import make_engine
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld

pytestmark = pytest.mark.store


def _begin(engine: Engine) -> tuple[RolloutWorld, str]:
    traffic = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0), candidate=Behaviour(error=0.2))
    world = make_world(engine, with_plan(bank(), small_plan()), observe=traffic)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    return world, done.rollout.id


def _worker(url: str, world: RolloutWorld, rollout: str, number: int) -> Callable[[], None]:
    """Return the body of a process that moves the rollout, its clock running a minute with every look."""

    def body() -> None:
        mine = replace(world, engine=make_engine(url), ports=replace(world.ports, owner=f"worker-{number}"))
        while True:
            mine.clock.advance(timedelta(seconds=31))
            mine.follow()
            with mine.engine.begin() as connection:
                reconcile_rollout(connection, mine.instance, mine.ports, rollout)

    return body


def _kill_after(seconds: float, body: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
            body()
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("kills", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_a_rollout_killed_at_random_moments_ends_once(engine: Engine, database_url: str, kills: int) -> None:
    dice = random.Random(kills)
    cut = 0
    while cut < kills:
        world, rollout = _begin(engine)
        for _ in range(min(5, kills - cut)):
            cut += 1
            _kill_after(dice.uniform(0.02, 0.4), _worker(database_url, world, rollout, cut))
            with engine.begin() as connection:  # the dead worker's lease ends now instead of in ten seconds
                connection.execute(text("UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"))
        world.clock.advance(timedelta(hours=2))
        stored = world.step(rollout)
        for _ in range(20):
            if stored.state.is_over:
                break
            stored = world.step(rollout, timedelta(seconds=61))
        assert stored.state is State.ROLLED_BACK
        with engine.connect() as connection:
            query = text("SELECT kind, count(*) FROM ledger_entry WHERE subject = :id GROUP BY kind")
            entries = {row[0]: row[1] for row in connection.execute(query, {"id": rollout})}
            incidents = connection.scalar(text("SELECT count(*) FROM incident WHERE cause = 'statistical trip'"))
            pages = connection.scalar(
                text("SELECT count(*) FROM outbox WHERE payload->>'title' LIKE 'SEV2%' AND payload->>'kind' = 'page'")
            )
        assert set(entries.values()) == {1}, entries
        assert {"rollback.started", "rollback.traffic_zero", "rollback.verified"} <= entries.keys()
        assert (incidents, pages) == (1, 1)
