"""What changes under a release in service asks for one run of it; so does the week, once however many were missed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.emptied import empty
from tests.evaluation.test_runs_after_upgrade import PAID
from tests.evaluation.world import EVALUATION, World, make_world

from pilotage.control import permission_finish, watch_models
from pilotage.control.evaluate_changes import LOOK_EVERY, evaluate_changes
from pilotage.control.evaluation_alerts import CAUSE
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.core.digest import Digest
from pilotage.evaluation.run import Cause, EvaluationRun, RunState
from pilotage.incident.records import Severity
from pilotage.jobs.evaluations import WEEKLY, evaluate_weekly, schedule_evaluations
from pilotage.jobs.watches import WATCHES
from pilotage.store.evaluation_runs import runs_of
from pilotage.store.runs import Again, find_run

pytestmark = pytest.mark.store
SCHEDULED = EVALUATION + "schedule: weekly\n"
MODEL = "workflows/assistant/model.yaml"
SETTINGS = "workflows/assistant/evaluation.yaml"

_DRIFT = text(
    "INSERT INTO drift (process, space, workflow, release, part, observed, approved, opened_at)"
    " VALUES ('p1', 'sandbox', 'assistant', :release, :part, 'a', 'b', :at)"
)


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    with engine.begin() as connection:
        empty(connection, "release", "incident", "outbox", "drift", "interaction", "stated_fact", "run")
    world = make_world(engine, tmp_path, cases=2)
    world.write(SETTINGS, SCHEDULED)
    return world


def look(world: World) -> tuple[Digest, ...]:
    world.clock.advance(LOOK_EVERY)
    with world.instance.engine.begin() as connection:
        return evaluate_changes(connection, world.instance)


def runs(world: World, release: Digest) -> list[EvaluationRun]:
    with world.instance.engine.connect() as connection:
        return list(runs_of(connection, release=release))


def drift(world: World, release: Digest, part: str) -> None:
    with world.instance.engine.begin() as connection:
        connection.execute(_DRIFT, {"release": release, "part": part, "at": world.clock.now()})


def incident(world: World, cause: str, *, is_drill: bool = False) -> None:
    trouble = Trouble(
        workflow="assistant",
        space="sandbox",
        spaces=("sandbox",),
        release=None,
        cause=cause,
        severity=Severity.SEV3,
        summary="It is wrong.",
        is_drill=is_drill,
    )
    with world.instance.engine.begin() as connection:
        open_incident(connection, world.instance, trouble, Deed(actor="system:test", at=world.clock.now()))


def accept(world: World, _release: Digest) -> None:
    world.write_fact("york-locker.md", "york locker", 7)
    world.publish()


def reprice(world: World, _release: Digest) -> None:
    world.write(MODEL, (world.root / MODEL).read_text().replace("input: 1", "input: 3"))


CHANGES: dict[str, Callable[[World, Digest], None]] = {
    "a corpus version is accepted": accept,
    "the price changes": reprice,
    "the guard in force drifts": lambda world, release: drift(world, release, "guard"),
    "an incident is opened": lambda world, _release: incident(world, "wrong answers"),
}


def in_service(world: World) -> Digest:
    """Seal a release with a priced model under a cap, and look once."""
    world.write(MODEL, PAID)
    world.write(SETTINGS, SCHEDULED + "cost_cap: 2 USD\n")
    release = world.seal()
    assert look(world) == (), "the first look only notes"
    return release


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_asks_for_one_run_of_what_serves(world: World, change: str) -> None:
    release = in_service(world)
    assert look(world) == ()
    CHANGES[change](world, release)
    assert look(world) == (release,), change
    (run,) = runs(world, release)
    assert (run.cause, run.space, run.state) == (Cause.SCHEDULE, "sandbox", RunState.QUEUED)
    assert (look(world), len(runs(world, release))) == ((), 1)


def test_what_happens_between_two_looks_becomes_one_run(world: World) -> None:
    release = in_service(world)
    for change in CHANGES.values():
        change(world, release)
    assert (look(world), len(runs(world, release))) == ((release,), 1)
    incident(world, "again")
    assert look(world) == (release,)
    assert len(runs(world, release)) == 1, "one that nobody began yet is the run"
    assert WATCHES["evaluation_changes"].every == LOOK_EVERY == timedelta(minutes=10)


def test_what_is_no_change_asks_for_nothing(world: World) -> None:
    release = in_service(world)
    drift(world, release, "engine")
    for cause in (f"{CAUSE}answer_accuracy", permission_finish.CAUSE, watch_models.CAUSE):
        incident(world, cause)
    incident(world, "a drill", is_drill=True)
    assert look(world) == (), "what runs opened or asked for one, drills and settings"


def test_nothing_is_asked_where_nobody_declared_a_schedule_or_nothing_serves(world: World) -> None:
    assert look(world) == ()
    release = in_service(world)
    world.write(SETTINGS, EVALUATION + "cost_cap: 2 USD\n")
    incident(world, "wrong answers")
    assert (look(world), runs(world, release)) == ((), [])


def test_a_model_that_costs_without_a_cap_is_left_to_the_owner_who_hears_of_it_once(world: World) -> None:
    world.write(MODEL, PAID)
    release = world.seal()
    assert look(world) == ()
    incident(world, "wrong answers")
    assert (look(world), look(world), runs(world, release)) == ((), (), [])
    query = text("SELECT DISTINCT payload ->> 'text' FROM outbox WHERE payload -> 'links' ->> 'release' = :release")
    with world.instance.engine.connect() as connection:
        (said,) = connection.execute(query, {"release": release}).scalars()
    assert said.startswith("Its model costs and evaluation.yaml sets no cost_cap. Run `pilotage evaluate ")
    assert "was opened" in said


def week(world: World) -> Again:
    """Let the weekly run act, as a worker does when it is due."""
    with world.instance.engine.begin() as connection:
        run = find_run(connection, WEEKLY, "assistant")
        assert run is not None
        assert run.due_at <= world.clock.now()
        outcome = evaluate_weekly(world.instance, connection, run)
    assert isinstance(outcome, Again)
    return outcome


@pytest.mark.feature("R3.4")
def test_missed_weeks_are_caught_up_by_one_run(world: World) -> None:
    release = world.seal()
    schedule_evaluations(world.instance)
    world.clock.advance(timedelta(days=30))
    schedule_evaluations(world.instance)
    outcome = week(world)
    assert [run.cause for run in runs(world, release)] == [Cause.SCHEDULE]
    assert timedelta() < outcome.at - world.clock.now() <= timedelta(days=7)


def test_a_weekly_run_that_cannot_be_asked_for_is_told_and_holds_up_no_other(world: World) -> None:
    world.write(MODEL, PAID)
    world.write(SETTINGS, SCHEDULED + "cost_cap: 2 EUR\n")
    release = world.seal()
    schedule_evaluations(world.instance)
    world.clock.advance(timedelta(days=7))
    assert week(world).at > world.clock.now()
    assert runs(world, release) == []
    query = text("SELECT DISTINCT payload ->> 'text' FROM outbox WHERE payload -> 'links' ->> 'release' = :release")
    with world.instance.engine.connect() as connection:
        (said,) = connection.execute(query, {"release": release}).scalars()
    assert "has no price in EUR" in said
