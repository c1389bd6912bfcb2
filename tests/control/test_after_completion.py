"""A release that completed is watched for late regressions while it serves, and taken back by the first that alarms."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.begin_watch import RUN_KIND
from pilotage.control.count_observations import count_observations
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.rollout_status import rollout_status
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.control.watch_completed import watch_completed, watch_unwatched
from pilotage.core.digest import Digest
from pilotage.incident.records import Severity
from pilotage.jobs.handlers import Registry
from pilotage.jobs.late_watch import look_at_completed
from pilotage.jobs.reconciler import Reconciler
from pilotage.rollout.assignment import Arm
from pilotage.rollout.states import State
from pilotage.store.release_watches import ReleaseWatch, watches_of
from pilotage.store.rollouts import find_rollout
from pilotage.store.routes import read_route
from pilotage.store.runs import RunState, find_run
from pilotage.testing.kills import lives_past
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Limits, Step

pytestmark = pytest.mark.store
LIMITS = Limits(error_go=0.009, ungrounded_go=0.04, policy_go=0.009)
PLAN = replace(small_plan(Step(name="full", weight=1.0, bake_s=3600, limits=LIMITS)), watch_s=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    world: RolloutWorld
    old: Digest
    new: Digest
    rollout: str
    traffic: RecordedTraffic

    def look(self) -> bool:
        with self.world.engine.begin() as connection:
            return watch_completed(connection, self.world.instance, self.rollout)

    def watch(self) -> ReleaseWatch:
        with self.world.engine.connect() as connection:
            (found,) = watches_of(connection, self.rollout)
        return found

    def stable(self) -> Digest | None:
        with self.world.engine.connect() as connection:
            return read_route(connection, EAST, WORKFLOW).stable

    def ask(self, requests: int, **faults: float) -> None:
        self.traffic.faults = {Arm.STABLE: Faults(**faults)}
        self.traffic.ask(requests)

    def status(self) -> Any:
        return rollout_status(self.world.instance, self.rollout)


def completed(engine: Engine) -> Completed:
    """Return a release that became the stable one a moment ago, by the real reconciler."""
    world = make_world(engine, with_plan(bank(), PLAN), observe=count_observations)
    old = world.seal("Old.")
    world.serve(old, [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    traffic = RecordedTraffic(world=world, space=EAST)
    traffic.ask(900)
    for _ in range(6):
        stored = world.step(stored.id, timedelta(minutes=31))
    assert stored.state is State.COMPLETED, stored.why
    return Completed(world=world, old=old, new=new, rollout=stored.id, traffic=traffic)


@pytest.mark.feature("D13.46")
def test_a_late_regression_takes_a_completed_release_back_by_itself(engine: Engine) -> None:
    it = completed(engine)
    it.ask(2_000)
    assert it.look()
    quiet = it.status()["watched"][0]
    assert (quiet["space"], quiet["requests"], quiet["ended_why"]) == (EAST, 2_000, None)
    assert quiet["tests"]["trip.error_late"]["threshold"] == "18.981439"  # log of 480,000 x 365 requests a year
    assert quiet["tests"]["trip.error_late"]["standing"] == "quiet"

    looks = 0
    while it.stable() == it.new:
        it.ask(100, error=0.08)
        it.world.clock.advance(timedelta(minutes=40))
        it.look()
        looks += 1
        assert looks < 20
    assert it.stable() == it.old
    assert not it.look(), "taken back, it is watched no more"
    shown = it.status()["watched"][0]
    assert (shown["ended_why"], shown["tests"]["trip.error_late"]["standing"]) == ("regression", "fired")
    with engine.connect() as connection:
        carrier = find_rollout(connection, shown["rollback"])
        assert carrier is not None
        incident = connection.execute(text("SELECT severity, cause, verdict, freezes FROM incident")).one()
        kept = connection.scalars(
            text("SELECT rollout FROM rollout_verdict WHERE digest = :d"), {"d": carrier.decision}
        )
        assert {*kept} == {it.rollout, carrier.id}
        pages = connection.scalar(text("SELECT count(*) FROM outbox WHERE payload->>'kind' = 'page'"))
        quarantined = connection.scalars(text("SELECT release FROM space_quarantine")).all()
    assert carrier.state is State.ROLLING_BACK
    assert carrier.why[0].where == "trip.error_late"
    assert "starting late" in carrier.why[0].text
    assert tuple(incident) == (Severity.SEV2, "statistical trip", carrier.decision, True)
    assert pages == 1
    assert quarantined == [it.new]
    it.world.step(carrier.id, timedelta(seconds=2))
    assert it.world.step(carrier.id, timedelta(seconds=70)).state is State.ROLLED_BACK


def test_the_alarm_follows_the_traffic_that_was_measured_where_preflight_reckoned_with_less(engine: Engine) -> None:
    it = completed(engine)
    assert it.watch().per_year == 365 * 480_000
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_watch SET per_year = 100000"))
    for _ in range(8):
        it.ask(400)
        it.world.clock.advance(timedelta(days=1))
    assert it.look()
    assert it.watch().per_year == pytest.approx(365 * 3_200 / 7)
    assert it.status()["watched"][0]["tests"]["trip.error_late"]["threshold"] == f"{math.log(365 * 3_200 / 7):.6f}"
    with engine.begin() as connection:
        watch_unwatched(connection, it.world.instance)
        connection.execute(text("DELETE FROM release_watch"))
        connection.execute(text("UPDATE rollout SET preflight = '{}'"))
        watch_unwatched(connection, it.world.instance)
    assert it.watch().per_year == 365 * 4_100 / 8, "begun anew: the mean day of the last two weeks"


def test_what_an_observation_counts_it_counts_once_whoever_looks_and_dies(engine: Engine) -> None:
    it = completed(engine)
    first = it.watch().sums
    for n in range(3):
        it.ask(300, error=0.004)
        before, deaths = it.watch(), 0
        while not lives_past(1 + deaths, engine, lambda killed: _look(it, killed)):
            deaths += 1
            assert it.watch() == before, "a look that died left something behind"
        assert deaths >= 4
        assert it.look()
        assert it.watch().sums["requests"] == 300 * (n + 1)
    whole = it.watch()
    with engine.begin() as connection:  # the same records again, from the start: the same bits
        again = text("UPDATE release_watch SET cursor = counted_from - 1, sums = :sums")
        connection.execute(again, {"sums": json.dumps(first)})
    assert it.look()
    assert it.watch() == whole


def _look(it: Completed, engine: Engine) -> None:
    with engine.begin() as connection:
        watch_completed(connection, replace(it.world.instance, engine=engine), it.rollout)


def test_killed_after_every_statement_a_late_regression_ends_once(engine: Engine) -> None:
    it = completed(engine)
    it.ask(400, error=0.6)
    deaths = 0
    while not lives_past(1 + 3 * deaths, engine, lambda killed: _look(it, killed)):
        deaths += 1
        assert it.stable() == it.new
        assert it.watch().ended_at is None
    assert deaths >= 8
    assert it.stable() == it.old
    with engine.connect() as connection:
        for table in ("incident", "space_quarantine"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 1
        started = text("SELECT count(*) FROM ledger_entry WHERE kind = 'rollback.started' AND subject = :id")
        assert connection.scalar(started, {"id": it.watch().rollback}) == 1


@pytest.mark.feature("D13.46")
def test_the_watch_ends_when_the_release_leaves_and_begins_anew_when_it_is_back(engine: Engine) -> None:
    it = completed(engine)
    it.ask(50, error=0.05)
    assert it.look()
    it.world.serve(it.world.seal("Newest."), [EAST])
    assert not it.look()
    assert it.watch().ended_why == "left"
    it.ask(50, error=1.0)
    assert not it.look()
    it.world.serve(it.new, [EAST])
    with engine.begin() as connection:
        watch_unwatched(connection, it.world.instance)
    again = it.watch()
    assert (again.ended_at, again.sums["requests"]) == (None, 0)
    assert it.look()
    assert it.watch().sums["requests"] == 0, "what was asked meanwhile was another release's"


def test_a_worker_watches_on_after_a_restart_and_what_an_older_version_completed(engine: Engine) -> None:
    it = completed(engine)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE run"))
        connection.execute(text("DELETE FROM release_watch"))
        watch_unwatched(connection, it.world.instance)
        watch_unwatched(connection, it.world.instance)
    reconciler = Reconciler(it.world.instance, Registry(steps={RUN_KIND: look_at_completed}))
    it.ask(120)
    assert reconciler.turn() == 1
    assert it.watch().sums["requests"] == 120
    it.world.serve(it.old, [EAST])
    it.world.clock.advance(timedelta(seconds=1))
    reconciler.turn()
    with engine.connect() as connection:
        run = find_run(connection, RUN_KIND, it.rollout)
    assert run is not None
    assert run.state is RunState.DONE


def test_testers_and_other_traffic_are_outside_and_an_unknown_release_is_lost(engine: Engine) -> None:
    it = completed(engine)
    it.ask(60)
    with engine.begin() as connection:
        newest = "WHERE id IN (SELECT id FROM interaction ORDER BY id DESC LIMIT 10)"
        connection.execute(text(f"UPDATE interaction SET kind = 'synthetic', outcome = 'lost' {newest}"))
        oldest = "WHERE id IN (SELECT id FROM interaction WHERE kind = 'user' ORDER BY id DESC LIMIT 1)"
        connection.execute(text(f"UPDATE interaction SET release = 'sha256:{'9' * 64}' {oldest}"))
    it.look()
    assert it.watch().sums["requests"] == 50
    assert it.watch().sums["quarantined"] == 1
    assert it.watch().sums["counts"]["error"] == [50, 1]


def test_a_rollout_that_never_was_is_not_watched(engine: Engine) -> None:
    world = make_world(engine)
    with engine.begin() as connection:
        assert not watch_completed(connection, world.instance, "ghost")
        watch_unwatched(connection, world.instance)
        assert reconcile_rollout(connection, world.instance, world.ports, "ghost") is None
