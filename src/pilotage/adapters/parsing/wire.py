"""Frames between the parsing process and its owner: a length and msgpack, no pickle, every size checked.

Fail mode: a frame that is too long or cannot be read is WireError; the owner then replaces the process.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

import msgspec

from pilotage.corpus.records import Block, Paragraph, ParsedDocument, Section, Table

_LENGTH = struct.Struct(">Q")
MAX_REPLY_BYTES = 48 << 20
"""16 MiB of text, its frame, and room for one header line per table row."""


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Take stdin and stdout for frames; a library that prints must not speak the protocol, nor put text into a log."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    return source, target


class WireError(Exception):
    """The other side is gone or does not speak this protocol."""


class _Table(msgspec.Struct, array_like=True, tag=1):
    header: str
    rows: list[str]


class _Paragraph(msgspec.Struct, array_like=True, tag=0):
    text: str


class _Section(msgspec.Struct, array_like=True):
    path: list[str]
    blocks: list[_Paragraph | _Table]


class _Document(msgspec.Struct, array_like=True, tag=0):
    title: str
    sections: list[_Section]
    parser: str
    fields: dict[str, str]
    hidden_elements: int
    needs_ocr: list[int]
    failed_pages: list[int]


class _Failure(msgspec.Struct, array_like=True, tag=1):
    reason: str


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Document | _Failure] = msgspec.msgpack.Decoder(_Document | _Failure)


def write_frame(stream: BinaryIO, *parts: bytes) -> None:
    """Write one frame and flush."""
    stream.writelines((_LENGTH.pack(sum(map(len, parts))), *parts))
    stream.flush()


def read_frame(stream: BinaryIO, *, most: int) -> bytes | None:
    """Read one frame; None at the end of the stream; WireError when it is cut short or longer than `most`."""
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise WireError("the stream ends inside a frame")
    (size,) = _LENGTH.unpack(head)
    if size > most:
        raise WireError("the frame is too long")
    data = stream.read(size)
    if len(data) < size:
        raise WireError("the stream ends inside a frame")
    return data


def encode_reply(reply: ParsedDocument | str) -> bytes:
    """Encode a document, or the reason there is none."""
    if isinstance(reply, str):
        return _encoder.encode(_Failure(reply))
    return _encoder.encode(
        _Document(
            title=reply.title,
            sections=[_Section(list(section.path), [_plain(b) for b in section.blocks]) for section in reply.sections],
            parser=reply.parser,
            fields=dict(reply.fields),
            hidden_elements=reply.hidden_elements,
            needs_ocr=list(reply.needs_ocr),
            failed_pages=list(reply.failed_pages),
        )
    )


def decode_reply(data: bytes) -> ParsedDocument | str:
    """Decode a reply; raise WireError when it is none."""
    try:
        reply = _decoder.decode(data)
    except msgspec.DecodeError as error:
        message = f"the reply cannot be read: {error}"
        raise WireError(message) from None
    if isinstance(reply, _Failure):
        return reply.reason
    fields: Mapping[str, str] = reply.fields
    return ParsedDocument(
        title=reply.title,
        sections=tuple(Section(path=tuple(s.path), blocks=tuple(map(_block, s.blocks))) for s in reply.sections),
        parser=reply.parser,
        fields=fields,
        hidden_elements=reply.hidden_elements,
        needs_ocr=tuple(reply.needs_ocr),
        failed_pages=tuple(reply.failed_pages),
    )


def _plain(block: Block) -> _Paragraph | _Table:
    return _Paragraph(block.text) if isinstance(block, Paragraph) else _Table(block.header, list(block.rows))


def _block(block: _Paragraph | _Table) -> Block:
    if isinstance(block, _Paragraph):
        return Paragraph(text=block.text)
    return Table(header=block.header, rows=tuple(block.rows))
