"""Reading one request: its path, forms and cookies, within limits.

A form has at most 256 KiB and 200 fields; control characters are removed, the rest is kept (console.md 8). Files come
with a form where its address takes them, from a person who may bring them. Rule: the head is read first, and tells how
much of a body is read; a large form proves in its first fields that a page of ours wrote it. What is not read is the
server's to throw away. Fail mode: ReadError with the status that says why.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final
from urllib.parse import parse_qsl

from anyio import to_thread

from pilotage.console.cookies import read_cookies
from pilotage.console.guards import FORM_TOKEN, is_form_token
from pilotage.console.multipart import Content, Part, boundary_of, read_parts
from pilotage.serving.addresses import FORWARDING
from pilotage.serving.addresses import is_over_tls as proxy_had_tls
from pilotage.serving.context import Peer
from pilotage.serving.uploads import Body, Receive, UploadRefused, Uploads, Why

MAX_FORM_BYTES: Final = 262_144
MAX_FIELDS: Final = 200
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
class Bringing:
    """Who may bring files with a form. `session` is what the form's token must prove."""

    person: str
    session: str = field(repr=False)


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
    peer, is_secure = scope["client"][0] if scope.get("client") else "", is_over_tls(scope, trusted)
    return Incoming(
        method=scope["method"],
        path=path,
        query=_fields(scope["query_string"]),
        headers=headers,
        cookies=read_cookies(headers.get("cookie", "")),
        peer=Peer(
            address=peer,
            forwarded_for=tuple(forwarded),
            is_forwarded=any(name in headers for name in FORWARDING),
            is_tls=is_secure,
        ),
        is_secure=is_secure,
    )


@asynccontextmanager
async def read_form(
    head: Incoming, receive: Receive, uploads: Uploads, *, bringing: Bringing | None = None, most_files: int = 0
) -> AsyncIterator[Incoming]:
    """Give the request with what its form holds, `most_files` bytes of files from `bringing` among it; raise ReadError.

    The files keep their place among the uploads until the request was answered.
    """
    if head.method != "POST":
        yield head
        return
    media = head.headers.get("content-type", "")
    boundary = boundary_of(media)
    files = 0 if bringing is None or boundary is None else most_files

    def look(first: bytes) -> None:
        if bringing is not None and boundary is not None:
            _own_form(first, boundary, bringing)

    sender = "" if bringing is None else bringing.person
    try:
        async with uploads.take(receive, most=MAX_FORM_BYTES + files, sender=sender, look=look) as body:
            yield await _read(head, body, boundary, files)
    except UploadRefused as refused:
        text = f"This form may have {MAX_FORM_BYTES + files:,} bytes." if refused.why is Why.TOO_LARGE else refused.text
        raise ReadError(refused.status, refused.why.value, f"{text} Nothing was recorded.") from None


def _own_form(first: bytes, boundary: bytes, bringing: Bringing) -> None:
    """Refuse a large form whose beginning does not prove that a page of this session wrote it."""
    try:
        parts = read_parts(first, boundary, most=MAX_FIELDS, is_cut=True)
    except (UnicodeDecodeError, ValueError):
        raise ReadError(400, "FIELDS_UNREADABLE", _UNREADABLE) from None
    token = next((part.data for part in parts if part.name == "token" and part.filename is None), b"")
    if not is_form_token(bringing.session, token.decode("latin-1")):
        raise ReadError(403, FORM_TOKEN.code, FORM_TOKEN.text)


async def _read(head: Incoming, body: Body, boundary: bytes | None, files: int) -> Incoming:
    if body.file is not None and boundary is not None:
        return await to_thread.run_sync(_mapped, head, body.file, boundary, files)
    data = body.held
    if boundary is not None and data:
        return _with_parts(head, data, boundary, files)
    if data and head.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ReadError(415, "UNSUPPORTED_MEDIA_TYPE", "Forms are sent URL-encoded. Nothing was recorded.")
    return replace(head, form=_fields(data))


def _mapped(head: Incoming, file: IO[bytes], boundary: bytes, files: int) -> Incoming:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return _with_parts(head, body, boundary, files)


def _too_large(most: int) -> ReadError:
    return ReadError(413, "BODY_TOO_LARGE", f"This form may have {most:,} bytes. Nothing was recorded.")


def _with_parts(head: Incoming, body: Content, boundary: bytes, files: int) -> Incoming:
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
    said = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
    return proxy_had_tls(scope["client"][0] if scope.get("client") else "", said.decode("latin-1"), trusted)
