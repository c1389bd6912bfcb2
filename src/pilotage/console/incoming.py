"""Reading one request: its path, forms and cookies, within limits.

Forms are URL-encoded, at most 256 KiB and 200 fields; control characters are removed, the rest is kept (console.md 8).
Fail mode: ReadError with the status that says why.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from pilotage.console.cookies import read_cookies
from pilotage.serving.addresses import containing, parse_address
from pilotage.serving.context import Peer

MAX_FORM_BYTES: Final = 262_144
MAX_FIELDS: Final = 200
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORM: Final = "application/x-www-form-urlencoded"


class ReadError(Exception):
    """The request cannot be read."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One request, read. `headers` have lower-case names; of repeated fields the first counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    form: Mapping[str, str]
    peer: Peer
    is_secure: bool

    @property
    def takes_gzip(self) -> bool:
        """Tell whether the browser reads gzip."""
        return "gzip" in self.headers.get("accept-encoding", "")

    @property
    def wants_events(self) -> bool:
        """Tell whether our own script asks for a stream."""
        return "text/event-stream" in self.headers.get("accept", "")


async def read_request(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    trusted: Sequence[str],
) -> Incoming:
    """Read a request whole; raise ReadError."""
    headers: dict[str, str] = {}
    forwarded: list[str] = []
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        headers.setdefault(name, value.decode("latin-1"))
        if name == "x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
    method: str = scope["method"]
    body = await _body(receive) if method == "POST" else b""
    peer = scope["client"][0] if scope.get("client") else ""
    return Incoming(
        method=method,
        path=scope["path"],
        query=_fields(scope["query_string"]),
        headers=headers,
        cookies=read_cookies(headers.get("cookie", "")),
        form=_form(headers, body),
        peer=Peer(address=peer, forwarded_for=tuple(forwarded)),
        is_secure=scope.get("scheme") == "https" or _is_secure_before(peer, headers, trusted),
    )


async def _body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ReadError(400, "CLIENT_GONE", "The browser left before the form was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_FORM_BYTES:
            raise ReadError(413, "BODY_TOO_LARGE", f"A form may have {MAX_FORM_BYTES:,} bytes. Nothing was recorded.")
        if not message.get("more_body"):
            return body


def _form(headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
    if not body:
        return {}
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ReadError(415, "UNSUPPORTED_MEDIA_TYPE", "Forms are sent URL-encoded. Nothing was recorded.")
    return _fields(body)


def _fields(data: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise ReadError(400, "FIELDS_UNREADABLE", "The fields of this request cannot be read.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        clean = value.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
        found.setdefault(name, _CONTROLS.sub("", clean))
    return found


def _is_secure_before(peer: str, headers: Mapping[str, str], trusted: Sequence[str]) -> bool:
    """Tell whether a trusted proxy says that the browser spoke TLS with it."""
    address = parse_address(peer)
    is_proxy = address is not None and containing(address, trusted) is not None
    return is_proxy and headers.get("x-forwarded-proto", "").strip().lower() == "https"
