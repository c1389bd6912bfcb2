"""hard_event_cuts_streams: no byte of a release leaves after a hard event; and what was sent is read once more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pilotage.core.ids import SpaceName
from pilotage.guard.policy import GuardPolicy, StreamMode
from pilotage.ledger.entry import decode_entry
from pilotage.serving.context import Answer
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.run import Finished, Run
from pilotage.serving.under_way import UnderWay
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import SPACE, WORKFLOW, Plan, content

pytestmark = pytest.mark.anyio


class Reader:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.is_slow = False

    async def begin(self, release: str) -> None:
        self.release = release

    async def send(self, text: str) -> None:
        self.pieces.append(text)


def cut(desk: Desk, space: SpaceName = SPACE) -> None:
    """Take the release out by a hard event, as the routing watch learns of it."""
    table = desk.path.routing.current
    row = table.rows[(space, WORKFLOW)]
    assert row.stable is not None
    changed = replace(row, stable=None, closed="maintenance", cut=frozenset({row.stable}))
    desk.path.routing.current = replace(table, rows={**table.rows, (space, WORKFLOW): changed})


@pytest.mark.parametrize("stream", [StreamMode.TOKEN, StreamMode.SENTENCE, StreamMode.BUFFER])
async def test_hard_event_cuts_streams_and_no_byte_leaves_after_the_flip(stream: StreamMode) -> None:
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    model = FakeModel(pieces=("Errors are resolved. ", "They take ten days. ", "Ask again [1]."), gate=gate)
    async with opened(Plan(model=model, content=content(stream=stream))) as desk:
        reader = Reader()
        asking = asyncio.create_task(desk.ask(sink=reader, stream=True))
        for number in range(3):
            while len(turns) <= number:  # noqa: ASYNC110 - the model counts its turns, it has no event
                await asyncio.sleep(0.001)
            if number == 2:
                cut(desk)
                before = list(reader.pieces)
            turns[number].set_result(None)
        finished = await asking
        assert isinstance(finished.result, Refusal)
        assert finished.result.code is Code.RELEASE_WITHDRAWN
        assert reader.pieces == before


async def test_a_release_that_only_left_the_row_finishes_its_streams() -> None:
    async with opened(Plan(content=content(stream=StreamMode.TOKEN))) as desk:
        table = desk.path.routing.current
        row = replace(table.rows[(SPACE, WORKFLOW)], cut=frozenset({content("another").digest}))
        desk.path.routing.current = replace(table, rows={(SPACE, WORKFLOW): row})
        reader = Reader()
        await desk.ask(sink=reader, stream=True)
        assert "".join(reader.pieces) == "Ten business days [1]."


@pytest.mark.parametrize(("seconds", "is_ended"), [(30.0, False), (30.1, True)])
async def test_what_a_tripped_release_has_under_way_finishes_within_thirty_seconds(
    seconds: float, *, is_ended: bool
) -> None:
    async with opened(Plan(content=content(stream=StreamMode.TOKEN))) as desk:
        table, now = desk.path.routing.current, desk.path.serving.monotonic()
        left = {(SPACE, WORKFLOW, content(stream=StreamMode.TOKEN).digest): now - seconds}
        desk.path.routing.current = replace(table, left=left)
        desk.path.serving = replace(desk.path.serving, monotonic=lambda: now)
        desk.pipeline = Pipeline(desk.path.serving)
        finished = await desk.ask(sink=Reader(), stream=True)
        assert isinstance(finished.result, Refusal) is is_ended
        if isinstance(finished.result, Refusal):
            assert finished.result.code is Code.RELEASE_WITHDRAWN


async def silent(desk: Desk, turns: list[asyncio.Future[None]], reader: Reader) -> asyncio.Task[Finished]:
    """Return a stream that has sent its first piece and whose model says nothing since."""
    asking = asyncio.create_task(desk.ask(sink=reader, stream=True))
    while len(turns) < 2:
        await asyncio.sleep(0.001)
        if turns and not turns[0].done():
            turns[0].set_result(None)
    return asking


@pytest.mark.parametrize("how", ["cut", "left long ago"])
async def test_a_stream_whose_model_is_silent_ends_too(how: str) -> None:
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    model = FakeModel(pieces=("Errors are resolved. ", "Never said."), gate=gate)
    async with opened(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as desk:
        reader = Reader()
        asking = await silent(desk, turns, reader)
        if how == "cut":
            cut(desk)
        else:
            table, release = desk.path.routing.current, content().digest
            left = {(SPACE, WORKFLOW, release): desk.path.serving.monotonic() - 30.1}
            desk.path.routing.current = replace(table, left=left)
        finished = await asyncio.wait_for(asking, 60)
    assert isinstance(finished.result, Refusal)
    assert finished.result.code is Code.RELEASE_WITHDRAWN
    assert reader.pieces == ["Errors are resolved. "]
    assert model.cancelled == 1


async def test_a_silent_stream_of_a_release_that_just_left_or_of_another_goes_on() -> None:
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    model = FakeModel(pieces=("Errors are resolved. ", "They take ten days [1]."), gate=gate)
    async with opened(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as desk:
        reader = Reader()
        asking = await silent(desk, turns, reader)
        table, now = desk.path.routing.current, desk.path.serving.monotonic()
        other = {(SPACE, WORKFLOW, content("another").digest): now - 100.0, (SPACE, WORKFLOW, content().digest): now}
        desk.path.routing.current = replace(table, left=other)
        desk.pipeline._under_way.look()
        turns[1].set_result(None)
        finished = await asyncio.wait_for(asking, 60)
    assert isinstance(finished.result, Answer)
    assert "".join(reader.pieces) == "Errors are resolved. They take ten days [1]."


async def test_a_request_that_ends_already_holds_up_no_other_that_has_to() -> None:
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    model = FakeModel(pieces=("Errors are resolved. ", "Never said."), gate=gate)
    async with opened(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as desk:
        asking = await silent(desk, turns, Reader())
        ((run, deadline),) = desk.pipeline._under_way._running.values()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0) as over:
                await asyncio.sleep(60)
        late = Run(context=run.context)
        under_way = UnderWay(desk.path.serving)
        under_way.add(late, over)
        under_way.add(run, deadline)
        cut(desk)
        under_way.look()
        finished = await asyncio.wait_for(asking, 60)
    assert isinstance(finished.result, Refusal)
    assert (finished.result.code, late.withdrawn) == (Code.RELEASE_WITHDRAWN, None)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Write to jane.doe@example.com [1].", ["EMAIL"]),
        ("The key is AKIAIOSFODNN7EXAMPLE [1].", ["SECRET"]),
        ("Ten business days [1].", None),
    ],
)
async def test_what_a_failed_guard_let_leave_stands_in_the_record_by_kind_only(
    text: str, kinds: list[str] | None
) -> None:
    policy = GuardPolicy(version=1, stream=StreamMode.BUFFER, checks=())
    async with opened(Plan(model=FakeModel(pieces=(text,)), content=content(guard=policy))) as desk:
        await desk.answer()
    (row,) = desk.path.sink.rows
    data = decode_entry(row.entry.bytes).data
    assert data.get("sent") == kinds
    assert b"jane.doe" not in row.entry.bytes
