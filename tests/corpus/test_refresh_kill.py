"""A refresh killed at any moment leaves nothing half-visible, and the next one ends where an unbroken one would."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.testing.connectors import MemoryConnector, MemoryDocument

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import killed_refresh
killed_refresh(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
"""


VERSIONS = "SELECT count(*) FROM corpus_version WHERE corpus = :c"
ENTRIES = "SELECT count(*) FROM ledger_entry WHERE subject LIKE :c || '@%' AND kind = 'corpus.version_accepted'"
PUBLISHED = (
    "SELECT count(*) FROM ledger_entry WHERE kind = 'corpus.version_proposed' AND subject LIKE :c || '@%'"
    " OR kind = 'corpus.confirmed_unchanged' AND subject = :c"
)
CONFIRMED = "SELECT confirmations FROM corpus WHERE name = :c"
TEXTLESS = (
    "SELECT count(*) FROM chunk c LEFT JOIN chunk_text t USING (corpus, content_hash)"
    " WHERE c.corpus = :c AND t.body IS NULL"
)


def documents(edition: int) -> dict[str, MemoryDocument]:
    return {
        f"d{n:03}.txt": MemoryDocument(
            data=f"Rule {n} of edition {edition if n % 3 == 0 else 0} names its limit.".encode(),
            suffix=".txt",
            acl=["group:everyone"],
        )
        for n in range(400)
    }


def state(bank: Any, corpus: str) -> tuple[Any, ...]:
    with bank.instance.engine.connect() as connection:
        return tuple(
            connection.execute(text(sql), {"c": corpus}).scalar_one()
            for sql in (VERSIONS, ENTRIES, TEXTLESS, PUBLISHED, CONFIRMED)
        )


def kill_storm(bank: Any, corpus: str, tmp_path: Path, database_url: str, *, kills: int) -> None:
    rng = random.Random(kills)
    bank.refresh(corpus, MemoryConnector(documents=documents(0)))
    edition = 1
    for _ in range(kills):
        before = state(bank, corpus)
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SCRIPT,
                str(Path(__file__).parent),
                str(tmp_path),
                database_url,
                corpus,
                str(edition),
            ],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.6))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        after = state(bank, corpus)
        assert after[0] - before[0] == after[1] - before[1], "a version without its ledger entry"
        assert after[0] - before[0] in {0, 1}
        assert after[2] == 0
        assert after[3] == after[4], "ACLs confirmed without telling, or told without being confirmed"
        if after[0] > before[0]:
            edition += 1
    result = _patiently(bank, corpus, edition)
    assert result.state in {"accepted", "unchanged"}
    with bank.instance.engine.connect() as connection:
        stray = connection.execute(text("SELECT count(*) FROM revision WHERE corpus = :c"), {"c": corpus}).scalar_one()
    assert stray <= 400 + 134 * edition


def _patiently(bank: Any, corpus: str, edition: int) -> Any:
    """The server may take a moment to notice that a killed session is gone."""
    for _ in range(100):
        with bank.instance.engine.connect() as connection:
            held = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()
        if not held:
            break
        time.sleep(0.05)
    return bank.refresh(corpus, MemoryConnector(documents=documents(edition)))


def test_a_killed_refresh_leaves_nothing_half_visible(
    bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path, database_url: str
) -> None:
    kill_storm(bank, bank.declare(make_settings(fresh_name(), acl=())), tmp_path, database_url, kills=3)


@pytest.mark.slow
def test_seventy_killed_refreshes_leave_nothing_half_visible(
    bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path, database_url: str
) -> None:
    kill_storm(bank, bank.declare(make_settings(fresh_name(), acl=())), tmp_path, database_url, kills=70)
