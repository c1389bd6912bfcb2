"""The drift detector on the store: rows, holds, eviction, rollback; silence is unknown, never "no drift"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pyroaring import BitMap
from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from tests.control.rollout_world import DECIDER, bank, make_world, small_plan, with_plan
from tests.control.test_regions import observing

from pilotage.control import watch_drift as module
from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.control.watch_drift import watch_drift
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.monitoring.held import Part
from pilotage.release.content import ReleaseContent
from pilotage.release.prompt import Prompt
from pilotage.retrieval.root import root_of
from pilotage.rollout.states import State
from pilotage.serving.holdings import CorpusHeld, holdings, nothing_held
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
    world: RolloutWorld,
    *,
    bad: frozenset[str] = frozenset(),
    age: str = "0 s",
    late: int = 0,
    corpus: CorpusHeld = nothing_held,
    space: SpaceName = EAST,
) -> None:
    """Let every process report what it holds; the bad ones hold another prompt, all as of `late` generations ago."""
    with world.engine.begin() as connection:
        route = read_route(connection, space, WORKFLOW)
        digests = [one for one in (route.stable, route.candidate) if one is not None]
        contents = [load_release(connection, digest) for digest in digests]
        for name in world.processes.names:
            loaded = {one.digest: _release(one, is_bad=name in bad) for one in contents}
            row = RoutingRow(
                space=space,
                workflow=WORKFLOW,
                generation=route.generation - late,
                stable=route.stable,
                candidate=route.candidate,
            )
            table = RoutingTable(rows={(space, WORKFLOW): row}, releases=loaded)
            held = holdings(table, world.workspace.spaces[space], corpus)
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


def incidents(world: RolloutWorld) -> list[str]:
    with world.engine.connect() as connection:
        return list(connection.scalars(text("SELECT cause FROM incident WHERE NOT is_drill ORDER BY cause")))


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
    assert incidents(world) == []
    report(world, bad=bad)
    look(world)
    (row,) = look(world)
    assert (row.seen, row.evicts) == (2, True)
    assert incidents(world) == ["drift"]
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
    bad = frozenset({"gateway-2"})
    report(world, bad=bad)
    look(world)
    once = world.step(rollout)
    assert once.state is State.OBSERVING  # it may have been on its way
    with world.engine.connect() as connection:
        candidate = Candidate(workflow=WORKFLOW, release=str(once.release))
        found = space_fitness(connection, [EAST], of=candidate, now=world.clock.now())
    codes = [{reason.code for reason in some} for some in (found.holding, found.unseen, found.known)]
    assert codes == [set(), {"DRIFT_PROMPT"}, {"DRIFT_PROMPT"}]
    report(world, bad=bad)
    look(world)
    held = world.step(rollout)
    assert held.state is State.HELD
    assert {reason.code for reason in held.why} == {"DRIFT_PROMPT"}


def test_a_good_run_of_the_newer_engine_ends_its_drift(world: RolloutWorld) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET engine = 'older'"))
    report(world)
    assert {row.part for row in look(world)} == {Part.ENGINE}
    for verdict, parts in (("no_go", {Part.ENGINE}), ("go", set())):
        run = OwnRun(
            kind="evaluation",
            claims={"unscored": 0.0},
            body=verdict.encode(),
            produced_at=world.clock.now(),
            summary=verdict,
            refs={"verdict": verdict},
        )
        with world.engine.begin() as connection:
            attach_own_run(connection, world.instance, release=Digest(str(stable(world))), run=run)
        report(world)
        assert {row.part for row in look(world)} == parts, verdict


def test_other_settings_stand_only_against_the_release_that_was_approved_under_the_older_ones(
    world: RolloutWorld,
) -> None:
    record = text("UPDATE deployment SET space_config = :config WHERE release = :release")
    with world.engine.begin() as connection:
        connection.execute(record, {"config": "sha256:older", "release": stable(world)})
    report(world)
    assert {(row.part, row.release) for row in look(world)} == {(Part.SPACE, stable(world))}
    assert against(world, str(stable(world))) == {"DRIFT_SPACE"}
    assert against(world, world.seal("Approved under the newer ones.")) == set()
    candidate = world.look(observing(world)).release
    with world.engine.begin() as connection:
        values = {"id": "waiting", "engine": _engine(), "space": EAST, "release": candidate, "at": world.clock.now()}
        connection.execute(_WAITING, {**values, "workflow": WORKFLOW, "config": "sha256:another"})
    report(world)
    assert {(row.part, row.release) for row in look(world)} == {(Part.SPACE, candidate)}
    assert against(world, str(candidate)) == {"DRIFT_SPACE"}


_WAITING = text(
    "INSERT INTO deployment (id, workflow, space, release, basis, engine, promoted_by, at, state, space_config)"
    " VALUES (:id, :workflow, :space, :release, 'normal', :engine, 'p', :at, 'waiting', :config)"
)


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


def put_off(world: RolloutWorld, by: str) -> None:
    """Let the first of the reports that could not be compared have been made earlier."""
    with world.engine.begin() as connection:
        lags = text("UPDATE report_lag SET since = since - CAST(:by AS interval)")
        connection.execute(lags, {"by": by})


def test_reports_of_another_generation_are_waited_for_180_seconds_and_no_longer(world: RolloutWorld) -> None:
    for _ in range(2):
        report(world, late=1)
        assert look(world) == ()
        put_off(world, "60 s")
    report(world, late=1)
    assert look(world) == ()
    put_off(world, "180 s")
    rows = look(world)
    assert {(row.process, row.part, row.evicts) for row in rows} == {
        (name, Part.UNKNOWN, False) for name in world.processes.names
    }
    assert "of the routing" in rows[0].observed
    assert against(world, str(stable(world))) == {"DRIFT_UNKNOWN"}
    report(world)
    assert look(world) == ()
    report(world, late=1)
    assert look(world) == ()  # it begins anew


def test_a_process_that_leaves_a_workflow_out_is_not_waited_for_without_end(world: RolloutWorld) -> None:
    report(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE space_report SET holds = '{}' WHERE process = 'gateway-1'"))
    assert look(world) == ()
    put_off(world, "181 s")
    assert [(row.process, row.part) for row in look(world)] == [("gateway-1", Part.UNKNOWN)]


def test_a_report_that_cannot_be_compared_forgives_nothing(world: RolloutWorld) -> None:
    bad = frozenset({"gateway-1"})
    for _ in range(2):
        report(world, bad=bad)
        look(world)
    report(world, late=1)
    (row,) = look(world)
    assert (row.part, row.evicts) == (Part.PROMPT, True)
    report(world)
    assert look(world) == ()


def test_a_corpus_that_moves_under_the_look_is_read_again_and_is_no_drift(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = BitMap([1, 2]), BitMap([1])
    reads = 0

    def generation_of(_connection: object, _corpus: object) -> int:
        nonlocal reads
        reads += 1
        return 3 if reads == 1 else 4

    monkeypatch.setattr(module, "accepted_versions", lambda *_: {1: before})
    monkeypatch.setattr(module, "live_revisions", lambda *_: after)  # a takedown committed after the first statement
    monkeypatch.setattr(module, "count_chunks_of", lambda _connection, _corpus, revs: len(revs))
    monkeypatch.setattr(module, "generation_of", generation_of)
    report(world, corpus=lambda *_: {"generation": 3, "root": root_of(before), "chunks": 2})
    assert look(world) == ()
    report(world, corpus=lambda *_: {"generation": 4, "root": root_of(before), "chunks": 2})
    assert {row.part for row in look(world)} == {Part.CORPUS, Part.INDEX}
    report(world, corpus=lambda *_: {"generation": 4, "root": root_of(after), "chunks": 1})
    assert look(world) == ()
    report(world, corpus=lambda *_: {"generation": 4, "root": root_of(before), "chunks": 2})
    endless = iter(range(5, 1000))
    monkeypatch.setattr(module, "generation_of", lambda *_: next(endless))
    assert look(world) == ()  # left to the next look


@pytest.mark.parametrize("zero", [True, False])
def test_a_pause_ends_with_nothing_seen_against_it_and_from_weight_zero_with_nothing_unseen(
    world: RolloutWorld, *, zero: bool
) -> None:
    rollout, lead = observing(world), world.person(DECIDER)

    def resume() -> set[str]:
        done = resume_rollout(world.instance, world.ports, actor=lead, rollout=rollout)
        return {reason.code for reason in done.reasons} if isinstance(done, Refusal) else set()

    paused = pause_rollout(world.instance, actor=lead, rollout=rollout, zero=zero)
    assert not isinstance(paused, Refusal), paused
    world.follow()
    report(world, bad=frozenset({"gateway-1"}))
    look(world)
    assert resume() == {"DRIFT_PROMPT"}
    report(world)
    look(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE hard_look SET until = until - interval '181 s'"))
    assert resume() == ({"HARD_EVENTS_UNSEEN"} if zero else set())
    world.follow()
    resume()
    assert world.look(rollout).state is State.OBSERVING
