"""The drift detector on the store: rows, holds, eviction, rollback; silence is unknown, never "no drift"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from tests.control.rollout_world import bank, make_world, small_plan, with_plan
from tests.control.test_regions import observing

from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.control.watch_drift import watch_drift
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.monitoring.held import Part
from pilotage.release.content import ReleaseContent
from pilotage.release.prompt import Prompt
from pilotage.rollout.states import State
from pilotage.serving.holdings import holdings, nothing_held
from pilotage.serving.routing import Release, RoutingRow, RoutingTable
from pilotage.store.drift import StoredDrift, open_drift
from pilotage.store.releases import load_release
from pilotage.store.routes import read_route
from pilotage.testing.models import FakeModel
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Step

pytestmark = pytest.mark.store


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    canary = Step(name="canary", weight=0.05, bake_s=86_400, max_s=2 * 86_400)
    made = make_world(engine, with_plan(bank(), small_plan(canary, Step(name="full", weight=1.0, bake_s=86_400))))
    made.serve(made.seal("Oldest."), [EAST])
    made.serve(made.seal("Old."), [EAST])
    with engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET engine = :engine"), {"engine": _engine()})
    return made


def _engine() -> str:
    table = RoutingTable(rows={(EAST, WORKFLOW): RoutingRow(space=EAST, workflow=WORKFLOW, generation=1, stable=None)})
    held: Any = holdings(table, bank().spaces[EAST], nothing_held)
    return str(held[WORKFLOW]["engine"])


def report(
    world: RolloutWorld, *, bad: frozenset[str] = frozenset(), age: str = "0 s", space: SpaceName = EAST
) -> None:
    """Let every process report what it holds; the bad ones hold another prompt than was sealed."""
    with world.engine.begin() as connection:
        route = read_route(connection, space, WORKFLOW)
        digests = [one for one in (route.stable, route.candidate) if one is not None]
        contents = [load_release(connection, digest) for digest in digests]
        for name in world.processes.names:
            loaded = {one.digest: _release(one, is_bad=name in bad) for one in contents}
            row = RoutingRow(
                space=space,
                workflow=WORKFLOW,
                generation=route.generation,
                stable=route.stable,
                candidate=route.candidate,
            )
            table = RoutingTable(rows={(space, WORKFLOW): row}, releases=loaded)
            held = holdings(table, world.workspace.spaces[space], nothing_held)
            values = {"p": name, "s": space, "h": held, "age": age}
            connection.execute(_REPORT, values)


def _release(content: ReleaseContent, *, is_bad: bool) -> Release:
    changed = replace(content, prompt=Prompt(template="Say yes.\n{passages}\n{question}")) if is_bad else content
    return Release(content=changed, model=FakeModel())


_REPORT = text(
    "INSERT INTO space_report (process, space, at, failures, successes, holds)"
    " VALUES (:p, :s, clock_timestamp() - CAST(:age AS interval), 0, 3, :h)"
    " ON CONFLICT (process, space) DO UPDATE SET at = EXCLUDED.at, holds = EXCLUDED.holds"
).bindparams(bindparam("h", type_=JSONB))


def look(world: RolloutWorld, by: timedelta = timedelta()) -> tuple[StoredDrift, ...]:
    world.clock.advance(by)
    with world.engine.begin() as connection:
        return watch_drift(connection, world.instance)


def against(world: RolloutWorld, release: str) -> set[str]:
    with world.engine.connect() as connection:
        candidate = Candidate(workflow=WORKFLOW, release=release)
        found = space_fitness(connection, [EAST], of=candidate, now=world.clock.now())
    return {reason.code for reason in (*found.holding, *found.unseen)}


def stable(world: RolloutWorld) -> Digest | None:
    with world.engine.connect() as connection:
        return read_route(connection, EAST, WORKFLOW).stable


def test_a_healthy_space_has_no_drift_however_often_one_looks(world: RolloutWorld) -> None:
    for _ in range(3):
        report(world)
        assert look(world) == ()
    assert against(world, str(stable(world))) == set()


def test_content_that_differs_is_found_at_once_and_evicts_in_the_second_report(world: RolloutWorld) -> None:
    bad = frozenset({"gateway-1"})
    report(world, bad=bad)
    (row,) = look(world)
    assert (row.process, row.part, row.evicts) == ("gateway-1", Part.PROMPT, False)
    (row,) = look(world)  # the same report looked at twice is one report
    assert (row.seen, row.evicts) == (1, False)
    report(world, bad=bad)
    look(world)
    (row,) = look(world)
    assert (row.seen, row.evicts) == (2, True)
    assert against(world, str(stable(world))) == {"DRIFT_PROMPT"}
    report(world)
    assert look(world) == ()


def test_a_drifted_process_that_stops_reporting_is_not_forgiven(world: RolloutWorld) -> None:
    report(world, bad=frozenset({"gateway-1"}))
    look(world)
    assert [row.part for row in look(world, timedelta(minutes=1))] == [Part.PROMPT]


def test_no_clean_process_left_is_a_rollback_and_one_clean_process_is_none(world: RolloutWorld) -> None:
    old = stable(world)
    for _ in range(2):
        report(world, bad=frozenset({"gateway-1"}))
        look(world)
    assert stable(world) == old
    for _ in range(2):
        report(world, bad=frozenset(world.processes.names))
        look(world)
    assert stable(world) != old
    with world.engine.connect() as connection:
        causes = set(connection.scalars(text("SELECT cause FROM incident WHERE NOT is_drill")))
    assert causes == {"drift", "content drift"}


def test_silence_of_180_seconds_is_unknown_and_neither_evicts_nor_rolls_back(world: RolloutWorld) -> None:
    old = stable(world)
    report(world, age="181 s")
    rows = look(world)
    assert {row.part for row in rows} == {Part.UNKNOWN}
    assert not any(row.evicts for row in rows)
    assert against(world, str(old)) == {"DRIFT_UNKNOWN"}
    assert stable(world) == old


def test_a_live_process_that_never_reports_is_unknown_after_180_seconds(world: RolloutWorld) -> None:
    world.follow()
    assert {row.part for row in look(world)} == {Part.UNKNOWN}
    assert against(world, str(stable(world))) == set()
    world.follow()
    look(world, timedelta(seconds=180))
    assert against(world, str(stable(world))) == {"DRIFT_UNKNOWN"}


def test_a_space_nobody_looked_at_is_unknown(world: RolloutWorld) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET drift_at = drift_at - interval '181 s'"))
    assert against(world, str(stable(world))) == {"DRIFT_UNKNOWN"}


def test_a_promotion_outside_pilotage_is_drift_of_the_release(world: RolloutWorld) -> None:
    other = world.seal("Smuggled.")
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE routing SET stable = :other"), {"other": other})
    report(world)
    assert {row.part for row in look(world)} == {Part.RELEASE}


def test_drift_holds_a_rollout_and_an_older_engine_only_its_own_release(world: RolloutWorld) -> None:
    rollout = observing(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET engine = 'older'"))
    report(world)
    assert {row.part for row in look(world)} == {Part.ENGINE}
    assert world.step(rollout).state is State.OBSERVING
    assert against(world, str(stable(world))) == {"DRIFT_ENGINE"}
    report(world, bad=frozenset({"gateway-2"}))
    look(world)
    held = world.step(rollout)
    assert held.state is State.HELD
    assert {reason.code for reason in held.why} == {"DRIFT_PROMPT"}


def test_rows_open_and_end_with_their_entries(world: RolloutWorld) -> None:
    def kinds() -> list[str]:
        with world.engine.connect() as connection:
            query = "SELECT kind FROM ledger_entry WHERE kind LIKE 'deployment.drift%' ORDER BY kind"
            return list(connection.scalars(text(query)))

    before = kinds()
    report(world, bad=frozenset({"gateway-1"}))
    look(world)
    report(world)
    look(world)
    assert len(kinds()) == len(before) + 2
    with world.engine.connect() as connection:
        assert open_drift(connection) == ()
