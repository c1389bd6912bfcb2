"""One HTTP/1.1 response as it comes in: parsed strictly, bounded, framed in exactly one way (RFC 9112).

Refused: conflicting or repeated lengths, an encoding other than plain chunks, a compressed body (none was asked for),
an upgrade, heads over 32 KiB or 100 fields, and bytes behind the end of the body: they would be taken for the answer to
the next question. A body cut short is never a whole one. Fail mode: UpstreamError with a few words of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import httptools

from pilotage.adapters.models.upstream import MAX_BODY_BYTES, UpstreamError

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 100
MAX_INTERIM: Final = 8
UNREAD_BYTES: Final = 256 * 1024
"""Above so much unread body the connection is not read until somebody reads."""

_SPOKEN_FOR: Final = frozenset({"content-length", "transfer-encoding", "content-encoding"})


class Incoming:
    """A response under way. `give_back` is called once, when it ends: with whether its connection may be used again."""

    def __init__(self, transport: asyncio.Transport, give_back: Callable[[bool], None]) -> None:
        self.status = 0
        self._transport = transport
        self._give_back: Callable[[bool], None] | None = give_back
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._fields = 0
        self._field_bytes = 0
        self._raw_bytes = 0
        self._interim = 0
        self._parts: list[bytes] = []
        self._unread = 0
        self._is_paused = False
        self._has_head = False
        self._is_framed = True
        self._is_whole = False
        self._keeps_alive = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_read(self) -> bool:
        """Tell whether the body was read to its proper end."""
        return self._is_whole and not self._parts and self._error is None

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return self._headers.get(name)

    async def head(self, within_s: float) -> None:
        """Return once the head has come."""
        until = asyncio.get_running_loop().time() + within_s
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait(until)
        if self._error is not None:
            raise self._error

    async def read(self, within_s: float) -> bytes:
        """Return what has come of the body; nothing at its proper end."""
        until = asyncio.get_running_loop().time() + within_s
        while True:
            if self._error is not None:
                raise self._error
            if self._parts:
                return self._taken()
            if self._is_whole:
                return b""
            await self._wait(until)

    def end(self) -> None:
        """Give the connection back, or close it when the body was not read to its proper end."""
        give_back, self._give_back = self._give_back, None
        self._parser = None  # it holds this object: a circle that only the collector would find
        if give_back is not None:
            give_back(self.is_read and self._keeps_alive and not self._is_paused)

    def feed(self, data: bytes) -> None:
        """Take bytes of the connection."""
        self._raw_bytes += len(data)
        if self._raw_bytes > 2 * MAX_BODY_BYTES:
            self.fail("sent more than 16 MiB")
        if self._error is not None or self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail("changed the protocol")
        except httptools.HttpParserError:
            self.fail("sent no proper HTTP")  # keeps the words of a callback that refused
        else:
            if not self._has_head and self._raw_bytes > 2 * MAX_HEAD_BYTES:
                self.fail("sent a head that is too large")
        self._wake()

    def lost(self, error: Exception | None) -> None:
        """Note that the connection is gone: a body that only its end frames is then whole."""
        if self._is_whole:
            return
        if self._has_head and not self._is_framed and error is None:
            self._is_whole = True
            self._wake()
        else:
            self.fail("closed the connection")

    def fail(self, words: str) -> None:
        """Refuse the response; the first reason stays."""
        if self._error is None:
            self._error = UpstreamError(words)
        self._wake()

    # What the parser calls. A ValueError stops it: the response is then refused already.

    def on_message_begin(self) -> None:
        """Start a head; a second response that nobody asked for refuses the first."""
        if self._is_whole:
            self._stop("sent more than its response")
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, or a trailer, which only counts."""
        self._fields += 1
        self._field_bytes += len(name) + len(value)
        if self._fields > MAX_FIELDS or self._field_bytes > MAX_HEAD_BYTES:
            self._stop("sent a head that is too large")
        if self._has_head:
            return
        key = name.decode("latin-1").lower()
        if key in self._headers and key in _SPOKEN_FOR:
            self._stop("framed its response twice")
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Decide how the body is framed."""
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self._interim += 1
            if self.status == 101 or self._interim > MAX_INTERIM:
                self._stop("sent an interim response too many")
            return
        length, coding = self._headers.get("content-length"), self._headers.get("transfer-encoding")
        if coding is not None and (length is not None or coding.strip().lower() != "chunked"):
            self._stop("framed its response in a way that can be read twice")
        if self._headers.get("content-encoding", "identity").lower() != "identity":
            self._stop("compressed its response")
        self._is_framed = length is not None or coding is not None or self.status in {204, 304}
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(body)
        self._unread += len(body)
        if self._unread > UNREAD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the body."""
        if self._has_head and self._parser is not None:
            self._is_whole = True
            self._keeps_alive = self._parser.should_keep_alive() and self._is_framed

    def _stop(self, words: str) -> None:
        self.fail(words)
        raise ValueError(words)

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        self._unread = 0
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, until: float) -> None:
        """Wait for a change, at most until then, whatever trickles in meanwhile; then TimeoutError."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(until, _expire, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
