"""Eight processes number and write while they are killed at random: no gap, no double, nothing committed is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_verify import verify_ledger
from pilotage.core.reason import Refusal
from pilotage.ledger.verify import Verdict, Verification
from pilotage.store.engine import url_of
from pilotage.store.ledger_sequencing import number_all
from pilotage.testing.ledger import LedgerHome

pytestmark = pytest.mark.store
SCRIPT = Path(__file__).with_name("sequencer_process.py")
PROCESSES = 8


@dataclass(slots=True)
class Runner:
    """One process, and the file it reports its commits to."""

    process: subprocess.Popen[bytes]
    report: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def commits(self) -> set[str]:
        return {line for line in self.report.read_text().split("\n") if len(line) == 26}


def start(ledger: LedgerHome, number: int) -> Runner:
    url = url_of(ledger.engine)
    report = ledger.home / f"commits-{number}"
    with report.open("wb") as file, (ledger.home / "errors").open("ab") as errors:
        command = [sys.executable, str(SCRIPT), url, str(ledger.home)]
        return Runner(process=subprocess.Popen(command, stdout=file, stderr=errors), report=report)


def race(ledger: LedgerHome, *, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    assert not isinstance(write_checkpoint(ledger), Refusal)
    runners = [start(ledger, number) for number in range(PROCESSES)]
    living = list(runners)
    waiter = threading.Event()
    for _ in range(600):
        if all(runner.report.stat().st_size for runner in living):
            break
        waiter.wait(0.1)
    for number in range(kills):
        waiter.wait(draw.uniform(0.05, 0.5))
        living.pop(draw.randrange(len(living))).kill()
        if number < kills - PROCESSES // 2:
            living.append(start(ledger, len(runners)))
            runners.append(living[-1])
    for runner in living:
        runner.kill()
    reported = set().union(*(runner.commits() for runner in runners))
    assert (ledger.home / "errors").read_text() == ""
    assert len(reported) > 100
    number_all(ledger.engine)
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT id, seq FROM ledger_entry ORDER BY seq NULLS FIRST")).all()
    assert [row.seq for row in rows] == list(range(len(rows)))
    assert reported <= {row.id for row in rows}
    result = verify_ledger(ledger)
    assert isinstance(result, Verification)
    assert result.verdict is Verdict.VERIFIED
    assert fsck_ledger(ledger).findings == ()


def test_eight_processes_killed_at_random_leave_no_gap_and_lose_nothing(ledger: LedgerHome) -> None:
    race(ledger, kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_long_storm_of_kills_leaves_no_gap_and_loses_nothing(ledger: LedgerHome) -> None:
    race(ledger, kills=200, seed=2)
