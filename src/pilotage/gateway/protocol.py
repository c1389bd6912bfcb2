"""The HTTP/1.1 protocol class: uvicorn's, with the limits its defaults do not cover (serving.md 1.4).

Bounded: request line, headers (each, all, count), time until the headers are complete, time and speed of the body,
connections per process and per peer, output the client does not read. Refused: `Upgrade`, whatever llhttp rejects in
strict mode (conflicting lengths, bare LF, obs-fold). A body may take longer than its deadline only while it comes at
the rate that large files are given; what comes after the answer is thrown away, within bounds. Fail mode: an error body
of serving.md 1.5 and a closed connection. A lost connection cancels the task that answers on it, at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pilotage.gateway.errors import error_response
from pilotage.serving.refusal import Code, Refusal
from pilotage.workspace.gateway import GatewayLimits

CONNECTION = "pilotage.connection"
"""Key of the ASGI scope under which the application finds its `Connection`."""

_SWEEP_S = 0.5
_FLOOR_AFTER_S = 5.0
_SLACK_BYTES = 1024
_UNWANTED_BYTES = 268_435_456
"""How much of a body is read though its answer was sent: browsers show an answer only once they sent everything."""


class Connection:
    """What the application knows of its connection: whether it is gone, and whom to stop when it goes."""

    __slots__ = ("is_lost", "is_slow", "protocol", "task")

    def __init__(self) -> None:
        self.is_lost = False
        self.is_slow = False
        self.task: asyncio.Task[object] | None = None
        self.protocol: GatewayProtocol | None = None

    def cut(self) -> None:
        """Close the connection in the middle of an answer, once everything written has left.

        Without an end of the answer no client takes the connection for its next request, which would be lost
        (RFC 9112, 8 and 9.6).
        """
        if self.protocol is not None:
            self.protocol.cycle.disconnected = True
            self.protocol.transport.close()

    def lose(self) -> None:
        """Note that the client is gone and stop the task that answers it."""
        self.is_lost = True
        if self.task is not None:
            self.task.cancel()


class GatewayProtocol(HttpToolsProtocol):
    """One connection. `limits` is set on the class by `protocol_class`; `_peers` counts connections of this process."""

    limits: ClassVar[GatewayLimits] = GatewayLimits()
    _peers: ClassVar[Counter[str]] = Counter()
    _sweepers: ClassVar[dict[int, asyncio.TimerHandle]] = {}

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = httptools.HttpRequestParser(self)  # strict: none of the leniencies uvicorn turns on
        self.connection = Connection()
        self._is_admitted = False
        self._head_since = 0.0  # 0: no request has begun
        self._head_bytes = 0
        self._header_bytes = 0
        self._body_since = 0.0  # 0: no body is awaited
        self._body_bytes = 0
        self._span_since = 0.0  # the span of `body_deadline_s` that is under way began then, with so many bytes
        self._span_bytes = 0
        self._swept_at = 0.0
        self._unread = 0
        self._unread_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or drop it when the process or the peer has too many."""
        super().connection_made(transport)
        self.connection.protocol = self
        peer = self.client[0] if self.client else ""
        if len(self.connections) > self.limits.connections or self._peers[peer] >= self.limits.connections_per_peer:
            transport.abort()
            return
        self._is_admitted = True
        self._peers[peer] += 1
        self._head_since = self.loop.time()
        transport.set_write_buffer_limits(high=self.limits.unread_bytes)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop whatever answers on this connection."""
        if self._is_admitted:
            peer = self.client[0] if self.client else ""
            self._peers[peer] -= 1
            if self._peers[peer] <= 0:
                del self._peers[peer]
        self.connection.lose()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse strictly; count the bytes of a head that is not complete yet."""
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._body_since == 0.0:
            if self._head_since == 0.0:
                self._head_since = self.loop.time()
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(Code.INVALID_REQUEST, "Upgrade is not supported here.")
        except httptools.HttpParserCallbackError:
            # A callback below refused the request and has answered already.
            if not self.transport.is_closing():
                self._refuse(Code.INVALID_REQUEST, "This is not a valid HTTP/1.1 request.")
        except httptools.HttpParserError:
            self._refuse(Code.INVALID_REQUEST, "This is not a valid HTTP/1.1 request.")
        else:
            most = self.limits.request_line_bytes + self.limits.headers_bytes + _SLACK_BYTES
            if self._body_since == 0.0 and self._head_since and self._head_bytes > most:
                self._refuse(Code.HEADERS_TOO_LARGE, "The headers are larger than this server reads.")

    def on_message_begin(self) -> None:
        """Start a request on this connection."""
        super().on_message_begin()
        self._header_bytes = 0
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[CONNECTION] = self.connection

    def on_url(self, url: bytes) -> None:
        """Collect the target, at most 4 KiB."""
        super().on_url(url)
        if len(self.url) > self.limits.request_line_bytes:
            self._refuse(Code.URI_TOO_LONG, f"The request line is longer than {self.limits.request_line_bytes} bytes.")
            raise ValueError("request line")  # stops the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header within the limits."""
        super().on_header(name, value)
        size = len(name) + len(value) + 4
        self._header_bytes += size
        limits = self.limits
        if (
            size > limits.header_bytes
            or self._header_bytes > limits.headers_bytes
            or len(self.headers) > limits.headers_count
        ):
            self._refuse(
                Code.HEADERS_TOO_LARGE, "A header, or all of them together, are larger than this server reads."
            )
            raise ValueError("headers")  # stops the parser

    def on_headers_complete(self) -> None:
        """Hand the request to the application; from here the body's limits count."""
        if self.parser.should_upgrade():
            return
        self._body_since = self._span_since = self._swept_at = self.loop.time()
        self._body_bytes = self._span_bytes = 0
        self._head_since = 0.0
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass body bytes on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the deadlines of reading: the request is complete."""
        self._body_since = 0.0
        super().on_message_complete()

    def _refuse(self, code: Code, message: str) -> None:
        refusal = Refusal(code=code, message=message)
        if not self.transport.is_closing():
            if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
                self.transport.write(error_response(refusal, (b"x-request-id", secrets.token_hex(8).encode())))
            self.transport.close()
        self._head_since = self._body_since = 0.0

    def _arm(self) -> None:
        """One timer per event loop looks at all connections, twice a second."""
        key = id(self.loop)
        if key not in self._sweepers:
            self._sweepers[key] = self.loop.call_later(_SWEEP_S, self._sweep_all, self.loop, self.server_state)

    @classmethod
    def _sweep_all(cls, loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
        connections = [found for found in state.connections if isinstance(found, GatewayProtocol)]
        now = loop.time()
        for found in connections:
            found.sweep(now)
        if connections:
            cls._sweepers[id(loop)] = loop.call_later(_SWEEP_S, cls._sweep_all, loop, state)
        else:
            cls._sweepers.pop(id(loop), None)

    def sweep(self, now: float) -> None:
        """Refuse or drop this connection when one of its deadlines has passed; `now` is loop time."""
        limits = self.limits
        if self._head_since and now - self._head_since > limits.header_deadline_s:
            self._refuse(Code.REQUEST_TIMEOUT, f"The headers took longer than {limits.header_deadline_s:g} s.")
        elif self._body_since and self._is_body_late(now):
            if self.cycle.response_complete:
                self.transport.close()
            else:
                self._refuse(Code.REQUEST_TIMEOUT, "The body arrived too slowly.")
        if self.flow.write_paused:
            self._sweep_unread(now)
        else:
            self._unread_since = 0.0

    def _is_body_late(self, now: float) -> bool:
        limits = self.limits
        since, self._swept_at = self._swept_at, now
        if self.flow.read_paused:  # we do not read, so the client is not the slow one
            self._body_since += now - since
            self._span_since += now - since
            return False
        if self.cycle.response_complete and self._body_bytes > _UNWANTED_BYTES:
            return True
        waited = now - self._body_since
        if waited > _FLOOR_AFTER_S and self._body_bytes < limits.body_floor_bytes_s * (waited - _FLOOR_AFTER_S):
            return True
        lasted, brought = now - self._span_since, self._body_bytes - self._span_bytes
        if lasted <= limits.body_deadline_s:
            return False
        self._span_since, self._span_bytes = now, self._body_bytes
        return brought < limits.body_rate_bytes_s * lasted

    def _sweep_unread(self, now: float) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._unread_since == 0.0 or unread < self._unread:
            self._unread_since = now
        elif now - self._unread_since > self.limits.unread_s:
            self.connection.is_slow = True
            self.transport.abort()
        self._unread = unread


def protocol_class(limits: GatewayLimits) -> type[GatewayProtocol]:
    """Return the protocol class with these limits."""
    return type("LimitedGatewayProtocol", (GatewayProtocol,), {"limits": limits, "_peers": Counter(), "_sweepers": {}})
