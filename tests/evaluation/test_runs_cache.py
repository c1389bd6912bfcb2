"""An answer is used again exactly when nothing that could change it did; scores are made anew without a model call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import EVALUATION, Bent, World, drive_ticking, facts, make_world, quoting

from pilotage.control.evaluation_scoring import Scorers, make_scoring
from pilotage.core.digest import Digest
from pilotage.core.errors import Unavailable
from pilotage.evaluation.run import Cause, RunState
from pilotage.evaluation.scorer import Scorer, Subject, Value
from pilotage.release.generation import GenerationRequest
from pilotage.testing.models import FakeModel

pytestmark = [pytest.mark.anyio, pytest.mark.store]

CASES = 12


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "cached"
    folder.mkdir()
    return make_world(engine, folder, cases=CASES)


@pytest.fixture
def release(world: World) -> Digest:
    world.forget_answers()
    world.clock.advance(timedelta(minutes=1))
    return world.seal()


async def calls(world: World, release: Digest, *, scorers: Scorers | None = None, **asked: Any) -> int:
    """Return how many times a run called the model."""
    model = FakeModel(reply=quoting)
    world.clock.advance(timedelta(minutes=1))
    bent = Bent(model=lambda _release: model, scoring=scorers)
    driven = await world.evaluate(release, bent, golden=("first",), **asked)
    assert driven.progress.done == driven.progress.total
    return len(model.requests)


async def test_the_same_run_again_calls_no_model(world: World, release: Digest) -> None:
    assert await calls(world, release) == CASES
    assert await calls(world, release) == 0


async def test_a_schedule_asks_everything_again(world: World, release: Digest) -> None:
    await calls(world, release)
    assert await calls(world, release, cause=Cause.SCHEDULE) == CASES


async def test_an_answer_of_last_week_is_used_and_an_older_one_is_not(world: World, release: Digest) -> None:
    await calls(world, release)
    world.clock.advance(timedelta(days=6))
    with world.instance.engine.begin() as connection:  # the day is part of the question; here only age counts
        connection.execute(text("UPDATE evaluation_cache SET at = at - interval '8 days'"))
    assert await calls(world, release) == CASES


@pytest.mark.parametrize(("days", "repeated"), [(0, 0), (8, 4)])
async def test_a_run_gone_on_with_asks_again_what_was_answered_too_long_ago(
    world: World, release: Digest, days: int, repeated: int
) -> None:
    asked = 0

    def failing(request: GenerationRequest) -> str:
        nonlocal asked
        asked += 1
        if asked <= 4:
            return quoting(request)
        raise Unavailable("upstream_failed", "It is away.")

    run = world.start(release, golden=("first",))
    failed = await drive_ticking(world, run.id, Bent(model=lambda _release: FakeModel(reply=failing)))
    assert (failed.run.state, failed.progress.answers) == (RunState.FAILED, 4)
    with world.instance.engine.begin() as connection:
        for table in ("cache", "generation"):
            aged = text(f"UPDATE evaluation_{table} SET at = at - make_interval(days => :days)")
            connection.execute(aged, {"days": days})
    model = FakeModel(reply=quoting)
    again = await world.drive(run.id, Bent(model=lambda _release: model))
    assert (again.run.state, len(model.requests)) == (RunState.COMPLETED, CASES - 4 + repeated)


async def test_what_another_version_of_pilotage_answered_is_asked_again(
    world: World, release: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calls(world, release)
    assert await calls(world, release) == 0
    for where in ("gate_roster", "evaluation_drive"):
        monkeypatch.setattr(f"pilotage.control.{where}.__version__", "99.0")
    assert await calls(world, release) == CASES
    assert await calls(world, release) == 0


async def test_a_new_scorer_scores_stored_answers(world: World, release: Digest) -> None:
    await calls(world, release)
    known = make_scoring(world.instance.workspace.workflows["assistant"].evaluation)  # type: ignore[index]

    def length(subject: Subject) -> Value:
        return Value(float(len(subject.generation.answer) > 10))

    measure = replace(known.scorers[0].measure, name="length", version="length@1.0.0", is_binary=True)
    fresh = Scorer(measure=measure, applies=lambda _case: True, function=length)
    assert await calls(world, release, scorers=Scorers(scorers=(*known.scorers, fresh))) == 0
    with world.instance.engine.connect() as connection:
        versions = connection.execute(text("SELECT DISTINCT version FROM evaluation_assessment")).scalars().all()
    assert "length@1.0.0" in versions


async def test_a_changed_expectation_is_scored_without_a_call(world: World, release: Digest) -> None:
    await calls(world, release)
    path = world.root / "workflows/assistant/golden/first.jsonl"
    before = path.read_text()
    try:
        path.write_text(before.replace("40 dollars", "41 dollars", 1))
        world.reload()
        changed = world.seal()
        assert changed != release
        assert await calls(world, changed) == CASES, "another release is asked again"
        assert await calls(world, changed) == 0
    finally:
        path.write_text(before)
        world.reload()


async def test_another_permission_never_meets_the_answer(world: World, release: Digest) -> None:
    await calls(world, release)
    acl = world.root / "corpora/handbook/documents/acl.yaml"
    before = acl.read_text()
    try:
        acl.write_text(before.replace('"*-locker.md": [group:staff]', '"*-locker.md": [group:lending]'))
        world.publish()
        assert await calls(world, release) == CASES
    finally:
        acl.write_text(before)
        world.publish()


async def test_another_fingerprint_never_meets_the_answer(world: World, release: Digest) -> None:
    await calls(world, release)
    world.write("workflows/assistant/model.yaml", "provider: extractive\nmax_tokens: 777\n")
    try:
        assert await calls(world, world.seal()) == CASES
    finally:
        world.restore()


async def test_answers_that_quote_a_document_go_with_it(world: World, release: Digest) -> None:
    await calls(world, release)
    document = next(iter(facts()))
    with world.instance.engine.begin() as connection:
        held = connection.execute(text("SELECT count(*) FROM evaluation_generation")).scalar_one()
        gone = connection.execute(
            text("DELETE FROM evaluation_generation WHERE documents @> ARRAY[CAST(:d AS text)]"),
            {"d": f"handbook/{document}"},
        ).rowcount
        left = connection.execute(text("SELECT count(*) FROM evaluation_cache")).scalar_one()
    assert 0 < gone <= held
    assert left == held - gone
    assert await calls(world, release) == gone, "only what is gone is asked again"


def test_settings_without_scorers_still_measure_what_they_limit(world: World) -> None:
    evaluation = world.instance.workspace.workflows["assistant"].evaluation  # type: ignore[index]
    names = {one.measure.name for one in make_scoring(replace(evaluation, scorers=())).scorers}
    assert {"answer_accuracy", "citation_recall_gold"} <= names
    assert not names & {"latency_ms", "ttft_ms", "cost"}
    assert "answer_accuracy" in EVALUATION
