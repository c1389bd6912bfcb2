"""A candidate is asked its critical questions every minute; only a second failed round in a row counts against it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.serving.candidate_watch import CandidateWatch
from pilotage.serving.critical_rounds import Round
from pilotage.serving.routing import RoutingRow, RoutingTable

pytestmark = pytest.mark.anyio
STABLE, CANDIDATE = Digest("sha256:stable"), Digest("sha256:candidate")
PLACE = (SpaceName("production-us-east-space"), WorkflowName("policy-assistant"))


class Watch(CandidateWatch):
    """A watch whose releases pass or fail as told; `now` is the time in seconds."""

    def __init__(self, *loaded: Digest) -> None:
        self.now, self.failing, self.asked = 0.0, frozenset[Digest](), list[Digest | None]()
        self.written: list[Round] = []
        row = RoutingRow(space=PLACE[0], workflow=PLACE[1], generation=3, stable=STABLE, candidate=CANDIDATE)
        self.table = RoutingTable(rows={PLACE: row}, releases=dict.fromkeys(loaded, cast(Any, None)))
        serving = SimpleNamespace(monotonic=lambda: self.now)
        super().__init__(cast(Any, serving), self, table=lambda: self.table)

    async def ask_release(self, _row: RoutingRow, release: Digest | None, _table: RoutingTable) -> Round:
        self.asked.append(release)
        return Round(release=release or "", asked=10, passed=9 if release in self.failing else 10, right_release=True)

    async def write(self, _row: RoutingRow, found: Round) -> None:
        self.written.append(found)

    async def minute(self, *failing: Digest) -> list[int]:
        """Let a minute pass and a round be asked; return how many questions passed in what was written."""
        self.now, self.failing, self.written = self.now + 60.0, frozenset(failing), []
        await self.probe_once()
        return [found.passed for found in self.written]


async def test_a_round_is_asked_every_minute_and_no_sooner() -> None:
    watch = Watch(STABLE, CANDIDATE)
    assert await watch.minute() == [10]
    watch.now += 59.9
    await watch.probe_once()
    assert watch.asked == [CANDIDATE]
    watch.now += 0.1
    await watch.probe_once()
    assert watch.asked == [CANDIDATE, CANDIDATE]


async def test_only_the_second_failed_round_in_a_row_is_written() -> None:
    watch = Watch(STABLE, CANDIDATE)
    assert await watch.minute(CANDIDATE) == []
    assert await watch.minute() == [10]
    assert await watch.minute(CANDIDATE) == []
    assert await watch.minute(CANDIDATE) == [9]
    assert await watch.minute(CANDIDATE) == [9]


async def test_a_question_that_stable_fails_too_says_nothing_of_the_candidate() -> None:
    watch = Watch(STABLE, CANDIDATE)
    for _ in range(3):
        assert await watch.minute(CANDIDATE, STABLE) == []
    assert await watch.minute(CANDIDATE) == []
    assert await watch.minute(CANDIDATE) == [9]


@pytest.mark.parametrize("loaded", [(), (STABLE,), (CANDIDATE,)])
async def test_nothing_is_asked_where_one_of_the_two_is_not_loaded(loaded: tuple[Digest, ...]) -> None:
    watch = Watch(*loaded)
    assert await watch.minute() == []
    assert watch.asked == []
