"""cache_namespace (rollouts.md 13): a kept answer goes with its release, and only people are given one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pilotage.core.ids import SpaceName
from pilotage.evaluation.pair_scorer import SupportScorer
from pilotage.guard.policy import CacheMode, GuardPolicy, StreamMode
from pilotage.rollout.assignment import Arm, Split
from pilotage.serving import cache_keeper
from pilotage.serving.acknowledge import Acknowledger
from pilotage.serving.admissions import Admissions
from pilotage.serving.answer_cache import LONGEST
from pilotage.serving.cache_keeper import CacheKeeper
from pilotage.serving.context import Answer, Known
from pilotage.serving.headless import HeadlessPath
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import Refusal
from pilotage.serving.routing import Release, RoutingRow
from pilotage.serving.shadow import ShadowArm
from pilotage.store.serving_acks import AckRow, AdmissionRow
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import SPACE, WORKFLOW, Plan, content, person
from pilotage.testing.shadow import FakePairStore

pytestmark = pytest.mark.anyio
SHARED = GuardPolicy(version=1, stream=StreamMode.BUFFER, checks=(), cache=CacheMode.SHARED)
STABLE, CANDIDATE = content(guard=SHARED), content("release-2", guard=SHARED)
OLD, NEW = "Ten business days [1].", "Twelve business days [1]."
PLACE = (SPACE, WORKFLOW)


@asynccontextmanager
async def rolling() -> AsyncIterator[tuple[Desk, CacheKeeper, FakeModel]]:
    """A row with a candidate that `maria` meets and `omar` does not; every swap is heard as in a process."""
    model = FakeModel(pieces=[OLD])
    async with opened(Plan(model=model, content=STABLE)) as desk:
        new = FakeModel(pieces=[NEW])
        table = desk.path.routing.current
        releases = {**table.releases, CANDIDATE.digest: Release(content=CANDIDATE, model=new)}
        desk.path.routing.current = replace(table, releases=releases)
        serving = desk.path.serving
        keeper = CacheKeeper(serving.cache, table=lambda: desk.path.routing.current, clock=serving.clock)
        routed(desk, candidate=CANDIDATE.digest, split=Split(pins={"local|maria": Arm.CANDIDATE}))
        yield desk, keeper, new


def routed(desk: Desk, **row: Any) -> None:
    table = desk.path.routing.current
    made = replace(RoutingRow(space=SPACE, workflow=WORKFLOW, generation=2, stable=STABLE.digest), **row)
    desk.path.routing.current = replace(table, rows={PLACE: made})


async def given(desk: Desk, token: str = "maria", **asked: Any) -> tuple[str, bool]:
    answer = await desk.answer(token=token, **asked)
    return answer.text, answer.cached


async def both(desk: Desk) -> None:
    """Let each arm keep its answer."""
    assert await given(desk, "maria") == (NEW, False)
    assert await given(desk, "omar") == (OLD, False)
    assert counts(desk) == (1, 1)


def counts(desk: Desk) -> tuple[int, int]:
    cache = desk.path.serving.cache
    return cache.count(STABLE.digest), cache.count(CANDIDATE.digest)


async def test_no_kept_candidate_text_is_given_after_a_flip() -> None:
    async with rolling() as (desk, keeper, _):
        await both(desk)
        routed(desk)  # rolled back; this process has forgotten nothing yet
        assert await given(desk, "maria") == (OLD, True)
        keeper.swapped()
        assert counts(desk) == (1, 0)
        routed(desk, stable=CANDIDATE.digest)
        keeper.swapped()
        assert counts(desk) == (0, 0)
        assert await given(desk, "maria") == (NEW, False)


@pytest.mark.parametrize("how", ["cut", "withdrawn", "gone"])
async def test_none_is_kept_of_a_release_that_was_taken_out_while_it_answered(how: str) -> None:
    """The answer itself may still leave after a plain flip, for thirty seconds; it is not kept."""
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    async with rolling() as (desk, keeper, model):
        model.gate = gate
        asking = asyncio.create_task(desk.ask(token="maria"))
        while not turns:  # noqa: ASYNC110 - the model counts its turns, it has no event
            await asyncio.sleep(0.001)
        if how == "withdrawn":
            withdrawn = frozenset({CANDIDATE.digest})
            desk.path.routing.current = replace(desk.path.routing.current, withdrawn=withdrawn)
        else:
            routed(desk, cut=frozenset({CANDIDATE.digest} if how == "cut" else ()))
        keeper.swapped()
        turns[0].set_result(None)
        result = (await asking).result
        assert isinstance(result, Refusal if how == "cut" else Answer)
        assert counts(desk) == (0, 0)


async def test_a_hard_event_purges_the_candidate_s_namespace_verified_by_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rolling() as (desk, keeper, _):
        await both(desk)
        await given(desk, "maria", question="How are errors resolved?")
        assert counts(desk) == (1, 2)
        routed(desk, cut=frozenset({CANDIDATE.digest}))
        sink = Acks()
        said = Acknowledger(
            sink,
            table=lambda: desk.path.routing.current,
            admissions=Admissions(),
            monotonic=desk.path.serving.monotonic,
            kept=desk.path.serving.cache.count,
        )
        await said.acknowledge()
        assert sink.rows == [], "the row does not hold here while one of its answers is left"
        with caplog.at_level(logging.WARNING, cache_keeper.__name__):
            keeper.swapped()
        assert counts(desk) == (1, 0)
        assert f"{CANDIDATE.digest} was taken out: 2 kept answers were forgotten, 0 are left" in caplog.text
        await said.acknowledge()
        assert [row.generation for row in sink.rows] == [2]
        caplog.clear()
        keeper.swapped()
        assert caplog.text == ""


async def test_what_one_space_cuts_out_is_kept_in_none() -> None:
    async with rolling() as (desk, keeper, _):
        await both(desk)
        table = desk.path.routing.current
        other = replace(table.rows[PLACE], space=SpaceName("elsewhere"), cut=frozenset({CANDIDATE.digest}))
        desk.path.routing.current = replace(table, rows={**table.rows, (other.space, WORKFLOW): other})
        keeper.swapped()
        assert counts(desk) == (1, 0)
        assert await given(desk, "maria") == (NEW, False)
        assert counts(desk) == (1, 0)


class Acks:
    """Keeps the last acknowledgements."""

    def __init__(self) -> None:
        self.rows: list[AckRow] = []

    async def write(self, acks: list[AckRow], admissions: list[AdmissionRow]) -> None:
        del admissions
        self.rows = acks

    async def forget(self) -> None:
        self.rows = []


async def test_the_rounds_forget_what_is_over_and_what_was_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_keeper, "EVERY_S", 0.001)
    async with rolling() as (desk, keeper, _):
        await both(desk)
        keeper.start()
        withdrawn = frozenset({CANDIDATE.digest})
        desk.path.routing.current = replace(desk.path.routing.current, withdrawn=withdrawn)
        await until(desk, (1, 0))
        desk.path.clock.advance(LONGEST)
        await until(desk, (0, 0))
        await keeper.stop()


async def until(desk: Desk, wanted: tuple[int, int]) -> None:
    for _ in range(2_000):
        if counts(desk) == wanted:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(counts(desk))


async def test_a_round_that_breaks_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_keeper, "EVERY_S", 0.001)
    async with rolling() as (desk, _, _):
        await both(desk)
        tables = [desk.path.routing.current]

        def table() -> Any:
            return tables.pop() if tables else None

        keeper = CacheKeeper(desk.path.serving.cache, table=table, clock=desk.path.clock)
        keeper.start()
        while caplog.text.count("could not be looked through") < 2:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.002)
        await keeper.stop()
        await CacheKeeper(desk.path.serving.cache, table=table, clock=desk.path.clock).stop()


@pytest.mark.parametrize("kind", [kind for kind in TrafficKind if kind not in {TrafficKind.USER, TrafficKind.FAILOVER}])
async def test_probes_drills_replays_and_load_tests_neither_read_nor_fill_it(kind: TrafficKind) -> None:
    async with opened(Plan(content=STABLE)) as desk:
        received = replace(desk.received(), credential=Known(principal=person("maria", "lending"), kind=kind))
        for _ in range(2):
            result = (await desk.pipeline.answer(received)).result
            assert isinstance(result, Answer)
            assert not result.cached
        assert counts(desk) == (0, 0)
        assert await given(desk) == (OLD, False)
        result = (await desk.pipeline.answer(received)).result
        assert isinstance(result, Answer)
        assert not result.cached
        assert (desk.path.serving.cache.hits, desk.path.serving.cache.misses) == (0, 1)


async def test_evaluation_walks_past_it() -> None:
    model = FakeModel(pieces=[OLD])
    async with opened(Plan(model=model, content=STABLE)) as desk:
        await given(desk)
        path = HeadlessPath(
            desk.path.serving, Release(content=STABLE, model=model), desk.path.serving.workspace.spaces[SPACE]
        )
        for _ in range(2):
            walked = await path.ask(person("maria", "lending"), desk.received().asked)
            assert walked.refusal is None
        assert len(model.requests) == 3
        assert counts(desk) == (1, 0)


async def test_the_shadow_arm_stores_and_reads_nothing() -> None:
    candidate, pairs = FakeModel(pieces=[NEW]), FakePairStore()
    async with rolling() as (desk, _, _):
        table = desk.path.routing.current
        row = RoutingRow(
            space=SPACE,
            workflow=WORKFLOW,
            generation=2,
            stable=STABLE.digest,
            shadow=CANDIDATE.digest,
            shadow_ppm=1_000_000,
            rollout="rollout-1",
        )
        releases = {**table.releases, CANDIDATE.digest: Release(content=CANDIDATE, model=candidate)}
        desk.path.routing.current = replace(table, rows={PLACE: row}, releases=releases)
        serving = replace(desk.path.serving, has_shadow=True)
        desk.pipeline = type(desk.pipeline)(serving)
        arm = ShadowArm(serving, pairs, SupportScorer())
        arm.start()
        for number in (1, 2):
            finished = await desk.ask(token="maria")
            assert isinstance(finished.result, Answer)
            assert finished.result.cached is (number == 2)
            arm.take(finished)
            while len(pairs.rows) < number:  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.002)
        await arm.stop()
        assert [row.state for row in pairs.rows] == ["scored", "scored"]
        assert pairs.rows[0].result is pairs.rows[1].result, "a kept answer is judged by the passages it rests on"
        assert len(candidate.requests) == 2
        assert counts(desk) == (1, 0)
        assert (serving.cache.hits, serving.cache.misses) == (1, 1)
