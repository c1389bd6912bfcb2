"""`POST /v1/chat/completions`: from an HTTP exchange to the pipeline and back, streamed or not (serving.md 1.1-1.3).

Fail mode: a request that cannot be understood is refused and recorded before anything is asked; a stream that breaks
ends with an error frame and without `[DONE]`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from pilotage.core.digest import Digest
from pilotage.core.ids import InteractionId, SpaceName, WorkflowName
from pilotage.gateway.answers import DONE, KEEP_ALIVE, Frames, complete_body
from pilotage.gateway.exchange import Exchange
from pilotage.gateway.requests import parse_chat
from pilotage.serving.context import Answer, Asked, Bearer, Received
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Code, Refusal, RefusedError
from pilotage.serving.run import Finished, Replay
from pilotage.serving.service import Serving

KEEP_ALIVE_S = 10.0
_NOTHING = Asked(workflow=WorkflowName(""), messages=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Answers chat completions through the pipeline."""

    serving: Serving
    pipeline: Pipeline
    keep_alive_s: float = KEEP_ALIVE_S

    async def answer(self, exchange: Exchange, space: SpaceName | None) -> None:
        """Read, ask, answer."""
        credential = exchange.credential()
        try:
            asked = await self._read(exchange, space, credential)
        except RefusedError as refused:
            self.pipeline.reject(self._received(exchange, _NOTHING, credential), refused.refusal)
            raise
        received = self._received(exchange, asked, credential)
        if asked.stream:
            await self._stream(exchange, received)
        else:
            await self._complete(exchange, received)

    async def _read(self, exchange: Exchange, space: SpaceName | None, credential: Bearer) -> Asked:
        if credential.token is None:
            raise RefusedError(_missing())
        body, raw = await exchange.json_body()
        key = exchange.header(b"idempotency-key")
        return parse_chat(body, space=space, header_key=key, body_hash=self.serving.request_hash(raw))

    def _received(self, exchange: Exchange, asked: Asked, credential: Bearer) -> Received:
        return Received(
            interaction=InteractionId(exchange.interaction),
            at=self.serving.clock.now(),
            started=self.serving.monotonic(),
            peer=exchange.client(),
            credential=credential,
            asked=asked,
        )

    async def _complete(self, exchange: Exchange, received: Received) -> None:
        finished = await self.pipeline.answer(received)
        _name_release(exchange, finished.release)
        match finished.result:
            case Answer():
                await exchange.answer(complete_body(finished.result))
            case Replay(interaction=interaction, body=body):
                _rename(exchange, interaction)
                await exchange.answer(body.encode())
            case Refusal():
                await exchange.refuse(finished.result)

    async def _stream(self, exchange: Exchange, received: Received) -> None:
        frames = Frames(
            interaction=received.interaction, created=int(received.at.timestamp()), model=received.asked.workflow
        )
        sink = StreamSink(exchange, frames, keep_alive_s=self.keep_alive_s)
        try:
            finished = await self.pipeline.answer(received, sink)
        finally:
            sink.stop()
        await self._end(exchange, finished, sink, frames)

    async def _end(self, exchange: Exchange, finished: Finished, sink: StreamSink, frames: Frames) -> None:
        match finished.result:
            case Answer():
                await sink.open()
                await exchange.frame(frames.end(finished.result))
                if finished.context.asked.include_usage:
                    await exchange.frame(frames.usage(finished.result))
                await exchange.frame(DONE)
                await exchange.end_stream()
            case Replay():
                await _replay(exchange, finished.result, with_usage=finished.context.asked.include_usage)
            case Refusal():
                if not exchange.has_started:
                    _name_release(exchange, finished.release)
                await exchange.refuse(finished.result)


class StreamSink:
    """Sends answer text as frames; opens the stream with its first frame and keeps a silent one alive."""

    def __init__(self, exchange: Exchange, frames: Frames, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._exchange = exchange
        self._frames = frames
        self._keep_alive_s = keep_alive_s
        self._last = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_slow(self) -> bool:
        """Tell whether the connection was dropped because its client did not read."""
        return self._exchange.connection.is_slow

    async def begin(self, release: Digest) -> None:
        """Name the release in the headers; from here silence is bridged."""
        if self._task is None:
            _name_release(self._exchange, release)
            loop = asyncio.get_running_loop()
            self._last = loop.time()
            self._task = loop.create_task(self._keep_alive())

    async def send(self, text: str) -> None:
        """Send one content frame."""
        await self.open()
        if text:
            await self._frame(self._frames.content(text))

    async def open(self) -> None:
        """Send the head and the role frame, once."""
        if not self._exchange.has_started:
            await self._exchange.begin_stream()
            await self._frame(self._frames.role())

    def stop(self) -> None:
        """End the keep-alive."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _frame(self, data: bytes) -> None:
        self._last = asyncio.get_running_loop().time()
        await self._exchange.frame(data)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wait = self._last + self._keep_alive_s - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            await self.open()
            await self._frame(KEEP_ALIVE)


async def _replay(exchange: Exchange, replay: Replay, *, with_usage: bool) -> None:
    """Send a kept answer as a stream: the same frames, the same ids."""
    _rename(exchange, replay.interaction)
    kept = msgspec.json.decode(replay.body)
    choice = kept["choices"][0]
    head = {**{name: kept[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    end = {
        "index": 0,
        "delta": {"annotations": choice["message"]["annotations"]},
        "finish_reason": choice["finish_reason"],
    }
    frames = Frames(interaction=replay.interaction, created=kept["created"], model=kept["model"])
    await exchange.begin_stream()
    await exchange.frame(frames.role())
    await exchange.frame(frames.content(choice["message"]["content"]))
    await exchange.frame(_data({**head, "choices": [end], "pilotage": kept["pilotage"]}))
    if with_usage:
        await exchange.frame(_data({**head, "choices": [], "usage": kept["usage"]}))
    await exchange.frame(DONE)
    await exchange.end_stream()


def _data(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _name_release(exchange: Exchange, release: Digest | None) -> None:
    if release is not None:
        exchange.answer_headers.append((b"x-pilotage-release", release.encode()))


def _rename(exchange: Exchange, interaction: str) -> None:
    name = b"x-pilotage-interaction"
    exchange.answer_headers[:] = [pair for pair in exchange.answer_headers if pair[0] != name]
    exchange.answer_headers.append((name, interaction.encode()))


def _missing() -> Refusal:
    return Refusal(
        code=Code.MISSING_CREDENTIALS, message="Send Authorization: Bearer with a token or a key of this service."
    )
