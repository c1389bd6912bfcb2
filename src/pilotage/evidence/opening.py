"""From bytes to content: size, emptiness, archives, text encoding, then XML, JSON or plain text (gates.md 2.2).

Rule: the form is told by the first bytes, never by the file's name. Fail mode: `Unreadable` with EV_EMPTY,
EV_TOO_LARGE, EV_ARCHIVE or EV_MALFORMED, and the codes of the two parsers.
"""

from __future__ import annotations

import codecs
import re

from pilotage.evidence.json_text import parse_json_file
from pilotage.evidence.limits import MAX_BYTES
from pilotage.evidence.source import BinaryContent, Content, JsonContent, TextContent, Unreadable, XmlContent
from pilotage.evidence.xml_tree import parse_xml_text

PDF = "application/pdf"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_ARCHIVES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"Rar!\x1a\x07", "rar"),
    (b"MSCF", "cab"),
    (b"!<arch>\n", "ar"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_JSON_WORD = re.compile(r"(?:null|true|false)\s*\Z")


def open_bytes(data: bytes, *, kind: str | None = None) -> Content:
    """Return the content of a file; raise Unreadable when it is empty, too large, an archive or not text.

    `kind` matters only for `document.*`, where Markdown may begin with `<` or `[` and Word files are zip archives.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(
            "EV_TOO_LARGE", f"The file has {len(data):,} bytes.", observed=f"{len(data)} B", limit=f"{MAX_BYTES} B"
        )
    if not data.strip():
        raise Unreadable("EV_EMPTY", "The file holds nothing.", observed=f"{len(data)} B")
    is_document = kind is not None and kind.startswith("document.")
    if data.startswith(b"%PDF-"):
        return BinaryContent(media=PDF)
    archive = _archive(data)
    if archive == "zip" and is_document and b"word/document.xml" in data:
        return BinaryContent(media=WORD)
    if archive:
        raise Unreadable("EV_ARCHIVE", f"The file is a {archive} archive; upload the report inside it.")
    return _open_text(decode(data), is_document=is_document)


def decode(data: bytes) -> str:
    """Return the text: UTF-8 (a byte order mark is dropped) or UTF-16 with one; raise EV_MALFORMED otherwise."""
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable("EV_MALFORMED", f"Byte {error.start} is not {encoding.removesuffix('-sig')} text.") from None
    control = _CONTROL.search(text)
    if control:
        raise Unreadable("EV_MALFORMED", f"Character {control.start()} is a control character; this is no text file.")
    return text


def _archive(data: bytes) -> str | None:
    for magic, name in _ARCHIVES:
        if data.startswith(magic):
            return name
    return "tar" if data[257:262] == b"ustar" else None


def _open_text(text: str, *, is_document: bool) -> Content:
    # A second mark, left by tools that write it twice, is white space too.
    start = text.lstrip().lstrip("\ufeff").lstrip()
    if not start:
        raise Unreadable("EV_EMPTY", "The file holds nothing but white space.")
    if is_document and not start.startswith("{"):
        return TextContent(value=text)
    if start.startswith("<"):
        return XmlContent(root=parse_xml_text(start))
    if start[0] in "{[" or _JSON_WORD.match(start):
        return JsonContent(value=parse_json_file(start))
    return TextContent(value=text)
