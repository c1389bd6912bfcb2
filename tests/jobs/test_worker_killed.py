"""`kill -9` of real workers at random moments: every run ends, and its effect happens once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from pilotage.control.instance import Instance
from pilotage.jobs.handlers import Registry, Work
from pilotage.jobs.lease import Lease
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.work import QueueWorker
from pilotage.store.engine import make_engine
from pilotage.store.runs import Done, Outcome, Run, request_run
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter
from pilotage.testing.kills import READY, Say, kill_after

pytestmark = pytest.mark.store


def _step(_instance: Instance, connection: Connection, run: Run) -> Outcome:
    EffectCounter.write(connection, f"step {run.key}")
    return Done()


def _act(_instance: Instance, lease: Lease) -> Outcome:
    time.sleep(0.01)
    with lease.fenced() as connection:
        EffectCounter.write(connection, f"work {lease.run.key}")
        lease.finish(connection, Done())
    return Done()


REGISTRY = Registry(steps={"step": _step}, works={"work": Work(act=_act)})


def _worker(url: str, clock: SimulatedClock) -> Callable[[Say], None]:
    """Return the body of a worker process: reconciler and queue worker until it is killed."""

    def body(say: Say) -> None:
        say(READY)
        instance: Any = SimpleNamespace(engine=make_engine(url), clock=clock)
        stop = threading.Event()
        threading.Thread(target=QueueWorker(instance, REGISTRY).run, args=(stop,), daemon=True).start()
        reconciler = Reconciler(instance, REGISTRY)
        while True:
            reconciler.turn()

    return body


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_workers_killed_at_random_moments_lose_and_repeat_nothing(
    instance: Instance, clock: SimulatedClock, effects: EffectCounter, database_url: str, kills: int
) -> None:
    dice = random.Random(kills)
    expected: dict[str, int] = {}
    for number in range(kills):
        with instance.engine.begin() as connection:
            for kind in ("step", "work"):
                for part in range(5):
                    request_run(connection, kind=kind, key=f"{number}.{part}", due_at=clock.now())
                    expected[f"{kind} {number}.{part}"] = 1
        kill_after(dice.uniform(0.05, 0.5), _worker(database_url, clock))
        with instance.engine.begin() as connection:
            # The dead worker's leases end now instead of in a minute, and its queue rows count as silent.
            connection.execute(
                text("UPDATE run SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL")
            )
            connection.execute(text("DELETE FROM procrastinate.procrastinate_workers"))
    reconciler, worker = Reconciler(instance, REGISTRY), QueueWorker(instance, REGISTRY)
    while effects.counts() != expected and _unfinished(instance):
        reconciler.turn()
        worker.drain()
    assert effects.counts() == expected


def _unfinished(instance: Instance) -> int:
    with instance.engine.connect() as connection:
        count: int = connection.execute(text("SELECT count(*) FROM run WHERE state = 'due'")).scalar_one()
    return count
