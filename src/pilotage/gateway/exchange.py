"""One HTTP request and its response, over ASGI: reading a bounded body, sending exactly one answer.

Fail mode: a body over the limit is refused before it is read; after the head of a response has left, a refusal becomes
an error frame of its stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from pilotage.core.canonical import Json
from pilotage.gateway.answers import Frames
from pilotage.gateway.errors import Headers, error_body, error_headers
from pilotage.gateway.protocol import Connection
from pilotage.gateway.strict_json import InvalidJsonError, decode
from pilotage.serving.addresses import FORWARDING
from pilotage.serving.context import Bearer, Peer
from pilotage.serving.refusal import Code, Refusal, RefusedError

_JSON_ANSWER = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_STREAM = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


class ClientGone(Exception):
    """The client left while its body was read; there is nobody to answer."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """Request and response. `headers` hold the last value of a lower-case name; `answer_headers` go on every answer."""

    method: str
    headers: Mapping[bytes, bytes]
    peer: str
    forwarded_for: tuple[str, ...]
    interaction: str
    answer_headers: Headers
    connection: Connection
    body_limit: int
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    transmit: Callable[[MutableMapping[str, Any]], Awaitable[None]]
    is_tls: bool = False
    has_started: bool = False
    is_stream: bool = False
    is_done: bool = False
    error_code: Code | None = None

    def header(self, name: bytes) -> str | None:
        """Return a request header as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def credential(self) -> Bearer:
        """Return the bearer token as it came, and the subject token beside it."""
        scheme, _, token = (self.header(b"authorization") or "").partition(" ")
        found = token.strip() if scheme.lower() == "bearer" else ""
        return Bearer(token=found or None, subject_token=self.header(b"x-pilotage-subject-token"))

    def client(self) -> Peer:
        """Return the TCP peer and what proxies say about it."""
        return Peer(
            address=self.peer,
            forwarded_for=self.forwarded_for,
            forwarded_proto=self.header(b"x-forwarded-proto") or "",
            is_forwarded=any(name.encode() in self.headers for name in FORWARDING),
            is_tls=self.is_tls,
        )

    async def json_body(self) -> tuple[Json, bytes]:
        """Read the whole body as strict JSON; raise RefusedError with the refusal to send."""
        media = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise _refused(Code.UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json.")
        if (self.header(b"content-encoding") or "identity").lower() != "identity":
            raise _refused(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.")
        data = await self._body()
        try:
            return decode(data), data
        except InvalidJsonError as error:
            raise _refused(Code.INVALID_JSON, str(error)) from None

    async def _body(self) -> bytes:
        declared = self.header(b"content-length")
        if declared is not None and int(declared) > self.body_limit:
            raise self._too_large()
        body: bytes = b""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece: bytes = message["body"]
            body += piece
            if len(body) > self.body_limit:
                raise self._too_large()
            if not message["more_body"]:
                return body

    def _too_large(self) -> RefusedError:
        self.answer_headers.append((b"connection", b"close"))
        return _refused(Code.BODY_TOO_LARGE, f"A body may have {self.body_limit} bytes.")

    async def answer(self, body: bytes, *, status: int = 200) -> None:
        """Send a complete JSON answer."""
        await self._whole(status, [*_JSON_ANSWER, *self.answer_headers], body)

    async def refuse(self, refusal: Refusal) -> None:
        """Send the refusal: as an error answer, or as the last frame of a stream that has begun."""
        self.error_code = refusal.code
        if self.is_done:
            return
        if self.has_started:
            await self.frame(Frames.error(refusal))
            self.is_done = True
            self.connection.cut()
            return
        await self._whole(refusal.status, [*error_headers(refusal), *self.answer_headers], error_body(refusal))

    async def begin_stream(self) -> None:
        """Send the head of a stream."""
        self.has_started = self.is_stream = True
        head = [*_STREAM, *self.answer_headers]
        await self.transmit({"type": "http.response.start", "status": 200, "headers": head})

    async def frame(self, data: bytes) -> None:
        """Send one frame; returns when the client can take more."""
        await self.transmit({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self) -> None:
        """End the stream."""
        self.is_done = True
        await self.transmit({"type": "http.response.body", "body": b"", "more_body": False})

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.has_started = self.is_done = True
        headers.append((b"content-length", str(len(body)).encode()))
        await self.transmit({"type": "http.response.start", "status": status, "headers": headers})
        await self.transmit({"type": "http.response.body", "body": body, "more_body": False})


def _refused(code: Code, message: str) -> RefusedError:
    return RefusedError(Refusal(code=code, message=message))
