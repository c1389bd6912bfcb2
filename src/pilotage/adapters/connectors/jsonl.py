"""JSONL rows as a source, read line by line in bounded memory; `.gz` is unpacked on the way.

A row over 16 MiB is skipped without being held; a row that is not UTF-8 is rejected with its byte offset. Fail mode:
a file that cannot be opened or unpacked to its end stops the run; a bad row is rejected as `line N`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.corpus.acl import readers_of
from pilotage.corpus.connector import Fetched, ItemUnreadable, ListingFailed
from pilotage.corpus.fields import FieldProblem, has_acl, row_acl, row_id
from pilotage.corpus.records import Rejected, SourceItem

MAX_ROW_BYTES = 16 << 20
MAX_RATIO = 100
_PIECE = 1 << 20
_decoder = msgspec.json.Decoder()


class JsonlConnector:
    """Lists the rows of one file. `fields` is the corpus's mapping of foreign rows."""

    def __init__(self, path: Path, *, fields: Mapping[str, str]) -> None:
        self._path = path
        self._fields = fields

    @property
    def name(self) -> str:
        """Return `jsonl`."""
        return "jsonl"

    def list(self) -> Iterator[SourceItem | Rejected]:
        """Yield one item per row, in order of the file."""
        return list_rows(self._path, self._fields, label="")

    def fetch(self, item: SourceItem) -> Fetched:
        """Return the row the listing already read."""
        if item.row is None:
            raise ItemUnreadable("was not listed by this source")
        return Fetched(row=item.row)

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        """Return the rows' own ACLs."""
        return row_acls(items, self._fields)

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:  # noqa: ARG002 - the port
        """Return no for all: a file has no say of its own, so a recheck against it fails closed."""
        return dict.fromkeys(ids, False)


def row_acls(items: Sequence[SourceItem], fields: Mapping[str, str]) -> Mapping[str, object]:
    """Return `{id: acl}` of the rows that carry one; several rows of one document leave the readers of all of them."""
    found: dict[str, object] = {}
    for item in items:
        if item.row is not None and has_acl(item.row, fields):
            acl = row_acl(item.row, fields)
            found[item.id] = _shared(found[item.id], acl) if item.id in found else acl
    return found


def _shared(one: object, other: object) -> list[str]:
    """Return the names in both lists; one that means nobody shares nothing, so nobody reads."""
    names = (set(readers_of(acl, source="").names) for acl in (one, other))
    return sorted(set.intersection(*names))


def list_rows(path: Path, fields: Mapping[str, str], *, label: str) -> Iterator[SourceItem | Rejected]:
    """Yield the rows of one file. `label` is the file's path in a folder source ("" when it is the whole source)."""
    try:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        most = path.stat().st_size * MAX_RATIO + MAX_ROW_BYTES
        with _open(path) as file:
            for number, offset, line, size in _lines(file):
                if path.suffix == ".gz" and offset + size > most:
                    message = f"{label or path} unpacks to more than {MAX_RATIO} times its size."
                    raise ListingFailed(message, hint="Give the file unpacked if its content is meant.")
                yield _item(_Place(number, offset, label), line, size, fields, modified)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{label or path} cannot be read to its end: {error}."
        raise ListingFailed(message, hint="Nothing was changed; repair the file and refresh again.") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".gz":
        return path.open("rb")
    return cast("BinaryIO", gzip.open(path, "rb"))


class _Place:
    """Where a row stands, for messages."""

    __slots__ = ("label", "number", "offset")

    def __init__(self, number: int, offset: int, label: str) -> None:
        self.number = number
        self.offset = offset
        self.label = label

    @property
    def name(self) -> str:
        return f"{self.label} line {self.number}".strip()


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes | None, int]]:
    """Yield (line number from 1, byte offset, the line or None when too long, its size)."""
    offset = number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        size = len(line)
        kept: bytes | None = line
        if size > MAX_ROW_BYTES and not line.endswith(b"\n"):
            kept = None
            while more := file.readline(_PIECE):
                size += len(more)
                if more.endswith(b"\n"):
                    break
        yield number, offset, kept, size
        offset += size


def _item(
    place: _Place, line: bytes | None, size: int, fields: Mapping[str, str], modified: datetime
) -> SourceItem | Rejected:
    if line is None:
        return Rejected(id=place.name, reason=f"the row is larger than {MAX_ROW_BYTES >> 20} MiB: {size:,} bytes")
    row = _parse(line, place)
    if isinstance(row, Rejected):
        return row
    try:
        document = row_id(row, fields)
    except FieldProblem as problem:
        return Rejected(id=place.name, reason=str(problem))
    return SourceItem(
        id=document,
        etag=digest_of(line),
        path=place.label or document,
        modified=modified,
        size=size,
        row=row,
    )


def _parse(line: bytes, place: _Place) -> Mapping[str, Json] | Rejected:
    body = line.removeprefix(b"\xef\xbb\xbf") if place.number == 1 else line
    skipped = len(line) - len(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        where = place.offset + skipped + error.start
        return Rejected(id=place.name, reason=f"is not UTF-8: byte 0x{body[error.start]:02x} at offset {where:,}")
    if not text.strip():
        return Rejected(id=place.name, reason="the row is empty")
    try:
        row = _decoder.decode(text)
    except msgspec.DecodeError as error:
        return Rejected(id=place.name, reason=f"is not JSON: {error}")
    except RecursionError:
        return Rejected(id=place.name, reason="is nested too deeply")
    if not isinstance(row, dict):
        return Rejected(id=place.name, reason="is not a JSON object")
    return row
