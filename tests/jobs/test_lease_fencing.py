"""A paused holder that wakes after its lease has ended changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from pilotage.control.instance import Instance
from pilotage.jobs.handlers import Registry, Work
from pilotage.jobs.lease import Lease
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.work import QueueWorker, do_work
from pilotage.store.runs import (
    Again,
    Done,
    LeaseLost,
    Outcome,
    Run,
    RunState,
    fail_abandoned,
    find_run,
    finish_run,
    record_failure,
    renew_lease,
    request_run,
    retry_failed,
    take_lease,
)
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter

pytestmark = pytest.mark.store


def _take(engine: Engine, clock: SimulatedClock, owner: str, generation: int = 0) -> Run | None:
    with engine.begin() as connection:
        return take_lease(connection, kind="k", key="a", generation=generation, owner=owner, now=clock.now())


def _taken(engine: Engine, clock: SimulatedClock, owner: str, generation: int = 0) -> Run:
    run = _take(engine, clock, owner, generation)
    assert run is not None
    return run


def _expire(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE run SET lease_until = clock_timestamp() - interval '1 second'"))


def _found(engine: Engine) -> Run:
    with engine.connect() as connection:
        run = find_run(connection, "k", "a")
    assert run is not None
    return run


@pytest.fixture
def requested(instance: Instance, clock: SimulatedClock) -> Engine:
    with instance.engine.begin() as connection:
        request_run(connection, kind="k", key="a", due_at=clock.now(), payload={"n": 1})
    return instance.engine


@pytest.mark.parametrize("taken_by_another", [False, True])
def test_after_its_lease_has_ended_no_write_of_the_old_holder_works(
    requested: Engine, clock: SimulatedClock, effects: EffectCounter, taken_by_another: bool
) -> None:
    old = _taken(requested, clock, "old")
    _expire(requested)
    if taken_by_another:
        _taken(requested, clock, "new", generation=old.generation)
    lease = Lease(requested, old)
    before = _found(requested)
    with pytest.raises(LeaseLost), lease.fenced() as connection:
        effects.write(connection, "written by the old holder")
    with pytest.raises(LeaseLost), requested.begin() as connection:
        finish_run(connection, old, Done())
    with pytest.raises(LeaseLost), requested.begin() as connection:
        renew_lease(connection, old)
    assert _found(requested) == before
    assert effects.counts() == {}


def test_a_failure_of_the_old_holder_does_not_touch_the_new_ones_run(requested: Engine, clock: SimulatedClock) -> None:
    old = _taken(requested, clock, "old")
    _expire(requested)
    new = _taken(requested, clock, "new", generation=old.generation)
    with requested.begin() as connection:
        assert record_failure(connection, old, "late", clock.now()) is None
    assert _found(requested).generation == new.generation
    assert new.attempt == 1  # a holder that vanished counts as a failure


def test_one_lease_at_a_time_and_only_of_the_generation_that_was_queued(
    requested: Engine, clock: SimulatedClock
) -> None:
    assert _take(requested, clock, "too old", generation=7) is None
    held = _taken(requested, clock, "first")
    assert _take(requested, clock, "second", generation=held.generation) is None
    with requested.begin() as connection:
        renew_lease(connection, held)
        finish_run(connection, held, Done())
    assert _take(requested, clock, "third", generation=held.generation) is None
    assert _found(requested).state is RunState.DONE


def test_work_asked_for_while_it_runs_stays_due(requested: Engine, clock: SimulatedClock) -> None:
    held = _taken(requested, clock, "first")
    with requested.begin() as connection:
        request_run(connection, kind="k", key="a", due_at=clock.now())
    with requested.begin() as connection:
        finish_run(connection, held, Done())
    assert _found(requested).state is RunState.DUE
    assert _found(requested).payload == {"n": 1}
    _taken(requested, clock, "again", generation=held.generation)


def test_a_run_whose_worker_died_five_times_is_failed_and_a_person_can_retry_it(
    requested: Engine, clock: SimulatedClock
) -> None:
    generation = 0
    for _ in range(5):
        generation = _taken(requested, clock, "doomed", generation).generation
        _expire(requested)
    with requested.begin() as connection:
        assert [run.name for run in fail_abandoned(connection)] == ["k:a"]
    assert (_found(requested).state, _found(requested).last_error) == (RunState.FAILED, "Its worker doomed vanished.")
    with requested.begin() as connection:
        assert retry_failed(connection, "k", "a", clock.now())
        assert not retry_failed(connection, "k", "a", clock.now())
    assert (_found(requested).state, _found(requested).attempt) == (RunState.DUE, 0)


def test_leased_work_that_raises_five_times_is_failed_with_its_reason_and_without_foreign_text(
    instance: Instance, requested: Engine, clock: SimulatedClock
) -> None:
    def explode(_instance: Instance, _lease: Lease) -> Outcome:
        message = "the customer's name is in here"
        raise ValueError(message)

    registry = Registry(works={"k": Work(act=explode)})
    reconciler, worker = Reconciler(instance, registry), QueueWorker(instance, registry)
    for _ in range(5):
        reconciler.turn()
        worker.drain()
        clock.advance(timedelta(minutes=1))
    reconciler.turn()
    run = _found(requested)
    assert (run.state, run.attempt) == (RunState.FAILED, 5)
    assert run.last_error is not None
    assert run.last_error.startswith("ValueError at explode:")
    assert "customer" not in run.last_error


def test_work_may_go_on_later_and_finds_its_lease_lost_in_the_middle(
    instance: Instance, requested: Engine, clock: SimulatedClock, effects: EffectCounter
) -> None:
    def later(_instance: Instance, _lease: Lease) -> Outcome:
        return Again(at=clock.now() + timedelta(hours=1))

    assert do_work(instance, Registry(works={"k": Work(act=later)}), kind="k", key="a", generation=0, owner="w")
    assert _found(requested).due_at == clock.now() + timedelta(hours=1)
    clock.advance(timedelta(hours=1))

    def paused(_instance: Instance, lease: Lease) -> Outcome:
        _expire(requested)
        with lease.fenced() as connection:
            effects.write(connection, "written after the lease was lost")
        return Done()

    assert do_work(instance, Registry(works={"k": Work(act=paused)}), kind="k", key="a", generation=1, owner="w")
    assert _found(requested).state is RunState.DUE
    assert effects.counts() == {}
    assert not do_work(instance, Registry(), kind="k", key="a", generation=2, owner="w")


def test_work_that_is_never_given_up_is_tried_each_hour_and_counted(
    requested: Engine, instance: Instance, clock: SimulatedClock
) -> None:
    def act(_instance: Instance, _lease: Lease) -> Outcome:
        raise OSError("The disk is full.")

    registry = Registry(works={"k": Work(act=act)}, endless={"k": timedelta(hours=1)})
    begun = clock.now()
    for generation in range(20):
        clock.advance(max(timedelta(0), _found(requested).due_at - clock.now()))
        assert do_work(instance, registry, kind="k", key="a", generation=generation, owner="w")
    found = _found(requested)
    assert (found.state, found.attempt) == (RunState.DUE, 20)
    assert found.due_at - clock.now() == timedelta(hours=1)
    assert clock.now() - begun > timedelta(hours=7)
