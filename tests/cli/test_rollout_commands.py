"""Exit codes and shapes of `pilotage rollout|rollback|drill|incident`, on a fresh workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="module")
def run(open_folder: Path) -> Run:
    hidden = {"DATABASE_URL", "PILOTAGE_AS", "PILOTAGE_KEY"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"PILOTAGE_HOME": str(open_folder / "rollout-cli-home"), "COLUMNS": "200"}
    folder = open_folder / "rollout-bank"

    def call(*arguments: str, where: Path | None = None) -> tuple[int, Any, str]:
        command = [sys.executable, "-m", "pilotage", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=where or folder, env=environ, capture_output=True, text=True, timeout=240, check=False
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    assert call("init", str(folder), "--template", "bank", where=open_folder)[0] == 0
    return call


def test_commands_answer_with_their_shapes_and_exit_codes(run: Run) -> None:
    code, body, _ = run("rollout", "status")
    assert (code, body) == (0, {"rollouts": [], "next_page": None})
    assert run("rollout", "status", "nothing")[0] == 2
    assert run("rollout", "pause", "nothing", "--as", "elena.marchetti")[0] == 2
    assert run("rollout", "pairs", "nothing", "--as", "marcus.webb")[0] == 2
    assert run("rollout", "pairs", "nothing", "--as", "maria.chen")[0] == 3
    code, body, _ = run("rollback", "policy-assistant", "--reason", "x", "--as", "maria.chen")
    assert (code, body["reasons"][0]["code"]) == (3, "NOT_PERMITTED")
    code, body, _ = run("rollback", "policy-assistant", "--reason", "x", "--as", "elena.marchetti")
    assert (code, body["reasons"][0]["code"]) == (1, "NOTHING_SERVED")
    code, body, _ = run(
        "drill", "rollback", "policy-assistant", "--space", "staging-deployment-space", "--as", "dina.kowalski"
    )
    assert (code, body["reasons"][0]["code"]) == (1, "DRILL_NOTHING_SERVED")
    place = ("--workflow", "policy-assistant", "--space", "production-us-east-space", "--summary", "Slow answers")
    assert run("incident", "open", *place, "--kind", "data-loss", "--as", "elena.marchetti")[0] == 2
    code, opened, _ = run("incident", "open", *place, "--as", "dina.kowalski")
    assert (code, opened["severity"], opened["state"]) == (0, "SEV3", "open")
    code, closed, _ = run("incident", "close", opened["incident"], "--as", "dina.kowalski")
    assert (code, closed["state"]) == (0, "closed")
    code, listed, _ = run("incident", "list")
    assert (code, listed["open"], len(listed["incidents"])) == (0, 0, 1)
    assert run("incident", "show", opened["incident"])[1]["timeline"][0]["text"] == "Slow answers"
