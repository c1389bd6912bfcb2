"""Health of spaces as the workers judge it: failover and fail-back as rows, ledger entries and incidents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from tests.control.rollout_world import DECIDER, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.decide_rollout import release_hold
from pilotage.control.fail_back import fail_back
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.control.space_status import space_status
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.control.watch_spaces import watch_spaces
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.rollout.machine import Place
from pilotage.rollout.states import State
from pilotage.space.health import HealthState
from pilotage.store.routes import Route, database_time, read_route
from pilotage.store.space_health import read_health
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Step

pytestmark = pytest.mark.store
ON_CALL = "dina.kowalski"
Entries = Callable[[], list[str]]


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    canary = Step(name="canary", weight=0.05, bake_s=86_400, max_s=2 * 86_400)
    full = Step(name="full", weight=1.0, bake_s=86_400)
    made = make_world(engine, with_plan(bank(), small_plan(canary, full)))
    made.serve(made.seal("Old."))
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE space_health"))
    report(made)
    look(made)
    return made


def report(
    world: RolloutWorld,
    *,
    failures: int = 0,
    spaces: Any = (EAST, WEST, EU),
    age: str = "0 s",
    where: str | None = None,
) -> None:
    """Let every process report on these spaces; what fails, fails them whole or the workflow `where`."""
    reason = Reason(code="MODEL_UNREACHABLE", text="No answer.", where=where)
    reasons = json.dumps([reason.as_json()] if failures else [])
    with world.engine.begin() as connection:
        for name in world.processes.names:
            for space in spaces:
                values = {"p": name, "s": space, "f": failures, "ok": 0 if failures else 3, "r": reasons, "age": age}
                connection.execute(_REPORT, values)


_REPORT = text(
    "INSERT INTO space_report (process, space, at, failures, successes, reasons)"
    " VALUES (:p, :s, clock_timestamp() - CAST(:age AS interval), :f, :ok, CAST(:r AS jsonb))"
    " ON CONFLICT (process, space) DO UPDATE SET at = EXCLUDED.at, failures = EXCLUDED.failures,"
    " successes = EXCLUDED.successes, reasons = EXCLUDED.reasons"
)


def look(world: RolloutWorld, by: timedelta = timedelta()) -> dict[str, HealthState]:
    world.clock.advance(by)
    with world.engine.begin() as connection:
        return {str(one.space): one.state for one in watch_spaces(connection, world.instance)}


def route(world: RolloutWorld, space: str) -> Route:
    with world.engine.connect() as connection:
        return read_route(connection, space, WORKFLOW)


@pytest.fixture
def entries(world: RolloutWorld) -> Entries:
    """Return the entries about the eastern space since the world was well."""
    with world.engine.connect() as connection:
        since = database_time(connection)

    def found() -> list[str]:
        with world.engine.connect() as connection:
            query = text(
                "SELECT kind FROM ledger_entry WHERE kind LIKE 'space.%' AND subject = :east AND inserted_at > :since"
                " ORDER BY kind"
            )
            return list(connection.scalars(query, {"east": EAST, "since": since}))

    return found


def incidents(world: RolloutWorld) -> list[tuple[str, str, str]]:
    with world.engine.connect() as connection:
        query = "SELECT space, severity, state FROM incident WHERE NOT is_drill ORDER BY space"
        return [tuple(row) for row in connection.execute(text(query))]


def test_healthy_spaces_keep_their_askers(world: RolloutWorld, entries: Entries) -> None:
    before = route(world, EAST)
    assert set(look(world).values()) == {HealthState.HEALTHY}
    assert route(world, EAST) == before
    assert entries() == []
    assert incidents(world) == []


def test_two_failed_checks_send_the_askers_to_the_partner_with_entry_and_incident(
    world: RolloutWorld, entries: Entries
) -> None:
    before = route(world, EAST)
    report(world, failures=1, spaces=[EAST])
    assert look(world)[EAST] is HealthState.HEALTHY
    report(world, failures=2, spaces=[EAST])
    assert look(world)[EAST] is HealthState.UNHEALTHY
    after = route(world, EAST)
    assert (after.down, after.failover, after.generation) == (True, WEST, before.generation + 1)
    assert (after.stable, after.candidate) == (before.stable, before.candidate)
    assert (route(world, WEST).down, route(world, EU).down) == (False, False)
    assert entries() == ["space.failed_over", "space.health_changed"]
    assert incidents(world) == [(EAST, "SEV3", "open")]
    look(world)
    assert route(world, EAST) == after  # looking again writes nothing


def test_eu_never_leaves_and_a_production_space_nobody_answers_for_is_a_sev1(world: RolloutWorld) -> None:
    report(world, failures=2, spaces=[EU])
    look(world)
    assert (route(world, EU).down, route(world, EU).failover) == (True, None)
    assert incidents(world) == [(EU, "SEV1", "open")]
    report(world, spaces=[EU])
    look(world)  # three checks passed: without a partner it answers again at once
    assert route(world, EU).down is False
    assert incidents(world) == [(EU, "SEV1", "mitigated")]


def test_a_partner_outside_the_permitted_regions_is_refused_at_run_time_too(world: RolloutWorld) -> None:
    spaces = dict(world.workspace.spaces)
    spaces[EU] = replace(spaces[EU], availability=replace(spaces[EU].availability, partner=WEST))
    world.workspace = replace(world.workspace, spaces=spaces)
    report(world, failures=2, spaces=[EU])
    look(world)
    assert (route(world, EU).down, route(world, EU).failover) == (True, None)


def test_silence_is_failure_and_a_partner_that_is_ill_too_takes_nobody(world: RolloutWorld) -> None:
    report(world, spaces=[EAST, WEST], age="66 s")
    found = look(world)
    assert (found[EAST], found[WEST]) == (HealthState.UNHEALTHY, HealthState.UNHEALTHY)
    assert [(route(world, one).down, route(world, one).failover) for one in (EAST, WEST)] == [(True, None)] * 2
    report(world, spaces=[WEST])
    look(world)
    assert (route(world, WEST).down, route(world, EAST).failover) == (False, WEST)


def test_one_ill_workflow_leaves_the_others_of_the_space_where_they_are(world: RolloutWorld, entries: Entries) -> None:
    with world.engine.begin() as connection:
        connection.execute(_OTHER, {"space": EAST, "workflow": WORKFLOW})
    report(world, failures=2, spaces=[EAST], where=WORKFLOW)
    assert look(world)[EAST] is HealthState.UNHEALTHY
    with world.engine.connect() as connection:
        assert read_route(connection, EAST, "other").down is False
    assert (route(world, EAST).down, route(world, EAST).failover) == (True, WEST)
    assert incidents(world) == [(EAST, "SEV3", "open")]
    report(world, failures=3, spaces=[EAST], where="other")
    look(world)
    with world.engine.connect() as connection:
        assert read_route(connection, EAST, "other").failover == WEST
    assert route(world, EAST).failover == WEST
    assert entries().count("space.failed_over") == 2
    report(world, spaces=[EAST])
    look(world)
    look(world, timedelta(minutes=15))
    with world.engine.connect() as connection:
        assert {read_route(connection, EAST, one).down for one in ("other", WORKFLOW)} == {False}


_OTHER = text(
    "INSERT INTO routing (space, workflow, generation, reason, changed_at)"
    " SELECT space, 'other', 1, 'test', changed_at FROM routing WHERE space = :space AND workflow = :workflow"
)


def outage(world: RolloutWorld) -> None:
    """Let nobody have judged, and nobody have reported, for a while."""
    report(world, age="70 s")
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET checked_at = checked_at - interval '70 s'"))


def test_after_an_outage_in_which_nobody_could_report_silence_sends_nobody_away_for_65_seconds(
    world: RolloutWorld, entries: Entries
) -> None:
    before = route(world, EAST)
    outage(world)
    for by in (timedelta(), timedelta(seconds=64)):
        assert set(look(world, by).values()) == {HealthState.HEALTHY}
        with world.engine.connect() as connection:
            candidate = Candidate(workflow=WORKFLOW, release="sha256:0")
            found = space_fitness(connection, [EAST], of=candidate, now=world.clock.now())
        assert [reason.code for reason in found.unseen if reason.where == EAST][:1] == ["SPACE_UNSEEN"]
    assert (route(world, EAST), entries(), incidents(world)) == (before, [], [])
    assert set(look(world, timedelta(seconds=1)).values()) == {HealthState.UNHEALTHY}
    assert route(world, EAST).down is True


def test_a_space_that_reports_after_an_outage_is_healthy_as_before(world: RolloutWorld, entries: Entries) -> None:
    outage(world)
    look(world)
    report(world)
    assert set(look(world, timedelta(seconds=66)).values()) == {HealthState.HEALTHY}
    with world.engine.connect() as connection:
        health = read_health(connection, EAST)
    assert health is not None
    assert (health.reasons, health.is_blind, entries()) == ((), False, [])


def test_nobody_comes_home_to_a_space_that_nobody_has_heard_of_since_an_outage(world: RolloutWorld) -> None:
    report(world, failures=2, spaces=[EAST])
    look(world)
    report(world, spaces=[EAST])
    look(world)
    look(world, timedelta(minutes=14))
    outage(world)
    assert look(world, timedelta(minutes=1))[EAST] is HealthState.HEALTHY
    assert route(world, EAST).down is True
    refused = fail_back(world.instance, actor=world.person(ON_CALL), space=EAST)
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].observed == "unknown"
    report(world)
    look(world, timedelta(seconds=66))
    assert route(world, EAST).down is False


def test_a_look_locks_no_row_it_does_not_write(world: RolloutWorld) -> None:
    report(world, failures=2, spaces=[EU])
    look(world)
    with world.engine.begin() as rollback, world.engine.begin() as connection:
        rollback.execute(text("SELECT FROM routing FOR UPDATE"))
        connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
        found = watch_spaces(connection, world.instance)
    assert {str(one.space): one.state for one in found}[EU] is HealthState.UNHEALTHY


def test_a_look_at_healthy_spaces_reads_the_reports_of_each_once(world: RolloutWorld) -> None:
    read: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT") and "space_report" in statement:
            read.append(statement)

    event.listen(world.engine, "before_cursor_execute", note)
    try:
        look(world)
    finally:
        event.remove(world.engine, "before_cursor_execute", note)
    assert len(read) == 3


def test_askers_come_home_after_fifteen_healthy_minutes(world: RolloutWorld, entries: Entries) -> None:
    report(world, failures=2, spaces=[EAST])
    look(world)
    report(world, spaces=[EAST])
    assert look(world)[EAST] is HealthState.HEALTHY
    assert look(world, timedelta(minutes=14))[EAST] is HealthState.HEALTHY
    assert route(world, EAST).down is True
    look(world, timedelta(minutes=1))
    assert (route(world, EAST).down, route(world, EAST).failover) == (False, None)
    assert "space.failed_back" in entries()
    assert incidents(world) == [(EAST, "SEV3", "mitigated")]


def test_a_person_brings_them_home_sooner_but_not_to_a_space_that_is_ill(world: RolloutWorld, entries: Entries) -> None:
    report(world, failures=2, spaces=[EAST])
    look(world)
    refused = fail_back(world.instance, actor=world.person(ON_CALL), space=EAST)
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "SPACE_UNHEALTHY"
    report(world, spaces=[EAST])
    look(world)
    refused = fail_back(world.instance, actor=world.person("maria.chen"), space=EAST)
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "NOT_PERMITTED"
    for _ in range(2):  # the second finds it done
        done = fail_back(world.instance, actor=world.person(ON_CALL), space=EAST)
        assert not isinstance(done, Refusal), done
        assert done.failover is None
    look(world)
    assert route(world, EAST).down is False
    assert entries().count("space.failed_back") == 1
    with pytest.raises(NotFound):
        fail_back(world.instance, actor=world.person(ON_CALL), space="nowhere")


def observing(world: RolloutWorld) -> str:
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    assert world.step(done.rollout.id).state is State.OBSERVING
    return done.rollout.id


@pytest.mark.parametrize("ill", [EAST, WEST])
def test_rollouts_of_both_spaces_hold_until_the_askers_are_home(world: RolloutWorld, ill: str) -> None:
    rollout = observing(world)
    report(world, failures=2, spaces=[ill])
    look(world)
    held = world.step(rollout)
    assert held.state is State.HELD
    assert {reason.code for reason in held.why} <= {"SPACE_UNHEALTHY", "FAILED_OVER"}
    refused = release_hold(world.instance, world.ports, actor=world.person(DECIDER), rollout=rollout, note="We looked.")
    assert isinstance(refused, Refusal)
    report(world, spaces=[ill])
    look(world)
    look(world, timedelta(minutes=15))
    done = release_hold(world.instance, world.ports, actor=world.person(DECIDER), rollout=rollout, note="Home again.")
    assert not isinstance(done, Refusal), done
    assert done.state is State.OBSERVING


def test_a_space_nobody_reports_on_gives_no_go_and_starts_nothing(world: RolloutWorld) -> None:
    rollout = observing(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET checked_at = checked_at - interval '66 s'"))
        candidate = Candidate(workflow=WORKFLOW, release="sha256:0")
        found = space_fitness(connection, [EAST], of=candidate, now=world.clock.now())
    assert [reason.code for reason in found.unseen] == ["SPACE_UNSEEN"]
    world.clock.advance(timedelta(hours=25))
    assert world.look(rollout).place == Place()  # the bake is over, and no GO
    world.follow()
    assert world.look(rollout).place == Place(step=1)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET checked_at = checked_at - interval '66 s'"))
    with world.engine.connect() as connection:
        health = read_health(connection, EAST)
    assert health is not None
    assert health.as_json()["state"] == "unknown"


@pytest.mark.parametrize("name", ["records", "releases"])
def test_while_nobody_looks_for_hard_events_no_traffic_goes_up_and_none_is_taken_away(
    world: RolloutWorld, name: str
) -> None:
    rollout = observing(world)
    stale = text("UPDATE hard_look SET until = until - interval '181 s' WHERE name = :name")
    with world.engine.begin() as connection:
        connection.execute(stale, {"name": f"whole {name}"})
        candidate = Candidate(workflow=WORKFLOW, release="sha256:0")
        found = space_fitness(connection, [EAST], of=candidate, now=world.clock.now())
    assert found.holding == ()
    assert [(reason.code, reason.where) for reason in found.unseen] == [("HARD_EVENTS_UNSEEN", name)]
    world.clock.advance(timedelta(hours=25))
    stopped = world.look(rollout)
    assert (stopped.place, stopped.state) == (Place(), State.ADVANCING)  # the bake is over, the verdict GO
    world.follow()
    assert world.look(rollout).place == Place(step=1)


def test_status_shows_state_partner_and_processes(world: RolloutWorld) -> None:
    report(world, failures=2, spaces=[EAST])
    look(world)
    shown: Any = {one["space"]: one for one in space_status(world.instance) if isinstance(one, dict)}
    assert (shown[EAST]["state"], shown[EAST]["failover"], shown[EAST]["partner"]) == ("unhealthy", WEST, WEST)
    assert {one["failures"] for one in shown[EAST]["processes"]} == {2}
    assert all(one["age_s"] >= 0.0 for one in shown[EAST]["processes"])
    assert Reason(code="MODEL_UNREACHABLE", text="No answer.").as_json() in shown[EAST]["reasons"]


def test_the_askers_of_a_space_stay_where_they_are_while_nobody_reports(world: RolloutWorld) -> None:
    before = route(world, EAST)
    with world.engine.begin() as connection:
        connection.execute(text("DELETE FROM space_report"))
    assert set(look(world).values()) == {HealthState.UNKNOWN}
    assert route(world, EAST) == before


def test_a_space_that_never_served_does_not_keep_the_first_release_out(world: RolloutWorld) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("DELETE FROM routing WHERE space = :eu"), {"eu": EU})
        connection.execute(text("DELETE FROM space_health WHERE space = :eu"), {"eu": EU})
        candidate = Candidate(workflow=WORKFLOW, release="sha256:0")
        found = space_fitness(connection, [EU], of=candidate, now=world.clock.now())
    assert (found.holding, found.unseen) == ((), ())
