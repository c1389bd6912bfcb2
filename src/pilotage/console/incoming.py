"""Reading one request: its path, forms and cookies, within limits.

A form has at most 256 KiB and 200 fields; control characters are removed, the rest is kept (console.md 8). Files come
with a form where its address takes them, from a person who is signed in. Rule: the head is read first, and tells how
much of a body is read. Fail mode: ReadError with the status that says why.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from pilotage.console.cookies import read_cookies
from pilotage.console.multipart import Part, boundary_of, read_parts
from pilotage.serving.addresses import containing, parse_address
from pilotage.serving.context import Peer

MAX_FORM_BYTES: Final = 262_144
MAX_FIELDS: Final = 200
DRAINED: Final = 4
"""How many times the limit is read and thrown away, so that a browser which still sends gets to hear the reason."""
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORM: Final = "application/x-www-form-urlencoded"
_UNREADABLE: Final = "The fields of this request cannot be read."


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
    peer: Peer
    is_secure: bool
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Part] = field(default_factory=dict)

    @property
    def takes_gzip(self) -> bool:
        """Tell whether the browser reads gzip."""
        return "gzip" in self.headers.get("accept-encoding", "")

    @property
    def wants_events(self) -> bool:
        """Tell whether our own script asks for a stream."""
        return "text/event-stream" in self.headers.get("accept", "")


def read_head(scope: MutableMapping[str, Any], trusted: Sequence[str]) -> Incoming:
    """Read everything but the body; raise ReadError."""
    headers: dict[str, str] = {}
    forwarded: list[str] = []
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        headers.setdefault(name, value.decode("latin-1"))
        if name == "x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
    path: str = scope["path"]
    if _CONTROLS.search(path):
        raise ReadError(404, "PAGE_UNKNOWN", "There is no page at an address with control characters.")
    peer = scope["client"][0] if scope.get("client") else ""
    return Incoming(
        method=scope["method"],
        path=path,
        query=_fields(scope["query_string"]),
        headers=headers,
        cookies=read_cookies(headers.get("cookie", "")),
        peer=Peer(address=peer, forwarded_for=tuple(forwarded)),
        is_secure=is_over_tls(scope, trusted),
    )


async def read_form(
    head: Incoming, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], *, files: int = 0
) -> Incoming:
    """Return the request with what its form holds, `files` bytes of files among it; raise ReadError."""
    if head.method != "POST":
        return head
    body = await _body(receive, MAX_FORM_BYTES + files)
    media = head.headers.get("content-type", "")
    boundary = boundary_of(media)
    if boundary is not None and body:
        return _with_parts(head, body, boundary, files)
    if body and media.partition(";")[0].strip().lower() != _FORM:
        raise ReadError(415, "UNSUPPORTED_MEDIA_TYPE", "Forms are sent URL-encoded. Nothing was recorded.")
    if len(body) > MAX_FORM_BYTES:
        raise _too_large(MAX_FORM_BYTES)
    return replace(head, form=_fields(body))


async def _body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]], most: int) -> bytes:
    kept = bytearray()
    seen = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ReadError(400, "CLIENT_GONE", "The browser left before the form was complete.")
        chunk = message.get("body", b"")
        seen += len(chunk)
        if seen <= most:
            kept += chunk
        else:
            kept.clear()
        is_last = not message.get("more_body")
        if seen > most and (is_last or seen > DRAINED * most):
            raise _too_large(most)
        if is_last:
            return bytes(kept)


def _too_large(most: int) -> ReadError:
    return ReadError(413, "BODY_TOO_LARGE", f"This form may have {most:,} bytes. Nothing was recorded.")


def _with_parts(head: Incoming, body: bytes, boundary: bytes, files: int) -> Incoming:
    try:
        parts = read_parts(body, boundary, most=MAX_FIELDS)
        form: dict[str, str] = {}
        for part in parts:
            if part.filename is None:
                form.setdefault(_cleaned(part.name), _cleaned(part.data.decode("utf-8")))
    except (UnicodeDecodeError, ValueError):
        raise ReadError(400, "FIELDS_UNREADABLE", _UNREADABLE) from None
    sent = {part.name: part for part in reversed(parts) if part.filename}
    if sent and not files:
        text = "This form takes no files, or you are not signed in: sign in, and choose the file again."
        raise ReadError(413, "FILE_NOT_TAKEN", f"{text} Nothing was recorded.")
    if sum(len(value) for value in form.values()) > MAX_FORM_BYTES:
        raise _too_large(MAX_FORM_BYTES)
    return replace(head, form=form, files=sent)


def _fields(data: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise ReadError(400, "FIELDS_UNREADABLE", _UNREADABLE) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(_cleaned(name), _cleaned(value))
    return found


def _cleaned(value: str) -> str:
    return _CONTROLS.sub("", value.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8"))


def is_over_tls(scope: MutableMapping[str, Any], trusted: Sequence[str]) -> bool:
    """Tell whether the browser spoke TLS: with this process, or with a trusted proxy that says so."""
    if scope.get("scheme") == "https":
        return True
    address = parse_address(scope["client"][0] if scope.get("client") else "")
    if address is None or containing(address, trusted) is None:
        return False
    said = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
    return bool(said.strip().lower() == b"https")
