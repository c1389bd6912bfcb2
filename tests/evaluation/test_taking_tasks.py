"""A worker is given as many tasks as it asked for, whatever plan the database chooses."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import World, make_world

from pilotage.evaluation.run import EvaluationRun
from pilotage.store.evaluation_tasks import take_tasks

pytestmark = pytest.mark.store


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "taking"
    folder.mkdir()
    return make_world(engine, folder)


@pytest.fixture(scope="module")
def run(world: World) -> EvaluationRun:
    return world.start(world.seal())


@pytest.mark.parametrize("off", ["enable_hashagg, enable_hashjoin, enable_material, enable_sort", ""])
def test_no_task_is_leased_that_nobody_was_given(world: World, run: EvaluationRun, off: str) -> None:
    leased = text("SELECT count(*) FROM evaluation_task WHERE run = :run AND lease_owner IS NOT NULL")
    with world.instance.engine.connect() as connection:  # nothing is committed
        for name in filter(None, off.split(", ")):
            connection.execute(text(f"SET LOCAL {name} = off"))
        for given in range(1, 6):
            assert len(take_tasks(connection, run.id, owner="o", now=world.clock.now(), most=1)) == 1
            assert connection.scalar(leased, {"run": run.id}) == given
