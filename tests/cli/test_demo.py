"""The demo tells its whole story on the sample bank, and nothing in it is faked: each scene checks what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_ends_with_cited_answers_a_purged_document_and_a_ledger_that_verifies(open_folder: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environ["PILOTAGE_HOME"] = str(open_folder / "demo-home")
    command = [sys.executable, "-m", "pilotage", "demo", "--acts", "1", "--speed", "1000", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    titles = [scene["title"] for scene in told["scenes"]]
    answers = [scene["answer"] for scene in told["scenes"] if "answer" in scene]
    assert [answer["refused"] for answer in answers[:3]] == [False, True, False]
    assert "$25,000" in answers[0]["answer"]
    assert "$50,000" in answers[3]["answer"]
    assert answers[1]["citations"] == []
    assert titles[-1] == "The ledger verifies"
    assert any("is taken down" in title for title in titles)
    assert told["server"] is None
