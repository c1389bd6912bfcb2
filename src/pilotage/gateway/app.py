"""The OpenAI-compatible gateway: one bare ASGI application (serving.md 1).

`POST /v1/chat/completions`, `GET /v1/models`, `POST /v1/feedback`, the same under `/spaces/{space}`, and `/healthz`,
`/readyz`, `/metrics` for loopback and `health_peers`. Paths outside `/v1/` and `/spaces/` go to `fallback`, if there is
one: the console and the control API. Fail mode: every error has the OpenAI error body with a stable code; an exception
is `internal` without detail.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

from pilotage.core.ids import SpaceName, new_ulid
from pilotage.gateway.answers import headers
from pilotage.gateway.chat import Chat
from pilotage.gateway.exchange import Exchange
from pilotage.gateway.health import Health
from pilotage.gateway.models import list_models
from pilotage.gateway.protocol import CONNECTION, Connection
from pilotage.serving.refusal import Code, Refusal, RefusedError
from pilotage.serving.service import Serving

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SPACE = re.compile(r"/spaces/([a-z0-9][a-z0-9-]{0,39})(/v1/.*)")
_ROUTES: Mapping[str, str] = {"/v1/chat/completions": "POST", "/v1/models": "GET", "/v1/feedback": "POST"}
_OWN = ("/v1/", "/spaces/")
_HEALTH = frozenset({"/healthz", "/readyz", "/metrics"})


class Endpoint(Protocol):
    """What answers `POST /v1/feedback`: gateway/feedback.py, which brings the control commands with it."""

    async def take(self, exchange: Exchange, space: SpaceName | None) -> None:
        """Answer one exchange."""
        ...


class Gateway:
    """The application. Requests are counted in `active`, so that a stop can wait for them."""

    def __init__(
        self,
        serving: Serving,
        *,
        chat: Chat,
        feedback: Endpoint,
        health: Health,
        fallback: Application | None = None,
        lifespan: Callable[[], Any] | None = None,
    ) -> None:
        self._serving = serving
        self._chat = chat
        self._feedback = feedback
        self._health = health
        self._fallback = fallback
        self._lifespan = lifespan
        self.active = 0

    @property
    def health(self) -> Health:
        """Readiness and metrics of this process."""
        return self._health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in _HEALTH:
            await self._health.answer(scope, send)
            return
        space, route = _split(path)
        if route not in _ROUTES and self._fallback is not None and not path.startswith(_OWN):
            await self._fallback(scope, receive, send)
            return
        exchange = self._exchange(scope, receive, send)
        self.active += 1
        try:
            await self._guarded(exchange, space, route)
        finally:
            self.active -= 1

    async def _guarded(self, exchange: Exchange, space: SpaceName | None, route: str) -> None:
        connection = exchange.connection
        connection.task = asyncio.current_task()
        try:
            await self._dispatch(exchange, space, route)
        except RefusedError as refused:
            await exchange.refuse(refused.refusal)
        except asyncio.CancelledError:
            if not connection.is_lost:
                # The process stops: whoever still waits learns that there is no answer.
                await exchange.refuse(_stopping())
        except Exception:
            # The edge of the process: the asker gets a code, the log gets the trace.
            logger.exception("Request %s failed.", exchange.interaction)
            await exchange.refuse(Refusal(code=Code.INTERNAL, message="Something went wrong here."))
        finally:
            connection.task = None

    async def _dispatch(self, exchange: Exchange, space: SpaceName | None, route: str) -> None:
        method = _ROUTES.get(route)
        if method is None:
            raise RefusedError(Refusal(code=Code.NOT_FOUND, message="There is nothing at this address."))
        if exchange.method != method:
            message = f"Use {method} here, not {exchange.method[:16]}."
            raise RefusedError(Refusal(code=Code.METHOD_NOT_ALLOWED, message=message))
        if route == "/v1/chat/completions":
            await self._chat.answer(exchange, space)
        elif route == "/v1/models":
            await list_models(exchange, self._serving, space)
        else:
            await self._feedback.take(exchange, space)

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        found: dict[bytes, bytes] = {}
        forwarded: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                forwarded.append(value.decode("latin-1"))
            elif name == b"authorization" and name in found:
                found[name] = b""  # two credentials are none
            else:
                found[name] = value
        interaction = new_ulid(self._serving.clock.now())
        given = found.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else interaction
        client = scope.get("client")
        return Exchange(
            method=scope["method"],
            headers=found,
            peer=client[0] if client else "",
            forwarded_for=tuple(forwarded),
            interaction=interaction,
            answer_headers=headers(interaction=interaction, request_id=request_id),
            connection=scope.get(CONNECTION) or Connection(),
            body_limit=self._serving.workspace.gateway.limits.body_bytes,
            receive=receive,
            transmit=send,
            is_tls=scope.get("scheme") == "https",
        )

    async def _live(self, receive: Receive, send: Send) -> None:
        context = self._lifespan() if self._lifespan is not None else None
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                try:
                    if context is not None:
                        await context.__aenter__()
                except Exception as error:
                    logger.exception("The gateway could not start.")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._drained()
                if context is not None:
                    await context.__aexit__(None, None, None)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _drained(self) -> None:
        """Wait for cancelled requests to send their last frame; at most 2 s."""
        for _ in range(40):
            if self.active == 0:
                return
            await asyncio.sleep(0.05)


def _split(path: str) -> tuple[SpaceName | None, str]:
    match = _SPACE.fullmatch(path)
    return (SpaceName(match[1]), match[2]) if match else (None, path)


def _stopping() -> Refusal:
    return Refusal(code=Code.OVERLOADED, message="This process is stopping. Try again.", retry_after_s=1)
