"""Forms with files: `multipart/form-data` as browsers send it (RFC 7578), read from the whole body, on disk or not.

Rule: a part is what stands between two boundaries, byte for byte; a file's name is what follows its last slash. Fail
mode: ValueError for anything that no browser writes; nothing is guessed.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Final, TypeAlias

MAX_HEAD_BYTES: Final = 8_192
_MAX_BOUNDARY: Final = 70
_DISPOSITION: Final = re.compile(
    rb'^content-disposition:[ \t]*form-data((?:;[ \t]*[a-z*]+="[^"\r\n]*")+)[ \t]*$', re.IGNORECASE | re.MULTILINE
)
_PARAMETER: Final = re.compile(rb';[ \t]*([a-z*]+)="([^"\r\n]*)"', re.IGNORECASE)
_ESCAPES: Final = {"%22": '"', "%0D": "", "%0A": ""}
Content: TypeAlias = bytes | mmap.mmap
"""A body in memory, or on disk and cut like one in memory: what is cut out comes into memory, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field. `filename` is None for a typed value, empty for a file field that nothing was chosen in."""

    name: str
    filename: str | None
    data: bytes


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a form with files; None when the content is no such form."""
    message = Message()
    message["content-type"] = content_type
    found = message.get_boundary() if message.get_content_type() == "multipart/form-data" else None
    if not found or len(found) > _MAX_BOUNDARY or not found.isascii():
        return None
    return found.encode()


def read_parts(body: Content, boundary: bytes, *, most: int, is_cut: bool = False) -> list[Part]:
    """Return the fields in their order; raise ValueError for more than `most` or another form.

    `is_cut`: the body goes on after this; the fields that are whole in it are returned.
    """
    parts: list[Part] = []
    for start, end in _between(body, boundary, is_cut=is_cut):
        if len(parts) == most:
            message = "the form has too many fields"
            raise ValueError(message)
        parts.append(_part(body, start, end))
    return parts


def _between(body: Content, boundary: bytes, *, is_cut: bool) -> Iterator[tuple[int, int]]:
    """Yield where each part starts and ends, without copying the body."""
    opening, between = b"--" + boundary, b"\r\n--" + boundary
    if body[: len(opening)] != opening:
        message = "the form does not begin with its boundary"
        raise ValueError(message)
    at = len(opening)
    while body[at : at + 2] == b"\r\n":
        end = body.find(between, at)
        if end < 0:
            if is_cut:
                return
            break
        yield at + 2, end
        at = end + len(between)
    if body[at : at + 2] != b"--" and not is_cut:
        message = "the form was cut short"
        raise ValueError(message)


def _part(body: Content, start: int, end: int) -> Part:
    split = body.find(b"\r\n\r\n", start, min(end, start + MAX_HEAD_BYTES))
    found = None if split < 0 else _DISPOSITION.search(body[start:split].replace(b"\r\n", b"\n"))
    if found is None:
        message = "a field does not say its name"
        raise ValueError(message)
    said = {name.lower(): value.decode("utf-8") for name, value in _PARAMETER.findall(found[1])}
    if b"name" not in said:
        message = "a field does not say its name"
        raise ValueError(message)
    filename = said.get(b"filename")
    return Part(
        name=_unescaped(said[b"name"]),
        filename=None if filename is None else re.split(r"[/\\]", _unescaped(filename))[-1],
        data=body[split + 4 : end],
    )


def _unescaped(text: str) -> str:
    for escaped, plain in _ESCAPES.items():
        text = text.replace(escaped, plain)
    return text
