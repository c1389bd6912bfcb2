"""`/healthz`, `/readyz` and `/metrics`: for loopback and `health_peers` only, without authentication (serving.md 3.4).

`/healthz` says that the loop answers and asks nothing else. `/readyz` is 200 only when nothing stands against it.
Fail mode: a check that raises counts against readiness.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.gateway.errors import error_body, error_headers
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.serving.addresses import containing, parse_address
from pilotage.serving.refusal import Code, Refusal

logger = logging.getLogger(__name__)
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"), (b"cache-control", b"no-store")]

ReadyCheck = Callable[[], Awaitable[Sequence[Reason]]]


class Health:
    """Answers the three addresses. `is_draining` is set when the process is asked to stop; `spaces` is shown beside."""

    def __init__(
        self,
        *,
        metrics: GatewayMetrics,
        peers: Sequence[str] = (),
        checks: Mapping[str, ReadyCheck] | None = None,
        spaces: Callable[[], Mapping[str, Json]] = dict,
    ) -> None:
        self.metrics = metrics
        self._peers = tuple(peers)
        self._checks = dict(checks or {})
        self._spaces = spaces
        self.is_draining = False

    async def answer(
        self, scope: MutableMapping[str, Any], send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
    ) -> None:
        """Answer one request for a health address."""
        if not self._is_peer(scope):
            refusal = Refusal(code=Code.NOT_FOUND, message="There is nothing at this address.")
            await _send(send, refusal.status, error_headers(refusal), error_body(refusal))
        elif scope["method"] != "GET":
            refusal = Refusal(code=Code.METHOD_NOT_ALLOWED, message="Use GET here.")
            await _send(send, refusal.status, error_headers(refusal), error_body(refusal))
        elif scope["path"] == "/healthz":
            await _send(send, 200, _JSON, b'{"status":"ok"}')
        elif scope["path"] == "/metrics":
            await _send(send, 200, _TEXT, await self.metrics.read())
        else:
            reasons = await self.against()
            value: dict[str, Json] = {"ready": not reasons, "reasons": [reason.as_json() for reason in reasons]}
            value["spaces"] = dict(self._spaces())
            await _send(send, 503 if reasons else 200, _JSON, msgspec.json.encode(value))

    async def against(self) -> list[Reason]:
        """Return every reason why this process is not ready; empty means ready."""
        if self.is_draining:
            return [Reason(code="DRAINING", text="This process is stopping.")]
        found: list[Reason] = []
        for name, check in self._checks.items():
            try:
                found.extend(await check())
            except Exception:
                # Readiness must answer whatever breaks; the log gets the trace.
                logger.exception("The readiness check %s failed.", name)
                found.append(Reason(code="CHECK_FAILED", text=f"The check {name} failed.", where=name))
        return found

    def _is_peer(self, scope: MutableMapping[str, Any]) -> bool:
        client = scope.get("client")
        address = parse_address(client[0]) if client else None
        return address is not None and (address.is_loopback or containing(address, self._peers) is not None)


async def _send(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
