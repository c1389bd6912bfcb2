"""`kill -9` at any moment: the run goes on where it was, and its result is the same to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import World, make_world

from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError

pytestmark = [pytest.mark.store]


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "killed"
    folder.mkdir()
    return make_world(engine, folder)


@pytest.fixture(scope="module")
def release(world: World) -> Digest:
    return world.seal()


class Commands:
    """The command line over the world's folder and database."""

    def __init__(self, world: World, url: str) -> None:
        self._world = world
        self._environ = {**os.environ, "DATABASE_URL": url, "PILOTAGE_HOME": str(world.instance.home), "COLUMNS": "200"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pilotage", "evaluate", *arguments, "--as", "ada", "--json"]
        return subprocess.Popen(
            command, cwd=self._world.root, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert out, err
        return process.returncode, json.loads(out)

    def done(self) -> tuple[str, int]:
        """Return the newest run and how many of its tasks are done."""
        with self._world.instance.engine.connect() as connection:
            row = connection.execute(
                text(
                    "SELECT r.id, count(t.run) FILTER (WHERE t.state = 'done') AS done FROM evaluation_run r"
                    " LEFT JOIN evaluation_task t ON t.run = r.id GROUP BY r.id ORDER BY r.requested_at DESC LIMIT 1"
                )
            ).first()
        return ("", 0) if row is None else (row.id, row.done)


def _kill_after(commands: Commands, process: subprocess.Popen[str], tasks: int, earlier: str) -> str:
    """Kill the process as soon as its run has so many tasks done; return the run."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        run, done = commands.done()
        if run != earlier and done >= tasks:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return commands.done()[0]


def kill_and_resume(world: World, release: Digest, url: str, *, kills: int, seed: int) -> None:
    commands, draw = Commands(world, url), random.Random(seed)
    world.forget_answers()
    code, whole = commands.end(release, "--golden", "first")
    assert (code, whole["verdict"], whole["gating"]) == (0, "go", False)
    world.forget_answers()
    points = sorted(draw.sample(range(1, 38), kills))
    run = _kill_after(commands, commands.start(release, "--golden", "first"), points[0], whole["run"])
    for point in points[1:]:
        assert _kill_after(commands, commands.start("resume", run), point, "") == run
    code, resumed = commands.end("resume", run)
    assert (code, resumed["run"], resumed["state"]) == (0, run, "completed")
    assert resumed["result_sha256"] == whole["result_sha256"]
    with world.instance.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT count(*), count(DISTINCT case_id), bool_and(state = 'done') FROM evaluation_task WHERE run = :r"
            ),
            {"r": run},
        ).one()
    assert tuple(rows) == (40, 40, True), "no task is lost and none is there twice"
    assert resumed["measured"]["repeated_calls"] <= 10 * kills, "only calls in flight are paid twice"


def test_a_killed_run_ends_equal_to_one_that_was_not(world: World, release: Digest, database_url: str) -> None:
    kill_and_resume(world, release, database_url, kills=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_a_storm_of_kills_changes_nothing(world: World, release: Digest, database_url: str, seed: int) -> None:
    kill_and_resume(world, release, database_url, kills=8, seed=seed)


@pytest.mark.slow
def test_an_interrupt_prints_how_to_go_on(world: World, release: Digest, database_url: str) -> None:
    commands = Commands(world, database_url)
    world.forget_answers()
    earlier = commands.done()[0]
    process = commands.start(release, "--golden", "first")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and commands.done()[0] == earlier:
        time.sleep(0.01)
    while time.monotonic() < deadline and commands.done()[1] < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    run, done = commands.done()
    if process.returncode != 0:  # else the run was faster than the signal
        assert process.returncode == 130, err
        assert f"pilotage evaluate resume {run}" in err
        assert done < 40
        code, resumed = commands.end("resume", run)
        assert (code, resumed["state"]) == (0, "completed")


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(world: World, release: Digest, database_url: str) -> None:
    commands = Commands(world, database_url)
    _, ended = commands.end(release, "--golden", "first")
    code, refused = commands.end("resume", ended["run"])
    assert (code, refused["error"]["code"]) == (1, "RUN_OVER")


@pytest.mark.parametrize(
    ("asked", "code"),
    [({"golden": ("nothing",)}, "GOLDEN_UNKNOWN"), ({"space": "nowhere"}, "SPACE_UNKNOWN")],
)
def test_bad_input_is_refused_before_anything_is_written(
    world: World, release: Digest, asked: dict[str, Any], code: str
) -> None:
    with pytest.raises(UsageError) as refused:
        world.start(release, **asked)
    assert refused.value.code == code
    with world.instance.engine.connect() as connection:
        orphans = connection.execute(text("SELECT count(*) FROM evaluation_run WHERE state = 'queued'")).scalar_one()
    assert orphans == 0
