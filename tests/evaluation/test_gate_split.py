"""Looks at a gate split are counted until a fifth of its questions is new; changed rows start no new count."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.emptied import empty
from tests.evaluation.world import World, make_world

from pilotage.control.gate_split import is_new
from pilotage.core.digest import digest_of
from pilotage.evaluation.run import Cause

GOLDEN = "workflows/assistant/golden/first.jsonl"


def test_a_fifth_of_new_questions_is_new_and_less_is_not() -> None:
    old = frozenset(digest_of(f"{n}".encode()) for n in range(100))
    fresh = [digest_of(f"new {n}".encode()) for n in range(20)]
    kept = sorted(old)
    assert is_new(frozenset([*kept[:80], *fresh]), old)
    assert not is_new(frozenset([*kept[:81], *fresh[:19]]), old)
    assert not is_new(old, old)
    assert not is_new(frozenset(kept[:5]), old)
    assert not is_new(frozenset(), old)


@pytest.mark.store
@pytest.mark.anyio
async def test_changing_rows_starts_no_new_count_and_new_questions_do(engine: Engine, open_folder: Path) -> None:
    world = fresh(engine, open_folder / "gate-split")
    assert await looks(world) == 0
    assert await looks(world) == 1
    assert await looks(world, cause=Cause.SCHEDULE) == 2
    rows = [json.loads(line) for line in (world.root / GOLDEN).read_text().splitlines()]
    edit(world, [{**row, "id": f"{row['id']}-again", "tags": ["renamed"]} for row in rows])
    assert await looks(world) == 2
    edit(world, [{**row, "question": f"{row['question']} Tell me."} if n == 0 else row for n, row in enumerate(rows)])
    assert await looks(world) == 3
    edit(world, [{**row, "question": f"{row['question']} Please."} if n < 6 else row for n, row in enumerate(rows)])
    assert await looks(world) == 0


@pytest.mark.store
@pytest.mark.anyio
async def test_a_run_on_schedule_of_what_passed_nothing_yet_wears_the_split_out(
    engine: Engine, open_folder: Path
) -> None:
    world = fresh(engine, open_folder / "gate-split-schedule")
    assert await looks(world, cause=Cause.SCHEDULE) == 0
    assert await looks(world, cause=Cause.SCHEDULE) == 1, "of the first, which nobody had seen pass"
    assert await looks(world) == 1, "the second asked what had passed"
    with engine.begin() as connection:
        connection.execute(text("UPDATE evaluation_run SET verdict = 'no_go' WHERE state = 'completed'"))
    assert await looks(world) == 3, "none of them had passed"


def fresh(engine: Engine, folder: Path) -> World:
    folder.mkdir()
    with engine.begin() as connection:
        empty(connection, "release", "stated_fact")
    return make_world(engine, folder, cases=25)


def edit(world: World, rows: list[dict[str, Any]]) -> None:
    world.write(GOLDEN, "".join(f"{json.dumps(row)}\n" for row in rows))


async def looks(world: World, cause: Cause = Cause.COMMAND) -> int:
    """Run the gate once more; return how often its split was looked at before."""
    world.clock.advance(timedelta(minutes=1))
    driven = await world.evaluate(world.seal(), cause=cause)
    attempts = world.result(driven.run.id)["attempts"]
    assert isinstance(attempts, dict)
    return int(attempts["gate_split"])
