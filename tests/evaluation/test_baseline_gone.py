"""A baseline that cannot be opened any more is compared by what it answered before, never by what others may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.evaluation.world import Bent, World, drive_ticking, make_world

from pilotage.cli.evaluate import exit_code
from pilotage.control.evaluation_status import resume_run
from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError, NotFound, Unavailable
from pilotage.evaluation.run import EvaluationRun, RunState
from pilotage.release.generation import Model
from pilotage.serving.routing import Release
from pilotage.testing.models import FakeModel

pytestmark = [pytest.mark.anyio, pytest.mark.store]
CASES = 25


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(own_engine: Engine, tmp_path: Path) -> World:
    return make_world(own_engine, tmp_path, cases=CASES)


@dataclass(frozen=True, kw_only=True)
class Gone:
    """Opens every release but one."""

    release: Digest
    error: Exception

    def __call__(self, found: Release) -> Model:
        if found.digest == self.release:
            raise self.error
        return found.model


async def compared(world: World, baseline: Digest, error: Exception) -> Any:
    """Run another release against a baseline that cannot be opened; return the result."""
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 4\n")
    release = world.seal()
    driven = await world.evaluate(release, Bent(model=Gone(release=baseline, error=error)), baseline=baseline)
    assert driven.progress.done == driven.progress.total == 2 * CASES
    return world.result(driven.run.id)


@pytest.mark.parametrize(
    "error",
    [Unavailable("MODEL_GONE", "No model."), NotFound("GONE", "No release."), IntegrityError("VERIFY_BYTES", "Bytes.")],
    ids=lambda error: type(error).__name__,
)
async def test_it_is_compared_by_stored_answers_of_whatever_day(world: World, error: Exception) -> None:
    baseline = world.seal()
    assert (await world.evaluate(baseline)).run.verdict == "go"
    world.clock.advance(timedelta(days=40))
    result = await compared(world, baseline, error)
    assert result["verdict"] == "go", result["reasons"]


async def test_a_release_that_answers_nothing_is_down_whatever_its_baseline_answers(world: World) -> None:
    baseline = world.seal()
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 4\n")
    release = world.seal()
    model = FakeModel(failure=Unavailable("MODEL_DOWN", "Nobody answers."))
    bent = Bent(model=lambda found: found.model if found.digest == baseline else model)
    driven = await drive_ticking(world, world.start(release, baseline=baseline).id, bent)
    assert (driven.run.state, driven.progress.answers, driven.progress.errors) == (RunState.FAILED, 0, CASES)
    assert exit_code(driven) == 4
    again = resume_run(world.instance, actor=world.person("ada"), identifier=driven.run.id)
    assert isinstance(again, EvaluationRun)
    assert again.state is RunState.QUEUED
    ended = await world.drive(again.id)
    assert (ended.run.state, ended.progress.errors, ended.progress.answers) == (RunState.COMPLETED, 0, CASES)


async def test_without_an_earlier_run_nothing_is_compared(world: World) -> None:
    result = await compared(world, world.seal(), Unavailable("MODEL_GONE", "No model."))
    assert result["verdict"] == "inconclusive"


async def test_what_it_answered_to_other_rights_is_not_its_answer(world: World) -> None:
    baseline = world.seal()
    await world.evaluate(baseline)
    acl = world.root / "corpora/handbook/documents/acl.yaml"
    acl.write_text(acl.read_text().replace('"refunds.md": [group:staff]', '"refunds.md": [group:lending]'))
    world.publish()
    result = await compared(world, baseline, Unavailable("MODEL_GONE", "No model."))
    assert result["verdict"] == "inconclusive"
