"""What every test of the use cases has: the same draw of askers in each run."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _same_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rollouts draw who meets the candidate by salts that differ from each other and not from run to run."""
    salts = (f"{number:016x}" for number in count(30))
    monkeypatch.setattr("pilotage.control.start_rollout.secrets", SimpleNamespace(token_hex=lambda _bytes: next(salts)))
