"""The verdicts of a rollout: complete and in order, and those that were read before are not read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.console.conftest import Bank

from pilotage.store import rollout_history
from pilotage.store.rollout_history import verdict_history


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    """One rollout, judged more and more."""
    return bank.roll_out()


@contextmanager
def bodies_asked(engine: Engine) -> Iterator[list[list[str]]]:
    """The digests of each question for bytes."""
    asked: list[list[str]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: dict[str, Any], *_: object) -> None:
        if "digest, body" in statement:
            asked.append(list(parameters["digests"]))

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def counted(bank: Bank, rollout: str) -> list[int]:
    """The requests of each verdict, oldest first."""
    with bank.instance.engine.connect() as connection:
        found = verdict_history(connection, rollout)
    return [json.loads(one.body)["tests"]["error_rate.go"]["n"] for one in found]


def test_a_history_is_complete_and_reads_the_bytes_of_new_verdicts_alone(
    bank: Bank, rollout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = counted(bank, rollout)
    assert len(first) == 2
    with bodies_asked(bank.instance.engine) as asked:
        assert counted(bank, rollout) == first
        bank.judge(rollout, x=1, n=103)
        assert counted(bank, rollout) == [*first, 103]
        monkeypatch.setattr(rollout_history, "REMEMBERED", 2)
        bank.judge(rollout, x=1, n=104)
        assert counted(bank, rollout) == [*first, 103, 104]
        assert counted(bank, rollout) == [*first, 103, 104]
    assert [len(digests) for digests in asked] == [1, 1, 2]
