"""Deleting all queue rows at any time delays work, but loses and repeats no effect."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from pilotage.control.instance import Instance
from pilotage.jobs.handlers import Registry, Work
from pilotage.jobs.lease import Lease
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.work import QueueWorker
from pilotage.store.runs import Done, Outcome, RunState, find_run, request_run
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter

pytestmark = pytest.mark.store


def _count(_instance: Instance, lease: Lease) -> Outcome:
    with lease.fenced() as connection:
        EffectCounter.write(connection, lease.run.key)
        lease.finish(connection, Done())
    return Done()


REGISTRY = Registry(works={"count": Work(act=_count)})


def _wipe(instance: Instance) -> None:
    with instance.engine.begin() as connection:
        connection.execute(text("TRUNCATE procrastinate.procrastinate_jobs CASCADE"))


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 100))])
def test_wiping_the_queue_between_any_two_turns_loses_and_repeats_no_effect(
    instance: Instance, effects: EffectCounter, seed: int
) -> None:
    dice = random.Random(seed)
    names = [f"k{number}" for number in range(12)]
    with instance.engine.begin() as connection:
        for name in names:
            request_run(connection, kind="count", key=name, due_at=instance.clock.now())
    reconciler, worker = Reconciler(instance, REGISTRY), QueueWorker(instance, REGISTRY)
    moves = [reconciler.turn, lambda: _wipe(instance), worker.drain]
    for _ in range(8):
        dice.choice(moves)()
    reconciler.turn()
    worker.drain()
    assert effects.counts() == dict.fromkeys(names, 1)


def test_a_job_that_is_delivered_twice_or_late_has_one_effect(instance: Instance, effects: EffectCounter) -> None:
    with instance.engine.begin() as connection:
        request_run(connection, kind="count", key="once", due_at=instance.clock.now())
    reconciler, worker = Reconciler(instance, REGISTRY), QueueWorker(instance, REGISTRY)
    reconciler.turn()
    with instance.engine.begin() as connection:
        connection.execute(text("SET LOCAL search_path TO procrastinate"))
        connection.execute(
            text(
                "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, args)"
                " SELECT queue_name, task_name, args FROM procrastinate.procrastinate_jobs"
            )
        )
    worker.drain()
    reconciler.turn()
    worker.drain()
    assert effects.counts() == {"once": 1}


def test_turns_without_a_worker_queue_a_run_once(instance: Instance) -> None:
    with instance.engine.begin() as connection:
        request_run(connection, kind="count", key="once", due_at=instance.clock.now())
    reconciler = Reconciler(instance, REGISTRY)
    for _ in range(3):
        reconciler.turn()
    with instance.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM procrastinate.procrastinate_jobs")).scalar_one() == 1


def test_a_job_left_in_doing_by_a_dead_worker_is_failed_and_its_lock_freed(
    instance: Instance, effects: EffectCounter
) -> None:
    with instance.engine.begin() as connection:
        request_run(connection, kind="count", key="once", due_at=instance.clock.now())
    reconciler, worker = Reconciler(instance, REGISTRY), QueueWorker(instance, REGISTRY)
    reconciler.turn()
    with instance.engine.begin() as connection:
        connection.execute(text("SET LOCAL search_path TO procrastinate"))
        # Fetched by a worker whose row was pruned since: Procrastinate alone would leave it in `doing` for ever.
        connection.execute(text("UPDATE procrastinate.procrastinate_jobs SET status = 'doing', worker_id = NULL"))
    reconciler.turn()
    worker.drain()
    assert effects.counts() == {"once": 1}


def test_work_of_an_unknown_kind_is_left_for_a_newer_worker(instance: Instance, clock: SimulatedClock) -> None:
    with instance.engine.begin() as connection:
        request_run(connection, kind="from_the_future", key="x", due_at=clock.now())
    clock.advance(timedelta(days=1))
    Reconciler(instance, REGISTRY).turn()
    with instance.engine.connect() as connection:
        run = find_run(connection, "from_the_future", "x")
    assert run is not None
    assert (run.state, run.attempt) == (RunState.DUE, 0)


def test_a_waiting_worker_hears_of_new_work_survives_a_lost_database_session_and_ends_when_stopped(
    instance: Instance, effects: EffectCounter
) -> None:
    stop = threading.Event()
    reconciler, worker = Reconciler(instance, REGISTRY), QueueWorker(instance, REGISTRY)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    for name in ("before", "after"):
        with instance.engine.begin() as connection:
            request_run(connection, kind="count", key=name, due_at=instance.clock.now())
        while name not in effects.counts():
            reconciler.turn()
        with instance.engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'pilotage queue' AND datname = current_database()"
                )
            )
    stop.set()
    thread.join()
    assert effects.counts() == {"before": 1, "after": 1}
