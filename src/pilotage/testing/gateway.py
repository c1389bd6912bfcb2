"""A gateway on loopback over the fakes, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from pilotage.gateway.app import Gateway
from pilotage.gateway.chat import Chat
from pilotage.gateway.health import Health
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.gateway.server import GatewayServer, make_server
from pilotage.serving.pipeline import Pipeline
from pilotage.testing.serving_path import Path, Plan, make_path


@dataclass(slots=True, kw_only=True)
class Running:
    """A server that is up."""

    path: Path
    gateway: Gateway
    server: GatewayServer
    pipeline: Pipeline
    metrics: GatewayMetrics
    port: int
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    async def post(
        self,
        body: object,
        *,
        token: str | None = "maria",  # noqa: S107 - a fake token
        path: str = "/v1/chat/completions",
        **more: Any,  # noqa: ANN401 - passed on to aiohttp
    ) -> tuple[aiohttp.ClientResponse, Any]:
        """Send a JSON body (or raw bytes); return the response and its decoded body."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers.setdefault("Content-Type", "application/json")
        async with self.http.post(self.url + path, headers=headers, data=data, **more) as response:
            if response.content_type == "application/json":
                return response, await response.json()
            return response, (await said_until_it_ended(response)).decode()


def chat(question: str = "When are errors resolved?", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the body
    """Return a chat-completions body."""
    return {"model": "policy-assistant", "messages": [{"role": "user", "content": question}], **more}


async def said_until_it_ended(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer, also of a stream that was cut off."""
    found = b""
    with suppress(aiohttp.ClientPayloadError):
        async for piece in response.content.iter_any():
            found += piece
    return found


@asynccontextmanager
async def running(
    plan: Plan | None = None, *, keep_alive_s: float = 10.0, drain_s: int = 5, path: Path | None = None
) -> AsyncIterator[Running]:
    """Run a gateway on a free loopback port while the block lasts; `path` when the plan's own is not wanted."""
    plan = plan or Plan()
    path = path or make_path(plan)
    metrics = GatewayMetrics(path.serving)
    pipeline = Pipeline(path.serving, on_finished=metrics.finished)
    chat_endpoint = Chat(serving=path.serving, pipeline=pipeline, keep_alive_s=keep_alive_s)
    gateway = Gateway(path.serving, chat=chat_endpoint, feedback=None, health=Health(metrics=metrics))  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def stopping() -> None:
        pipeline.is_stopping = True

    server = make_server(gateway, plan.limits, on_stop=stopping, drain_s=drain_s)
    await path.serving.recorder.start()
    task = asyncio.create_task(server.serve_here([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, not an event
        await asyncio.sleep(0.01)
    try:
        async with aiohttp.ClientSession() as http:
            yield Running(
                path=path, gateway=gateway, server=server, pipeline=pipeline, metrics=metrics, port=port, http=http
            )
    finally:
        server.should_exit = True
        await task
        await path.serving.recorder.stop()
