"""A run that could not ask its release has failed and says why; it is resumed later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.test_baseline_gone import Gone
from tests.evaluation.world import Bent, World, drive_ticking, make_world

from pilotage.cli.evaluate import exit_code
from pilotage.control.evaluate_release import DRIVE
from pilotage.control.evaluation_status import describe_run, resume_run
from pilotage.control.fail_evaluation import end_given_up
from pilotage.control.run_evaluation import run_named
from pilotage.core.errors import IntegrityError, PilotageError, Unavailable
from pilotage.evaluation.run import EvaluationRun, RunKind, RunState
from pilotage.release.generation import Model, RequestRefused
from pilotage.serving.routing import Release
from pilotage.store.evaluation_lock import drive_lock
from pilotage.store.runs import request_run
from pilotage.testing.models import FakeModel

pytestmark = [pytest.mark.anyio, pytest.mark.store]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(own_engine: Engine, tmp_path: Path) -> World:
    return make_world(own_engine, tmp_path, cases=3)


async def test_a_run_whose_release_cannot_be_opened_has_failed_and_goes_on_once_it_can(world: World) -> None:
    release = world.seal()
    away = Bent(model=Gone(release=release, error=Unavailable("MODEL_GONE", "No weights.", hint="Put them back.")))
    for kind in (RunKind.EVALUATION, RunKind.PERMISSIONS):
        driven = await world.drive(world.start(release, kind).id, away)
        run = driven.run
        assert (run.state, run.verdict, run.evidence, exit_code(driven)) == (RunState.FAILED, None, None, 4)
        (reason,) = describe_run(world.instance, run.id)["reasons"]
        assert "MODEL_GONE" in reason["text"]
        assert f"pilotage evaluate resume {run.id}" in reason["text"]
        assert isinstance(resume_run(world.instance, actor=world.person("ada"), identifier=run.id), EvaluationRun)
        assert (await world.drive(run.id)).run.state is RunState.COMPLETED


@pytest.mark.parametrize("kind", [RunKind.EVALUATION, RunKind.PERMISSIONS])
@pytest.mark.parametrize(
    "error",
    [Unavailable("upstream_timeout", "The embeddings are late."), IntegrityError("PART_ALTERED", "Other bytes.")],
)
async def test_what_may_pass_is_tried_again_and_altered_bytes_are_told_as_such(
    world: World, kind: RunKind, error: PilotageError
) -> None:
    release = world.seal()
    run = world.start(release, kind).id
    with pytest.raises(type(error)) as found:
        await world.drive(run, Bent(model=Gone(release=release, error=error)))
    assert (found.value.code, run_named(world.instance, run).state) == (error.code, RunState.RUNNING)
    assert (await world.drive(run)).run.state is RunState.COMPLETED


async def test_a_provider_that_refuses_what_the_release_asks_counts_against_the_release(world: World) -> None:
    ends = list[tuple[RunState, str | None]]()
    for failure in (RequestRefused("upstream_failed", "HTTP 400."), Unavailable("upstream_failed", "Nobody listens.")):
        world.restore(max_tokens=300 + len(ends))
        run = world.start(world.seal()).id
        found = (await drive_ticking(world, run, Bent(model=answered_by(FakeModel(failure=failure))))).run
        ends.append((found.state, found.verdict))
    assert ends == [(RunState.COMPLETED, "inconclusive"), (RunState.FAILED, None)]


async def test_a_run_whose_job_was_given_up_ends_unless_somebody_drives_it(world: World) -> None:
    run = world.start(world.seal()).id
    assert ended(world) == ()
    with world.instance.engine.begin() as connection:
        request_run(connection, kind=DRIVE, key=run, due_at=world.clock.now())
        connection.execute(text("UPDATE run SET state = 'failed', last_error = 'KeyError at golden:7'"))
    with drive_lock(world.instance.engine, run):
        assert ended(world) == ()
    assert (ended(world), ended(world)) == ((run,), ())
    found = run_named(world.instance, run)
    assert (found.state, "KeyError at golden:7" in found.note) == (RunState.FAILED, True)
    with world.instance.engine.connect() as connection:
        entry = connection.execute(
            text("SELECT convert_from(bytes, 'UTF8') FROM ledger_entry WHERE kind = :kind"),
            {"kind": "evaluation.finished"},
        )
        assert '"state":"failed"' in entry.scalar_one()


def answered_by(model: Model) -> Callable[[Release], Model]:
    return lambda _release: model


def ended(world: World) -> tuple[str, ...]:
    with world.instance.engine.begin() as connection:
        return end_given_up(connection, world.instance)
