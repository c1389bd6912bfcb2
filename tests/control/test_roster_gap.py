"""A gap in the rota of what serves in production is a SEV3 that pages the owner, once (rollouts.md 11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world

from pilotage.control.watch_rosters import watch_rosters
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.workspace.records import Workspace

pytestmark = pytest.mark.store


def with_minimum(workspace: Workspace, people: int) -> Workspace:
    rotas = {name: replace(rota, minimum=people) for name, rota in workspace.operations.rotas.items()}
    return replace(workspace, operations=replace(workspace.operations, rotas=rotas))


def watch(world: RolloutWorld) -> tuple[str, ...]:
    with world.engine.begin() as connection:
        return watch_rosters(connection, world.instance)


def rows(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@pytest.mark.feature("D13.47", "DR.15", "R0.4", "R4.2")
def test_a_gap_pages_the_owner_once_until_somebody_resolves_it(engine: Engine) -> None:
    world = make_world(engine, with_minimum(bank(), 9))
    assert watch(world) == (), "nothing serves"
    world.serve(world.seal("Old."), [EAST])
    assert watch(world) == (WORKFLOW,)
    assert rows(engine, "SELECT workflow, severity, cause FROM incident") == [(WORKFLOW, "SEV3", "roster gap")]
    pages = (
        "SELECT payload->'facts'->>'owner', payload->'facts'->>'severity' FROM outbox WHERE payload->>'kind' = 'page'"
    )
    owner = world.workspace.workflows[WORKFLOW].owner
    assert rows(engine, pages) == [(owner, "SEV3")]
    world.clock.advance(timedelta(hours=1))
    assert (watch(world), len(rows(engine, pages))) == ((), 1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE incident SET state = 'resolved', resolved_at = now()"))
    assert watch(world) == (WORKFLOW,)


def test_a_rota_without_a_gap_tells_nothing(engine: Engine) -> None:
    world = make_world(engine)
    world.serve(world.seal("Old."), [EAST])
    assert watch(world) == ()
