"""Hostile clients end within their limit, get the right code, and leave nothing behind (serving.md 1.4, 9.7)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from pilotage.core.errors import Unavailable
from pilotage.gateway.protocol import GatewayProtocol
from pilotage.guard.policy import StreamMode
from pilotage.ledger.entry import decode_entry
from pilotage.testing.gateway import Running, chat, running
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Plan, content
from pilotage.workspace.gateway import GatewayLimits

pytestmark = pytest.mark.anyio

QUICK = GatewayLimits(header_deadline_s=0.4, body_deadline_s=0.4, unread_s=0.5, unread_bytes=16_384)


@asynccontextmanager
async def raw(up: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(up: Running, data: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    async with raw(up) as (reader, writer):
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 5)


def code_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), msgspec.json.decode(body)["error"]["code"]


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [
        b"POST /v1/chat/completions HTTP/1.1",
        b"Host: x",
        b"Authorization: Bearer maria",
        b"Content-Type: application/json",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


LENGTH = b"Content-Length: 5"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 17_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, "headers_too_large"),
        (
            b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"b" * 9_000) for n in range(4)) + b"\r\n",
            431,
            "headers_too_large",
        ),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 60_000, 431, "headers_too_large"),
        (post(b"", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "invalid_request"),
        (post(b"", b"Content-Length: 5", b"Content-Length: 6"), 400, "invalid_request"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400, "invalid_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_request"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 400, "invalid_request"),
    ],
    ids=range(12),
)
async def test_what_is_no_bounded_http_is_refused_and_closed(data: bytes, status: int, code: str) -> None:
    async with running() as up:
        assert code_of(await said(up, data)) == (status, code)


async def test_slow_headers_and_slow_bodies_end_at_their_deadline() -> None:
    async with running(Plan(limits=QUICK)) as up:
        assert code_of(await said(up, b"GET / HTTP/1.1\r\nHost: x\r\n")) == (408, "request_timeout")
        assert code_of(await said(up, post(b"{", LENGTH))) == (408, "request_timeout")
        assert up.path.sink.rows == []


async def test_a_body_below_the_floor_speed_ends_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.gateway.protocol._FLOOR_AFTER_S", 0.2)
    async with running() as up, raw(up) as (reader, writer):
        writer.write(post(b"", b"Content-Length: 1000"))
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b" ")
            await asyncio.sleep(0.05)
        assert code_of(await answer) == (408, "request_timeout")


async def test_a_large_body_is_refused_before_it_is_read() -> None:
    async with running() as up:
        assert code_of(await said(up, post(b"", b"Content-Length: 2000000"))) == (413, "body_too_large")
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        answer = await said(up, post(chunk * 17, b"Transfer-Encoding: chunked"))
        assert code_of(answer) == (413, "body_too_large")


async def test_a_client_that_never_reads_is_dropped_and_its_model_stopped() -> None:
    model = FakeModel(pieces=["word " * 2_000] * 5_000)
    async with running(Plan(limits=QUICK, model=model, content=content(stream=StreamMode.TOKEN))) as up:
        body = msgspec.json.encode(chat(stream=True))
        async with raw(up) as (_, writer):
            writer.write(post(body, b"Content-Length: %d" % len(body)))
            for _ in range(400):
                if model.cancelled:
                    break
                await asyncio.sleep(0.02)
        assert model.cancelled == 1
        while up.path.serving.recorder.waiting:  # noqa: ASYNC110 - the recorder offers a count, not an event
            await asyncio.sleep(0.01)
        outcomes = [decode_entry(rows.entry.bytes).data["outcome"] for rows in up.path.sink.rows]
    assert outcomes == ["slow_client"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_model(stream: bool) -> None:
    rounds = 20
    hold: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    model = FakeModel(gate=lambda: hold)
    async with running(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as up:
        body = msgspec.json.encode(chat(stream=stream))
        for index in range(rounds):
            async with raw(up) as (_, writer):
                writer.write(post(body, b"Content-Length: %d" % len(body)))
                while len(model.requests) <= index:  # noqa: ASYNC110 - the fake signals nothing
                    await asyncio.sleep(0.001)
            while model.cancelled <= index:  # noqa: ASYNC110 - the fake signals nothing
                await asyncio.sleep(0.001)
        assert up.path.serving.slots.open == 0
        while up.path.serving.recorder.waiting:  # noqa: ASYNC110 - the recorder offers a count, not an event
            await asyncio.sleep(0.01)
        outcomes = {decode_entry(rows.entry.bytes).data["outcome"] for rows in up.path.sink.rows}
        assert up.gateway.active == 0
    assert outcomes == {"client_gone"}


async def _leave(up: Running, dice: random.Random, body: bytes) -> None:
    """Send all or a part of a request, and be gone after a moment: politely, or with a reset."""
    whole = post(body, b"Content-Length: %d" % len(body))
    async with raw(up) as (reader, writer):
        writer.write(whole[: dice.choice((len(whole), len(whole), dice.randrange(1, len(whole))))])
        for _ in range(dice.choice((0, 1, 3, 10, 30))):
            await asyncio.sleep(0)
        if dice.random() < 0.3:
            with suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(reader.read(dice.choice((1, 200))), 0.01)
        if dice.random() < 0.5:
            writer.transport.abort()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [150, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_askers_who_leave_at_any_moment_leave_nothing_behind(rounds: int) -> None:
    """Both modes, at random times: every model stream ends, every slot comes back, no task and no connection stays."""
    dice = random.Random(rounds)
    loop = asyncio.get_running_loop()
    free = loop.create_future()
    free.set_result(None)
    model = FakeModel(gate=lambda: dice.choice((loop.create_future(), free, free)))
    limits = GatewayLimits(connections_per_peer=2048, streams_per_principal=1000)
    async with running(Plan(model=model, limits=limits, content=content(stream=StreamMode.TOKEN))) as up:
        await up.post(chat())  # what a process makes once, it has
        tasks = len(asyncio.all_tasks())
        bodies = [msgspec.json.encode(chat(stream=stream)) for stream in (True, False)]
        for _ in range(rounds // 10):
            await asyncio.gather(*(_leave(up, dice, dice.choice(bodies)) for _ in range(10)))
        async with asyncio.timeout(60):
            while up.gateway.active or up.path.serving.slots.open or up.server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - tasks that have ended are collected a turn later
                await asyncio.sleep(0.01)
        assert model.requests
        assert 0 < model.cancelled <= len(model.requests)
        model.gate = None
        response, _ = await up.post(chat())
        assert response.status == 200


async def test_connections_are_limited_per_peer_and_per_process() -> None:
    for limits in (GatewayLimits(connections_per_peer=2), GatewayLimits(connections=2)):
        async with running(Plan(limits=limits)) as up, raw(up) as first, raw(up) as second:
            with suppress(ConnectionResetError):
                assert await said(up, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
            for reader, writer in (first, second):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with running() as up, raw(up) as (reader, writer):
        body = msgspec.json.encode(chat())
        for _ in range(3):
            writer.write(post(body, b"Content-Length: %d" % len(body)))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b"Ten business days" in await reader.readexactly(size)


async def test_an_idle_connection_is_closed_between_requests_and_never_within_one() -> None:
    hold: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    model = FakeModel()
    async with running(Plan(limits=GatewayLimits(keep_alive_s=1), model=model)) as up, raw(up) as (reader, writer):
        body = msgspec.json.encode(chat())
        request = post(body, b"Content-Length: %d" % len(body))
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        model.gate = lambda: hold
        writer.write(request)
        asyncio.get_running_loop().call_later(1.5, hold.set_result, None)  # longer than a connection may be idle
        rest = await reader.read()  # until the server closes
    assert rest.count(b"HTTP/1.1 200") == 1
    assert rest.count(b'"finish_reason"') == 2


async def test_a_stream_that_lasts_too_long_ends_with_an_error_frame_and_no_done() -> None:
    pieces = ("Ten business days ", "[1]. ", "More.")
    hold: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    model = FakeModel(pieces=pieces)
    free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    free.set_result(None)
    gates = iter((free, hold, hold))
    model.gate = lambda: next(gates)
    plan = Plan(limits=GatewayLimits(stream_s=0.4), model=model, content=content(stream=StreamMode.TOKEN))
    async with running(plan) as up:
        response, said = await up.post(chat(stream=True))
        assert response.status == 200
        assert "Ten business" in said
        assert '"code":"deadline_exceeded"' in said
        assert "[DONE]" not in said
        assert model.cancelled == 1
        assert up.path.serving.slots.open == 0


async def test_a_stream_that_fails_leaves_no_connection_that_a_client_may_take_for_its_next_request() -> None:
    model = FakeModel(failure=Unavailable("upstream_timeout", "x"), fail_after=1)
    async with running(Plan(model=model, content=content(stream=StreamMode.TOKEN))) as up:
        body = msgspec.json.encode(chat(stream=True))
        broken = await said(up, post(body, b"Content-Length: %d" % len(body)))
        assert b'"code":"upstream_timeout"' in broken
        assert not broken.endswith(b"0\r\n\r\n"), "an answer that says it is complete lets its connection be used again"
        await asyncio.sleep(0.05)
        assert up.path.serving.slots.open == 0
        assert not up.server.server_state.connections


async def test_a_stop_tells_waiting_clients_and_flushes_their_records() -> None:
    hold: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    model = FakeModel(pieces=["Ten ", "days."], gate=None)
    plan = Plan(model=model, content=content(stream=StreamMode.TOKEN), flush_s=0.5)
    async with running(plan, drain_s=1) as up, raw(up) as (reader, writer):
        model.gate = lambda: hold
        body = msgspec.json.encode(chat())
        writer.write(post(body, b"Content-Length: %d" % len(body)))
        while not model.requests:  # noqa: ASYNC110 - the fake signals nothing
            await asyncio.sleep(0.01)
        up.server.should_exit = True
        assert code_of(await asyncio.wait_for(reader.read(), 5)) == (503, "overloaded")
        assert up.gateway.health.is_draining
    assert [decode_entry(rows.entry.bytes).data["outcome"] for rows in up.path.sink.rows] == ["shed"]


def test_sweepers_end_with_their_connections() -> None:
    assert GatewayProtocol._sweepers == {}
