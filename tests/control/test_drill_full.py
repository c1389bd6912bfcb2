"""A full drill sends users to the release before and brings them home, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan

from pilotage.control.drill_finish import end_lost_drills
from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.canonical import parse_json
from pilotage.core.reason import Refusal
from pilotage.incident.records import HardKind
from pilotage.store.drills import StoredDrill, valid_drills
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import Route, database_time, read_route
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProber, RolloutWorld

pytestmark = pytest.mark.store
SUPPORT, LEAD, STARTER = "dina.kowalski", "elena.marchetti", "luis.ortega"


class Killed(BaseException):
    """The process that drills goes away."""


def world_of(engine: Engine, *, releases: int = 2) -> tuple[RolloutWorld, list[str]]:
    """Return a world in which each release served in the east after the one before."""
    world = make_world(engine, with_plan(bank(), small_plan()))
    sealed = [world.seal(f"Number {number}.") for number in range(releases)]
    for release in sealed:
        world.clock.advance(timedelta(days=1))
        world.serve(release, [EAST])
    world.ports = replace(world.ports, probe=FakeProber(processes=world.processes.names))
    return world, list(sealed)


def full(
    world: RolloutWorld, *, actor: str = LEAD, sleep: Callable[[float], None] | None = None
) -> StoredDrill | Refusal:
    return drill_rollback(
        world.instance,
        world.ports,
        actor=world.person(actor),
        request=DrillRequest(workflow=WORKFLOW, space=EAST, full=True),
        sleep=sleep or (lambda _seconds: world.follow()),
    )


def route_of(world: RolloutWorld) -> Route:
    with world.engine.connect() as connection:
        return read_route(connection, EAST, WORKFLOW)


def codes(found: StoredDrill | Refusal) -> list[str]:
    assert isinstance(found, Refusal), found
    return [reason.code for reason in found.reasons]


def test_users_go_to_the_release_before_and_come_home_with_both_ways_measured(engine: Engine) -> None:
    world, (old, new) = world_of(engine)
    served: list[str | None] = []
    with engine.connect() as connection:
        since = database_time(connection)

    def sleep(_seconds: float) -> None:
        served.append(route_of(world).stable)
        world.follow()

    done = full(world, sleep=sleep)
    assert isinstance(done, StoredDrill)
    assert done.state == "passed", done.report
    assert (done.release, done.report["full"]) == (new, True)
    assert done.report["seconds_to_zero_traffic"] < 30
    assert set(done.report["processes_returning"]) == set(world.processes.names)
    assert old in served
    route = route_of(world)
    assert (route.stable, route.drill) == (new, None)
    query = text("SELECT bytes FROM ledger_entry WHERE kind = 'route.changed' AND inserted_at > :since")
    with engine.connect() as connection:
        entries = [parse_json(body) for body in connection.scalars(query, {"since": since})]
    moved = {entry["data"]["release"] for entry in entries if isinstance(entry, dict)}
    assert (len(entries), moved) == (2, {new, old})


def test_a_full_drill_needs_the_operations_lead_and_a_release_to_go_to(engine: Engine) -> None:
    world, _ = world_of(engine, releases=1)
    assert codes(full(world, actor=SUPPORT)) == ["NOT_PERMITTED"]
    assert codes(full(world)) == ["NO_ROLLBACK_TARGET"]
    assert route_of(world).drill is None


def test_no_user_is_moved_during_a_rollout_or_a_freeze(engine: Engine) -> None:
    world, _ = world_of(engine)
    newest = world.seal("Newest.")
    pass_drills(world, newest)
    request = StartRequest(release=newest, space=EAST, per_day=4_800_000, accepted=True)
    started = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(started, Started)
    assert not started.against
    assert codes(full(world)) == ["ROLLOUT_ACTIVE"]
    hard = RollbackRequest(workflow=WORKFLOW, reason="leak", hard=HardKind.SECURITY_BREACH)
    assert not isinstance(roll_back(world.instance, actor=world.person(STARTER), request=hard), Refusal)
    assert "FREEZE" in codes(full(world))


def test_a_process_that_never_loads_the_release_before_keeps_users_where_they_are(engine: Engine) -> None:
    world, (_, new) = world_of(engine)
    start = route_of(world).generation
    with engine.begin() as connection:
        connection.execute(text("UPDATE route_ack SET at = clock_timestamp() - interval '1 h'"))
    ticks = iter([None] * 3)

    def sleep(_seconds: float) -> None:
        if next(ticks, "over") == "over":
            raise Killed

    with pytest.raises(Killed):
        full(world, sleep=sleep)
    route = route_of(world)
    assert (route.stable, route.drill, route.generation) == (new, None, start + 2)


def test_an_interrupted_drill_brings_users_home_and_has_failed(engine: Engine) -> None:
    world, (old, new) = world_of(engine)

    def sleep(_seconds: float) -> None:
        if route_of(world).stable == old:
            raise Killed
        world.follow()

    with pytest.raises(Killed):
        full(world, sleep=sleep)
    route = route_of(world)
    assert (route.stable, route.drill) == (new, None)
    with engine.connect() as connection:
        assert valid_drills(connection, WORKFLOW, now=world.clock.now()) == ()
        row = connection.execute(text("SELECT state, incident FROM drill")).one()
        assert row.state == "failed"
        states = connection.scalars(text("SELECT state FROM incident WHERE is_drill"))
        assert list(states) == ["closed"]


def lost(world: RolloutWorld, old: str) -> None:
    """Let a full drill lose its process while users are away; nothing of it runs any more."""
    seen: dict[str, str] = {}

    def sleep(_seconds: float) -> None:
        if route_of(world).stable == old:
            with world.engine.connect() as connection:
                seen["arm"] = connection.execute(text("SELECT drill::text FROM routing")).scalar_one()
                seen["report"] = connection.execute(text("SELECT report::text FROM drill")).scalar_one()
            raise Killed
        world.follow()

    with pytest.raises(Killed):
        full(world, sleep=sleep)
    # What the interrupted process did last is undone: a killed one would not have got to it.
    with world.engine.begin() as connection:
        values = {"stable": old, "arm": seen["arm"]}
        connection.execute(text("UPDATE routing SET stable = :stable, drill = CAST(:arm AS jsonb)"), values)
        undo = "UPDATE drill SET state = 'running', finished_at = NULL, report = CAST(:report AS jsonb)"
        connection.execute(text(undo), {"report": seen["report"]})


def test_a_drill_whose_process_was_killed_is_ended_by_the_worker_and_users_go_home(engine: Engine) -> None:
    world, (old, new) = world_of(engine)
    lost(world, old)
    with engine.begin() as connection:
        assert end_lost_drills(connection, world.instance) == ()
    world.clock.advance(timedelta(minutes=11))
    with engine.begin() as connection:
        (ended,) = end_lost_drills(connection, world.instance)
        assert end_lost_drills(connection, world.instance) == ()
    assert (ended.state, route_of(world).stable, route_of(world).drill) == ("failed", new, None)


def test_users_are_not_brought_back_to_what_was_withdrawn_meanwhile(engine: Engine) -> None:
    world, (old, new) = world_of(engine)
    lost(world, old)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET state = 'revoked' WHERE digest = :new"), {"new": new})
    world.clock.advance(timedelta(minutes=11))
    with engine.begin() as connection:
        (ended,) = end_lost_drills(connection, world.instance)
    assert "not brought home" in " ".join(ended.report["against"])
    assert (route_of(world).stable, route_of(world).drill) == (old, None)


@pytest.mark.parametrize("hard", [None, HardKind.SECURITY_BREACH])
def test_a_rollback_while_users_are_away_leaves_what_they_came_from(engine: Engine, hard: HardKind | None) -> None:
    world, (old, new) = world_of(engine)
    rolled: list[StoredRollout] = []

    def sleep(_seconds: float) -> None:
        if route_of(world).stable == old and not rolled:
            request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", space=EAST, hard=hard)
            moved = roll_back(world.instance, actor=world.person(LEAD), request=request)
            assert not isinstance(moved, Refusal)
            rolled.extend(moved)
        world.follow()

    done = full(world, sleep=sleep)
    assert isinstance(done, StoredDrill)
    assert done.state == "failed"
    assert "not brought home" in " ".join(done.report["against"])
    assert [(one.release, one.target) for one in rolled] == [(new, old)]
    route = route_of(world)
    assert (route.stable, route.drill) == (old, None)
    with engine.connect() as connection:
        assert list(connection.scalars(text("SELECT release FROM space_quarantine"))) == [new]


def test_nobody_starts_a_rollout_while_a_drill_holds_the_users(engine: Engine) -> None:
    world, (old, _) = world_of(engine)
    lost(world, old)
    newest = world.seal("Newest.")
    pass_drills(world, newest)
    request = StartRequest(release=newest, space=EAST, per_day=4_800_000, accepted=True)
    started = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(started, Started)
    assert [one.code for one in started.against] == ["DRILL_RUNNING"]
    assert codes(full(world))[0] == "DRILL_RUNNING"
