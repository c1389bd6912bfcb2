"""A provider over HTTP/1.1 and nothing else: `upstream.Upstream` in a few hundred lines, at a tenth of the CPU.

One address, one pool: a connection carries one question at a time and is used again only after a question sent whole
and a response that ended properly, as `http1_response.py` judges; bytes that come while nobody asked close it. TLS is
verified against the system's authorities and the host's name. No proxies (the environment is not read), no redirects,
no cookies, no compression. Fail mode: UpstreamError; a connection in doubt is closed, never kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from pilotage.adapters.direct import PlaceRefused, direct_stream
from pilotage.adapters.models.http1_response import Incoming
from pilotage.adapters.models.upstream import UpstreamError
from pilotage.adapters.tunnel import ProxyRefused

LOG = logging.getLogger("pilotage.models")
IDLE_S: Final = 30.0
MAX_IDLE: Final = 256
_PATH: Final = "/%:@!$&'()*+,;=~"
_LEGAL_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")


class _Connection(asyncio.Protocol):
    """One connection: at most one response is under way on it."""

    def __init__(self, upstream: Http1Upstream) -> None:
        self._upstream = upstream
        self._incoming: Incoming | None = None
        self.transport: asyncio.Transport
        self.loop = asyncio.get_running_loop()
        self.idle_since = 0.0
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Pass bytes on to whoever asked; bytes that nobody asked for end the connection."""
        if self._incoming is None:
            self.drop()
        else:
            self._incoming.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever asked."""
        self.is_lost = True
        self._upstream.forget(self)
        if self._incoming is not None:
            self._incoming.lost(exc)

    def drop(self) -> None:
        """Close at once."""
        self.is_lost = True
        self._upstream.forget(self)
        self.transport.abort()

    def ask(self, request: bytes) -> Incoming:
        """Send a request; its response is on its way."""
        self._incoming = Incoming(self.transport, self._given_back)
        self.transport.write(request)
        return self._incoming

    def _given_back(self, is_reusable: bool) -> None:  # noqa: FBT001 - the signature of a callback
        self._incoming = None
        is_sent = self.transport.get_write_buffer_size() == 0
        if not is_reusable or not is_sent or self.is_lost or self.transport.is_closing():
            self.drop()
        else:
            self._upstream.keep(self)


class Http1Upstream:
    """`upstream.Upstream` for one `http` or `https` address; raise ValueError for any other.

    `allow_private` are networks (CIDR) in which the provider may stand although they are not public.
    """

    def __init__(self, address: str, connect_s: float, allow_private: Iterable[str] = ()) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("A provider's address is http(s)://HOST[:PORT]/PATH, without a user.")
        host = parts.hostname.encode("idna").decode()  # a label that is empty or too long is a ValueError too
        self._host = host
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._is_tls = parts.scheme == "https"
        self._connect_s = connect_s
        self._allow_private = tuple(allow_private)
        query = f"?{quote(parts.query, safe=_PATH + '?')}" if parts.query else ""
        shown = f"[{host}]" if ":" in host else host
        self._target = (quote(parts.path, safe=_PATH) or "/") + query
        self._name = shown if parts.port is None else f"{shown}:{parts.port}"
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._made: tuple[str, Mapping[str, str], bytes] | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], *, within_s: float) -> Incoming:
        """Send a body."""
        request = b"%sContent-Length: %d\r\n\r\n%s" % (self._head("POST", headers), len(body), body)
        return await self._call(request, within_s)

    async def get(self, headers: Mapping[str, str], *, within_s: float) -> Incoming:
        """Ask without a body."""
        return await self._call(self._head("GET", headers) + b"\r\n", within_s)

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.drop()

    def keep(self, connection: _Connection) -> None:
        """Take a connection back for the next call."""
        if len(self._idle) >= MAX_IDLE:
            connection.drop()
            return
        connection.idle_since = connection.loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(IDLE_S, self._sweep, connection.loop)

    def forget(self, connection: _Connection) -> None:
        """Never use a connection again."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what nobody used for 30 s; look again while something is kept."""
        self._sweeper = None
        for connection in [one for one in self._idle if one.idle_since + IDLE_S <= loop.time()]:
            connection.drop()
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + IDLE_S, self._sweep, loop)

    async def _call(self, request: bytes, within_s: float) -> Incoming:
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        connection = self._kept(loop) or await self._connected(within_s)
        incoming = connection.ask(request)
        try:
            await incoming.head(until - loop.time())
        except BaseException:
            incoming.end()
            raise
        return incoming

    def _kept(self, loop: asyncio.AbstractEventLoop) -> _Connection | None:
        """Return the connection that was used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.loop is not loop:  # a loop that has ended: nothing of it can be used or closed
                self._open.discard(connection)
                self._sweeper = None
            elif connection.transport.is_closing() or connection.idle_since + IDLE_S <= loop.time():
                connection.drop()
            else:
                return connection
        return None

    async def _connected(self, within_s: float) -> _Connection:
        try:
            async with asyncio.timeout(max(min(self._connect_s, within_s), 0.0)):
                connection = await direct_stream(
                    lambda: _Connection(self),
                    self._host,
                    self._port,
                    is_tls=self._is_tls,
                    allow_private=self._allow_private,
                )
        except PlaceRefused as error:
            LOG.warning("the model is not called: %s", error)
            raise UpstreamError("stands where the release's egress does not allow a call") from None
        except ProxyRefused as error:
            LOG.warning("the model is not called: %s", error)
            raise UpstreamError("is not let through by the proxy") from None
        except (OSError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and within_s <= self._connect_s:
                raise
            raise UpstreamError(type(error).__name__) from None
        if connection.is_lost:  # closed, or greeted, with the last bytes of its TLS handshake: nobody would be told
            raise UpstreamError("closed the connection")
        self._open.add(connection)
        return connection

    def _head(self, method: str, headers: Mapping[str, str]) -> bytes:
        """Return the request line and the headers; made once for headers that are passed again."""
        if self._made is None or self._made[0] != method or self._made[1] != headers:
            lines = [f"{method} {self._target} HTTP/1.1", f"Host: {self._name}", "Accept-Encoding: identity"]
            for name, value in headers.items():
                if not name or not _LEGAL_NAME.issuperset(name) or not value.isprintable() or not value.isascii():
                    raise UpstreamError("was not called: a header of ours is not printable")
                lines.append(f"{name}: {value}")
            self._made = (method, dict(headers), "\r\n".join([*lines, ""]).encode("latin-1"))
        return self._made[2]
