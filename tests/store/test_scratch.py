"""What a killed test run left is removed by the next one; what another run uses stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conftest import sweep

NOBODY = 2**22 + 1  # above the highest process there can be


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="who is alive is read from /proc")
def test_only_folders_of_runs_that_ended_are_removed(tmp_path: Path) -> None:
    ended, alive = tmp_path / f"pilotage-test-{NOBODY}-abc", tmp_path / f"pilotage-test-{os.getpid()}-abc"
    other = tmp_path / "pilotage-test-notes"
    for folder in (ended, alive, other):
        (folder / "home").mkdir(parents=True)
    (ended / "home/postmaster.pid").write_text(f"{os.getpid()}\n")  # a number given again: not a server of that folder
    sweep(tmp_path)
    assert [folder.exists() for folder in (ended, alive, other)] == [False, True, True]
