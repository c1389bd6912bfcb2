"""The OpenAI-compatible adapter against a scripted provider on loopback, over either of its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pilotage.adapters.models.http1 import Http1Upstream
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.adapters.models.openai_wire import encode_request
from pilotage.adapters.models.resilience import Breaker, BreakerState, RetryBudget
from pilotage.adapters.models.upstream import Connect
from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable
from pilotage.core.pins import PinKind
from pilotage.release.generation import (
    Delta,
    Done,
    Event,
    FinishReason,
    GenerationRequest,
    Message,
    RequestRefused,
    Usage,
)
from pilotage.release.model import ModelSettings, Provider
from pilotage.testing.upstream import FakeUpstream, Reply, frame, streamed
from pilotage.testing.upstream_aiohttp import AiohttpUpstream

pytestmark = pytest.mark.anyio
QUESTION = GenerationRequest(
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="How long?")),
    question="How long?",
    passages=(),
    max_tokens=64,
)


_client: list[Connect] = [Http1Upstream]
"""The client that models of the running test call with."""


@pytest.fixture(params=[Http1Upstream, AiohttpUpstream], ids=["http1", "aiohttp"], autouse=True)
def client(request: pytest.FixtureRequest) -> None:
    _client[0] = request.param


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def settings(url: str, **changes: object) -> ModelSettings:
    fields: dict[str, object] = {
        "provider": Provider.OPENAI,
        "model": "gpt-4o-2024-08-06",
        "pin_kind": PinKind.DATED,
        "pin": "2024-08-06",
        "base_url": url,
        "parameters": {"temperature": 0},
    }
    return ModelSettings(**(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def model_on(*script: Reply, **changes: object) -> AsyncIterator[tuple[OpenAICompatibleModel, FakeUpstream]]:
    async with FakeUpstream(*script) as upstream:
        model = OpenAICompatibleModel(
            settings(upstream.url, **changes),
            root=Path("/nonexistent"),
            sleep=lambda _: asyncio.sleep(0),
            connect=_client[0],
        )
        try:
            yield model, upstream
        finally:
            await model.close()


async def collect(model: OpenAICompatibleModel) -> list[Event]:
    return [event async for event in model.generate(QUESTION)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.feature("X13")
async def test_a_stream_gives_its_text_its_usage_and_one_end() -> None:
    async with model_on(streamed("Ten ", "days")) as (model, upstream):
        events = await collect(model)
    assert text_of(events) == "Ten days"
    assert events[-2] == Usage(prompt_tokens=12, completion_tokens=5)
    assert events[-1] == Done(finish=FinishReason.STOP, model="upstream-1")
    body = msgspec.json.decode(upstream.seen[0].body)
    assert body == {
        "model": "gpt-4o-2024-08-06",
        "temperature": 0,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How long?"}],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_odd_but_legal_streams_are_read_however_they_are_cut(size: int) -> None:
    stream = (
        b": welcome\r\n\r\n"
        b"event: message\r\nid: 4\r\n" + frame("Ten ").replace(b"\n", b"\r\n") + b"data: {\r\ndata: "
        b'"choices":[{"delta":{"content":"days"}}]}\r\n\r\n'
        b'data:{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\r\r'
        b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    )
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    async with model_on(Reply(chunks=chunks)) as (model, _):
        events = await collect(model)
    assert text_of(events) == "Ten days"
    assert Usage(prompt_tokens=3, completion_tokens=2) in events
    assert isinstance(events[-1], Done)
    assert events[-1].finish is FinishReason.LENGTH


async def test_a_whole_json_answer_is_read_when_the_release_pins_no_streaming() -> None:
    body = b'{"choices":[{"message":{"content":"Ten days"},"finish_reason":"stop"}],"model":"m"}'
    reply = Reply(media="application/json", chunks=[body])
    async with model_on(reply, parameters={"stream": False}) as (model, upstream):
        events = await collect(model)
    assert text_of(events) == "Ten days"
    assert events[-2] == Usage(prompt_tokens=6, completion_tokens=2, estimated=True)
    assert "stream_options" not in msgspec.json.decode(upstream.seen[0].body)


async def test_an_answer_without_finish_reason_is_no_answer() -> None:
    async with model_on(Reply(chunks=[frame("Ten ")])) as (model, _):
        with pytest.raises(Unavailable, match="broke off") as caught:
            await collect(model)
    assert caught.value.code == "upstream_failed"


async def test_a_missing_done_mark_is_forgiven_once_the_finish_reason_was_seen() -> None:
    async with model_on(streamed("Yes", done=False)) as (model, _):
        assert text_of(await collect(model)) == "Yes"


@pytest.mark.parametrize(
    "chunk",
    [
        b"data: nonsense\n\n",
        b'data: {"error":{"message":"secret prompt"}}\n\n',
        b'data: {"choices":[{"finish_reason":"tool_calls"}]}\n\n',
        b"data: " + b"x" * (1024 * 1024 + 1),
        b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
    ],
)
async def test_a_frame_that_is_no_completion_fails_without_quoting_it(chunk: bytes) -> None:
    async with model_on(Reply(chunks=[chunk])) as (model, _):
        with pytest.raises(Unavailable) as caught:
            await collect(model)
    assert caught.value.code == "upstream_failed"
    assert "secret prompt" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_passing_failure_is_retried_before_the_first_content(status: int) -> None:
    async with model_on(Reply(status=status), streamed("Yes")) as (model, upstream):
        events = await collect(model)
    assert text_of(events) == "Yes"
    assert isinstance(events[-1], Done)
    assert events[-1].retries == 1
    assert len(upstream.seen) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_a_lasting_failure_is_not_retried(status: int) -> None:
    reply = Reply(status=status, chunks=[b"your key is sk-123"])
    async with model_on(reply, streamed("Yes")) as (model, upstream):
        with pytest.raises(Unavailable, match=str(status)) as caught:
            await collect(model)
    assert len(upstream.seen) == 1
    assert "sk-123" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "is_of_request"),
    [(400, True), (413, True), (422, True), (401, False), (404, False), (405, False), (415, False), (500, False)],
)
async def test_a_request_refused_as_such_is_told_from_a_provider_that_is_away(
    status: int, *, is_of_request: bool
) -> None:
    for media, is_counted in (("application/json", is_of_request), ("text/html", False)):
        async with model_on(Reply(status=status, media=media)) as (model, _):
            with pytest.raises(Unavailable, match=str(status)) as caught:
                await collect(model)
        assert (caught.value.code, isinstance(caught.value, RequestRefused)) == ("upstream_failed", is_counted)


async def test_no_more_than_two_retries() -> None:
    async with model_on(Reply(status=503)) as (model, upstream):
        with pytest.raises(Unavailable, match="503"):
            await collect(model)
    assert len(upstream.seen) == 3


async def test_a_provider_that_asks_for_a_long_wait_is_not_retried() -> None:
    async with model_on(Reply(status=429, headers=[("Retry-After", "6")]), streamed("Yes")) as (model, upstream):
        with pytest.raises(Unavailable, match="429"):
            await collect(model)
    assert len(upstream.seen) == 1


async def test_nothing_is_retried_after_the_first_content() -> None:
    async with model_on(Reply(chunks=[frame("Ten ")], cut=True), streamed("Yes")) as (model, upstream):
        with pytest.raises(Unavailable):
            await collect(model)
    assert len(upstream.seen) == 1


async def test_a_silent_provider_times_out_before_and_between_tokens() -> None:
    async with model_on(Reply(hang=True), first_token_s=0.05) as (model, _):
        with pytest.raises(Unavailable) as caught:
            await collect(model)
    assert caught.value.code == "upstream_timeout"
    async with model_on(Reply(chunks=[frame("Ten ")], hang=True), between_tokens_s=0.05) as (model, _):
        with pytest.raises(Unavailable) as caught:
            await collect(model)
    assert caught.value.code == "upstream_timeout"


async def test_an_unreachable_provider_is_reported_and_probed() -> None:
    model = OpenAICompatibleModel(
        settings("http://127.0.0.1:9/v1"),
        root=Path("/nonexistent"),
        sleep=lambda _: asyncio.sleep(0),
        connect=_client[0],
    )
    with pytest.raises(Unavailable, match="cannot be reached"):
        await collect(model)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await model.probe()
    await model.close()


@pytest.mark.parametrize("script", [Reply(chunks=[frame("Ten ")], hang=True), Reply(hang=True)])
async def test_closing_the_iterator_closes_the_upstream_connection(script: Reply) -> None:
    async with model_on(script) as (model, upstream):
        task = asyncio.create_task(collect(model))
        await upstream.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.seen[0].closed_early.wait(), 5)


async def test_leaving_the_loop_early_closes_upstream_too() -> None:
    async with model_on(Reply(chunks=[frame("Ten "), frame("days")], hang=True)) as (model, upstream):
        async with aclosing(model.generate(QUESTION)) as events:  # type: ignore[type-var]
            async for _ in events:
                break
        await asyncio.wait_for(upstream.seen[0].closed_early.wait(), 5)


@pytest.mark.feature("X14")
async def test_keys_come_by_reference_and_azure_takes_its_own_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_KEY", "s3cret")
    azure = {"auth_ref": "env:BANK_KEY", "auth_header": "api-key", "api_version": "2024-10-21", "path": "/d/x/chat"}
    async with model_on(streamed("Yes"), **azure) as (model, upstream):
        await collect(model)
    assert upstream.seen[0].path == "/v1/d/x/chat?api-version=2024-10-21"
    assert upstream.seen[0].headers["api-key"] == "s3cret"
    async with model_on(streamed("Yes"), auth_ref="env:BANK_KEY") as (model, upstream):
        await collect(model)
    assert upstream.seen[0].headers["authorization"] == "Bearer s3cret"


async def test_a_missing_key_is_named_and_nothing_is_sent() -> None:
    async with model_on(streamed("Yes"), auth_ref="env:PILOTAGE_NO_SUCH_KEY") as (model, upstream):
        with pytest.raises(Unavailable, match="PILOTAGE_NO_SUCH_KEY"):
            await collect(model)
    assert upstream.seen == []


async def test_an_open_breaker_refuses_without_a_call() -> None:
    async with model_on(Reply(status=500)) as (model, upstream):
        for _ in range(20):
            with pytest.raises(Unavailable):
                await collect(model)
        calls = len(upstream.seen)
        with pytest.raises(Unavailable, match="failed too often"):
            await collect(model)
    assert len(upstream.seen) == calls


def test_the_breaker_opens_at_half_of_twenty_and_closes_after_three_probes() -> None:
    breaker = Breaker()
    for index in range(19):
        assert not breaker.is_open(0.0)
        breaker.note(failed=index % 2 == 0, now=0.0)
    assert breaker.state is BreakerState.CLOSED
    breaker.note(failed=True, now=1.0)
    assert breaker.is_open(1.0)
    assert breaker.is_open(15.9)
    assert [breaker.is_open(16.0) for _ in range(4)] == [False, False, False, True]
    for _ in range(3):
        breaker.note(failed=False, now=16.5)
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_the_breaker_again() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker.note(failed=True, now=0.0)
    assert not breaker.is_open(15.0)
    breaker.note(failed=True, now=15.5)
    assert breaker.is_open(30.4)
    assert not breaker.is_open(30.5)
    breaker.forget_probe()
    assert [breaker.is_open(31.0) for _ in range(4)] == [False, False, False, True]


def test_retries_are_at_most_a_tenth_of_the_requests_of_ten_seconds() -> None:
    budget = RetryBudget(draw=lambda: 0.5)
    for _ in range(100):
        budget.note_request(0.0)
    pauses = [budget.pause(0, now=1.0) for _ in range(12)]
    assert pauses[:10] == pytest.approx([0.6] * 10)
    assert pauses[10:] == [None, None]
    assert budget.pause(1, now=20.0, retry_after=5.0) == 5.0
    assert budget.pause(2, now=20.0) is None


def test_the_request_carries_the_token_limit_under_the_name_the_release_pins() -> None:
    sealed = settings("http://x", parameters={"max_completion_tokens": 100}, max_tokens=50)
    body: Json = msgspec.json.decode(encode_request(sealed, QUESTION))
    assert isinstance(body, dict)
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body
