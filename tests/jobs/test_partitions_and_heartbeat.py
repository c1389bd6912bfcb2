"""A process shows that it lives; months have their partitions before they begin."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from pilotage.adapters.clock import SystemClock
from pilotage.control.instance import Instance
from pilotage.jobs.handlers import Registry
from pilotage.jobs.heartbeat import Heartbeat, identify
from pilotage.jobs.partitions import KIND, make_partitions, schedule_partitions
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.work import worker_name
from pilotage.store.partitions import ensure_months
from pilotage.store.processes import list_processes
from pilotage.testing.clock import SimulatedClock

pytestmark = pytest.mark.store


def _months(instance: Instance) -> list[str]:
    with instance.engine.connect() as connection:
        found = connection.execute(
            text("SELECT relid::text FROM pg_partition_tree('interaction') WHERE isleaf ORDER BY 1")
        )
        return [name for name in found.scalars() if name != "interaction_default"]


def test_months_are_made_two_ahead_over_the_turn_of_the_year_and_only_once(instance: Instance) -> None:
    with instance.engine.connect() as connection:
        november = datetime(2031, 11, 30, 23, 59, tzinfo=UTC)
        made = ensure_months(connection, november)
        assert made == (date(2031, 11, 1), date(2031, 12, 1), date(2032, 1, 1))
        assert ensure_months(connection, november) == ()
        connection.rollback()


def test_a_month_whose_rows_came_first_stays_in_the_default_partition(instance: Instance) -> None:
    with instance.engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO interaction (id, at, space, workflow, arm, principal, kind, state, outcome, refused,"
                " detail) VALUES ('i', '2033-01-05Z', 's', 'w', 'stable', 'p', 'ask', 'final', 'answered', false, '{}')"
            )
        )
        made = ensure_months(connection, datetime(2033, 1, 20, tzinfo=UTC))
        assert made == (date(2033, 2, 1), date(2033, 3, 1))
        connection.rollback()


def test_the_daily_step_keeps_months_ahead(instance: Instance, clock: SimulatedClock) -> None:
    reconciler = Reconciler(instance, Registry(steps={KIND: make_partitions}))
    schedule_partitions(instance)
    schedule_partitions(instance)
    assert reconciler.turn() == 1
    assert _months(instance) == ["interaction_2026_03", "interaction_2026_04", "interaction_2026_05"]
    clock.advance(timedelta(days=31))
    assert reconciler.turn() == 1
    assert _months(instance)[-1] == "interaction_2026_06"


def test_a_live_process_has_a_row_and_one_that_ends_takes_it_away(instance: Instance) -> None:
    stop, asked = threading.Event(), threading.Event()

    def applied() -> dict[str, int]:
        asked.set()
        return {"policies": 7}

    me = identify("worker", worker_name(instance), instance.clock)
    heartbeat = Heartbeat(instance.engine, SystemClock(), me, applied)
    thread = threading.Thread(target=heartbeat.run, args=(stop,))
    thread.start()
    asked.wait()
    while not (seen := _processes(instance)):
        pass
    assert seen == [(me.id, True)]
    stop.set()
    thread.join()
    assert _processes(instance) == []
    assert heartbeat.skew is None


def _processes(instance: Instance) -> list[tuple[str, bool]]:
    with instance.engine.connect() as connection:
        return [(process.id, process.alive) for process in list_processes(connection)]


def test_a_process_with_a_wrong_clock_knows_that_it_is_unfit(instance: Instance) -> None:
    heartbeat = Heartbeat(instance.engine, SimulatedClock(), identify("serve", "wrong clock", instance.clock))
    heartbeat.beat()
    assert heartbeat.skew is not None
    assert heartbeat.skew.code == "clock_skew"


def test_no_two_process_starts_share_a_name(instance: Instance) -> None:
    assert worker_name(instance) != worker_name(instance)
