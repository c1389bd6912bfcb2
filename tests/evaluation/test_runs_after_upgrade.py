"""After an upgrade of Pilotage what serves, and what is on its way, gets one run of the new version, within its cap."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import EVALUATION, World, make_world

from pilotage import __version__
from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.evaluate_upgrade import evaluate_upgrade
from pilotage.core.digest import Digest
from pilotage.evaluation.run import EvaluationRun, RunState
from pilotage.store.evaluation_runs import runs_of
from pilotage.store.evidence import evaluated_by

pytestmark = [pytest.mark.anyio, pytest.mark.store]
PAID = """provider: openai
model: m
pin: {kind: dated, id: "2026-01-01"}
base_url: http://127.0.0.1:9/v1
prices: {currency: USD, input: 1, output: 2}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return make_world(engine, tmp_path, cases=4)


def look(world: World) -> tuple[Digest, ...]:
    with world.instance.engine.begin() as connection:
        return evaluate_upgrade(connection, world.instance)


def runs(world: World, release: Digest) -> tuple[EvaluationRun, ...]:
    with world.instance.engine.connect() as connection:
        return runs_of(connection, release=release)


def told(world: World, release: Digest) -> list[str]:
    query = text("SELECT payload ->> 'text' FROM outbox WHERE payload -> 'links' ->> 'release' = :release")
    with world.instance.engine.connect() as connection:
        return list(connection.execute(query, {"release": release}).scalars())


def upgrade(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    for where in ("evaluate_upgrade", "attach_own"):
        monkeypatch.setattr(f"pilotage.control.{where}.__version__", version)


async def test_a_release_gets_one_run_of_the_new_version_and_nothing_without_an_upgrade(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = world.seal()
    assert look(world) == (), "one that nobody evaluated has nothing that grew old"
    await world.evaluate(release)
    assert look(world) == ()
    upgrade(monkeypatch, "99.0")
    assert look(world) == (release,)
    assert look(world) == ()
    made = {one.state: one for one in runs(world, release)}
    assert made.keys() == {RunState.QUEUED, RunState.COMPLETED}
    newest = made[RunState.QUEUED]
    assert (newest.cause, newest.requested_by) == ("schedule", "system:evaluation")
    await world.drive(newest.id)
    with world.instance.engine.connect() as connection:
        assert evaluated_by(connection, [release]) == {release: {__version__, "99.0"}}
    upgrade(monkeypatch, "99.1")
    assert look(world) == (release,)


def evaluated(world: World, release: Digest) -> None:
    """Attach a run as the version before made it."""
    now = world.instance.clock.now()
    run = OwnRun(kind="evaluation", claims={"scored": 4.0}, body=b"{}", produced_at=now, summary="4 cases")
    with world.instance.engine.begin() as connection:
        attach_own_run(connection, world.instance, release=release, run=run)


async def test_a_model_that_costs_is_asked_under_a_cap_and_without_one_the_owner_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("workflows/assistant/model.yaml", PAID)
    release = world.seal()
    evaluated(world, release)
    upgrade(monkeypatch, "99.0")
    assert (look(world), look(world), runs(world, release)) == ((), (), ())
    (said,) = set(told(world, release))
    assert said.startswith(
        f"Its model costs and evaluation.yaml sets no cost_cap. Run `pilotage evaluate {release[:19]}"
    )
    world.write("workflows/assistant/evaluation.yaml", EVALUATION + "cost_cap: 2 USD\n")
    capped = world.seal()
    evaluated(world, capped)
    upgrade(monkeypatch, "99.1")
    assert look(world) == (capped,)


async def test_a_refusal_is_told_with_its_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("workflows/assistant/model.yaml", PAID)
    world.write("workflows/assistant/evaluation.yaml", EVALUATION + "cost_cap: 2 EUR\n")
    release = world.seal()
    evaluated(world, release)
    upgrade(monkeypatch, "99.0")
    assert look(world) == ()
    (said,) = set(told(world, release))
    assert "has no price in EUR" in said
