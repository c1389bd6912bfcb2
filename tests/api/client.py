"""A client for tests: sends JSON to the API's ASGI application with a key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from pilotage.api.app import Api, Receive


@dataclass(frozen=True, kw_only=True)
class Client:
    """One caller. `key` None sends no credential."""

    api: Api
    key: str | None

    def get(self, path: str) -> tuple[int, Any]:
        return self.send("GET", path)

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        return self.send("POST", path, json.dumps(body).encode() if body is not None else b"")

    def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        status, _, found = asyncio.run(self.raw(method, path, body))
        return status, json.loads(found)

    def begin(self, method: str, path: str, *pieces: bytes, leaves: bool = False) -> tuple[int, Any]:
        """Send the beginning of a body, and leave if so; whoever reads on before that fails the test."""
        left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        left += [{"type": "http.disconnect"}] if leaves else []

        async def receive() -> MutableMapping[str, Any]:
            assert left, "the request was read on"
            return left.pop(0)

        status, _, found = asyncio.run(self.raw(method, path, b"", receive))
        return status, json.loads(found)

    async def raw(
        self, method: str, path: str, body: bytes, receive: Receive | None = None
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        route, _, query = path.partition("?")
        headers = [] if self.key is None else [(b"authorization", f"Bearer {self.key}".encode())]
        scope = {
            "type": "http",
            "method": method,
            "path": route,
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 40_000),
        }
        sent: list[MutableMapping[str, Any]] = []

        async def whole() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.api(scope, receive or whole, send)
        return sent[0]["status"], sent[0]["headers"], b"".join(one.get("body", b"") for one in sent[1:])
