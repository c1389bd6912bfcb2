"""A provider of chat completions on loopback, for tests and benchmarks: it plays back scripted responses.

It speaks raw HTTP over asyncio streams, so it can also misbehave: stop in the middle, send odd line ends, stay silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from pilotage.core.canonical import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted response. `chunks` are sent as they are; `hang` keeps the connection open and silent afterwards."""

    status: int = 200
    media: str = "text/event-stream"
    headers: Sequence[tuple[str, str]] = ()
    chunks: Sequence[bytes] = ()
    hang: bool = False
    cut: bool = False


def frame(content: str = "", *, finish: str | None = None, usage: tuple[int, int] | None = None) -> bytes:
    """Return one `data:` frame of a chat completion stream."""
    body: dict[str, Json] = {
        "id": "x",
        "object": "chat.completion.chunk",
        "model": "upstream-1",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}],
    }
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def streamed(*pieces: str, usage: tuple[int, int] | None = (12, 5), done: bool = True) -> Reply:
    """Return a well-formed stream of these pieces."""
    chunks = [frame(piece) for piece in pieces] + [frame(finish="stop", usage=usage)]
    return Reply(chunks=[*chunks, b"data: [DONE]\n\n"] if done else chunks)


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request as the provider received it. `closed_early` tells whether its client left before the end."""

    path: str
    headers: dict[str, str]
    body: bytes
    closed_early: asyncio.Event = field(default_factory=asyncio.Event)


class FakeUpstream:
    """Plays `script` one reply per request; the last reply repeats. Use it as an async context manager."""

    def __init__(self, *script: Reply) -> None:
        self._script = list(script)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []
        self.arrived = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL, up to and including /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(path=first.split(" ")[1], headers=headers, body=body)
        self.seen.append(seen)
        self.arrived.set()
        reply = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        watch = asyncio.create_task(self._watch(reader, seen))
        try:
            await self._play(reply, writer)
            if reply.hang:
                await watch
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return not (reply.cut or reply.hang or seen.closed_early.is_set())

    async def _play(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        head = f"HTTP/1.1 {reply.status} X\r\ncontent-type: {reply.media}\r\n{extra}"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for chunk in reply.chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if not (reply.hang or reply.cut):
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    async def _watch(reader: asyncio.StreamReader, seen: Seen) -> None:
        # Clients here never send a second request before the first is answered: bytes or their end mean "left".
        if not await reader.read(1):
            seen.closed_early.set()
