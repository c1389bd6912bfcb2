"""Steps move in one transaction each: nothing lost, nothing repeated, failures counted and visible."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, text

from pilotage.control.instance import Instance
from pilotage.control.refresh_tools import RefreshTools
from pilotage.core.errors import Conflict
from pilotage.jobs.handlers import Registry, Work
from pilotage.jobs.ledger_checks import KIND as LEDGER
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.schedules import REFRESH, make_registry
from pilotage.store.runs import Again, Done, Outcome, Run, RunState, find_run, request_run
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter

pytestmark = pytest.mark.store


def _request(instance: Instance, key: str) -> None:
    with instance.engine.begin() as connection:
        request_run(connection, kind="step", key=key, due_at=instance.clock.now())


def _found(instance: Instance, key: str) -> Run:
    with instance.engine.connect() as connection:
        run = find_run(connection, "step", key)
    assert run is not None
    return run


@pytest.mark.feature("D13.25")
def test_a_wait_of_two_days_is_a_row_that_moves_when_it_is_due(
    instance: Instance, clock: SimulatedClock, effects: EffectCounter
) -> None:
    def bake(_instance: Instance, connection: Connection, run: Run) -> Outcome:
        effects.write(connection, run.key)
        return Done() if clock.now().day == 4 else Again(at=clock.now() + timedelta(hours=48))

    reconciler = Reconciler(instance, Registry(steps={"step": bake}))
    _request(instance, "rollout")
    assert reconciler.turn() == 1
    clock.advance(timedelta(hours=47))
    assert reconciler.turn() == 0
    clock.advance(timedelta(hours=1))
    assert reconciler.turn() == 1
    assert _found(instance, "rollout").state is RunState.DONE
    assert effects.counts() == {"rollout": 2}


def test_a_failing_step_leaves_nothing_behind_and_is_failed_after_five_attempts(
    instance: Instance, clock: SimulatedClock, effects: EffectCounter
) -> None:
    def refuse(_instance: Instance, connection: Connection, run: Run) -> Outcome:
        effects.write(connection, run.key)
        raise Conflict("GATE_MOVED", "The gate moved.")

    reconciler = Reconciler(instance, Registry(steps={"step": refuse}))
    _request(instance, "bad")
    turns = 0
    while _found(instance, "bad").state is RunState.DUE:
        turns += reconciler.turn()
        clock.advance(timedelta(seconds=1))
    run = _found(instance, "bad")
    assert (turns, run.attempt, run.last_error) == (5, 5, "GATE_MOVED: The gate moved.")
    assert effects.counts() == {}
    assert reconciler.turn() == 0


def test_a_step_that_never_ends_is_tried_again_for_ever_and_at_least_every_30_seconds(
    instance: Instance, clock: SimulatedClock
) -> None:
    looks = []

    def look(_instance: Instance, _connection: Connection, _run: Run) -> Outcome:
        looks.append(clock.now())
        if len(looks) <= 12:
            raise Conflict("ROUTE_MOVED", "The row moved.")
        return Done()

    reconciler = Reconciler(instance, Registry(steps={"step": look}, endless={"step": timedelta(seconds=30)}))
    _request(instance, "watch")
    begun = clock.now()
    while _found(instance, "watch").state is RunState.DUE and clock.now() - begun < timedelta(minutes=6):
        reconciler.turn()
        clock.advance(timedelta(seconds=1))
    assert len(looks) == 13
    assert max(after - before for before, after in pairwise(looks)) == timedelta(seconds=30)
    assert (_found(instance, "watch").state, _found(instance, "watch").attempt) == (RunState.DONE, 0)


def pages(instance: Instance) -> list[str]:
    with instance.engine.connect() as connection:
        rows = connection.execute(text("SELECT payload FROM outbox WHERE kind = 'notification' ORDER BY seq"))
        return [row.payload["text"] for row in rows if row.payload["kind"] == "page"]


@pytest.mark.parametrize(("endless", "ends"), [(False, "given up"), (True, "tried again")])
def test_the_fifth_failure_in_a_row_pages_once(
    instance: Instance, clock: SimulatedClock, *, endless: bool, ends: str
) -> None:
    def refuse(_instance: Instance, _connection: Connection, _run: Run) -> Outcome:
        raise Conflict("GATE_MOVED", "The gate moved.")

    names = {"step": timedelta(seconds=30)} if endless else {}
    reconciler = Reconciler(instance, Registry(steps={"step": refuse}, endless=names))
    _request(instance, "bad")
    for seconds in (0, 1, 2, 4, 8, 16, 30):
        assert len(pages(instance)) == (1 if seconds > 8 else 0)
        clock.advance(timedelta(seconds=seconds))
        reconciler.turn()
    (said,) = pages(instance)
    assert said.startswith("GATE_MOVED: The gate moved. ")
    assert ends in said


def test_nothing_that_recurs_is_ever_given_up() -> None:
    def no_tools(_instance: Instance) -> RefreshTools:
        raise NotImplementedError

    registry = make_registry(no_tools)
    assert set(registry.endless) == {*registry.steps, "takedown", REFRESH, LEDGER}
    assert {registry.endless[kind] for kind in registry.steps} == {timedelta(seconds=30)}
    assert registry.works.keys() >= {"takedown", REFRESH, LEDGER}


def test_a_bad_run_does_not_hold_up_the_others(instance: Instance, effects: EffectCounter) -> None:
    def pick(_instance: Instance, connection: Connection, run: Run) -> Outcome:
        if run.key == "bad":
            # The transaction is broken by the database itself, not only by Python.
            connection.execute(text("SELECT 1 / 0"))
        effects.write(connection, run.key)
        return Done()

    for key in ("a", "bad", "c"):
        _request(instance, key)
    assert Reconciler(instance, Registry(steps={"step": pick})).turn() == 3
    assert effects.counts() == {"a": 1, "c": 1}
    assert _found(instance, "bad").attempt == 1


def test_many_reconcilers_at_once_do_every_step_once(instance: Instance, effects: EffectCounter) -> None:
    def step(_instance: Instance, connection: Connection, run: Run) -> Outcome:
        effects.write(connection, run.key)
        return Done()

    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        _request(instance, key)
    registry = Registry(steps={"step": step})

    def work() -> None:
        reconciler = Reconciler(instance, registry)
        while reconciler.turn():
            pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert effects.counts() == dict.fromkeys(keys, 1)


def test_the_loop_goes_on_when_told_and_ends_when_stopped(instance: Instance, effects: EffectCounter) -> None:
    stop = threading.Event()

    def last(_instance: Instance, connection: Connection, run: Run) -> Outcome:
        effects.write(connection, run.key)
        stop.set()
        return Done()

    reconciler = Reconciler(instance, Registry(steps={"step": last}))
    thread = threading.Thread(target=reconciler.run, args=(stop,))
    thread.start()
    _request(instance, "told")
    reconciler.wake()
    thread.join()
    assert effects.counts() == {"told": 1}


def test_a_kind_is_either_a_step_or_leased_work() -> None:
    def nothing(*_: object) -> Outcome:
        return Done()

    with pytest.raises(ValueError, match="either a step or leased work"):
        Registry(steps={"k": nothing}, works={"k": Work(act=nothing)})
