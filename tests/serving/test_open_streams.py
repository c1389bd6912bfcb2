"""A process knows how many streams each release has open, and tells the store how far its clock is off."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from tests.serving.test_hard_events import Reader, cut, silent

from pilotage.adapters.clock import SystemClock
from pilotage.guard.policy import StreamMode
from pilotage.serving.context import Answer
from pilotage.store.engine import psycopg_url
from pilotage.store.serving_acks import AckRow, AckWriter, AdmissionRow
from pilotage.store.serving_pool import make_pool
from pilotage.testing.desk import opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import SPACE, WORKFLOW, Plan, content

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("how", ["answered", "cut", "left"])
async def test_a_stream_counts_from_its_routing_to_its_end_however_it_ends(how: str) -> None:
    turns: list[asyncio.Future[None]] = []

    def gate() -> asyncio.Future[None]:
        turns.append(asyncio.get_running_loop().create_future())
        return turns[-1]

    model = FakeModel(pieces=("Errors are resolved. ", "Ask again [1]."), gate=gate)
    async with opened(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as desk:
        key = (SPACE, WORKFLOW, content(stream=StreamMode.TOKEN).digest)
        admissions = desk.path.serving.admissions
        assert admissions.streams() == {}
        asking = await silent(desk, turns, Reader())
        assert admissions.streams() == {key: 1}
        if how == "left":
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        else:
            if how == "cut":
                cut(desk)
            turns[1].set_result(None)
            assert isinstance((await asking).result, Answer) is (how == "answered")
        assert admissions.streams() == {key: 0}


async def test_an_answer_that_is_no_stream_is_not_counted() -> None:
    async with opened(Plan(content=content())) as desk:
        await desk.ask()
        assert desk.path.serving.admissions.streams() == {}


@pytest.mark.store
async def test_the_store_keeps_when_a_stream_was_seen_last_and_how_far_the_clock_is_off(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE route_ack, route_admission"))
    pool = make_pool(psycopg_url(database_url))
    await pool.open()
    try:
        writer = AckWriter(pool, process="here", now=lambda: SystemClock().now() + timedelta(seconds=3))
        ack = AckRow(space=SPACE, workflow=WORKFLOW, generation=1, loaded=[])

        async def said(streams: int) -> datetime:
            """Return when a stream was seen last, after this process said how many are open."""
            row = AdmissionRow(space=SPACE, workflow=WORKFLOW, release="sha256:a", admitted=0, streams=streams)
            await writer.write([ack], [row])
            with engine.connect() as connection:
                seen = connection.execute(text("SELECT streams, streams_at FROM route_admission")).one()
            assert seen.streams == streams
            at: datetime = seen.streams_at
            return at

        first, second, ended, later = [await said(number) for number in (2, 1, 0, 0)]
        assert first < second < ended == later
        with engine.connect() as connection:
            (offset,) = connection.scalars(text("SELECT clock_offset_ms FROM route_ack")).all()
    finally:
        await pool.close()
    assert 2_500 < offset < 3_500
