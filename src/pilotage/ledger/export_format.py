"""The files of a ledger export, byte for byte: lines of entries and disclosures, the keys and the manifest.

entries.jsonl      {"bytes":base64,"hash":base64,"seq":n} per line, in extracts with "proof":[base64...] before "seq"
disclosed.jsonl    {"field":...,"salt":base64,"seq":n,"value":...} per line, ordered by seq
keys.json          {"keys":[verifier key...]}            manifest.json   format, kind, origin, size, root, files
checkpoints/newest.txt      the newest checkpoint, a C2SP signed note that public tools verify as it is
checkpoints/history.jsonl   {"note":...} per line, every checkpoint, smallest first
anchors/published.jsonl     where each checkpoint was published

All of it canonical JSON, so that one content has one spelling and a changed byte cannot hide; the manifest's fields are
all checked against the rest. Fail mode: FormatError naming file and line; a half-read export is never a verified one.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage.core.canonical import CanonicalError, Json, canonical_bytes, parse_json
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.ledger.checkpoint import NoteError, SignedCheckpoint, VerifierKey, parse_note, parse_verifier_key
from pilotage.ledger.verify import DisclosedField, LogEntry

FORMAT: Final = "pilotage.ledger-export/1"
ENTRIES: Final = "entries.jsonl"
DISCLOSED: Final = "disclosed.jsonl"
KEYS: Final = "keys.json"
MANIFEST: Final = "manifest.json"
PUBLISHED: Final = "anchors/published.jsonl"
NEWEST: Final = "checkpoints/newest.txt"
HISTORY: Final = "checkpoints/history.jsonl"
MAX_LINE: Final = 131_072

_LINE = re.compile(
    rb'\{"bytes":"([A-Za-z0-9+/]*={0,2})","hash":"([A-Za-z0-9+/]{43}=)",'
    rb'(?:"proof":\[((?:"[A-Za-z0-9+/]{43}="(?:,(?="))?)*)\],)?"seq":(0|[1-9][0-9]{0,17})\}\n'
)


class Kind(StrEnum):
    """A whole log, or chosen entries with their proofs."""

    FULL = "full"
    EXTRACT = "extract"


class FormatError(UsageError):
    """The export cannot be read: truncated, damaged, or of another format."""

    def __init__(self, message: str) -> None:
        super().__init__("LEDGER_EXPORT", message, hint="Get the export again from its source.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """What the manifest says of one file."""

    sha256: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The export as a whole. `size` and `root` are the newest checkpoint's, `files` maps path to digest and size."""

    kind: Kind
    origin: str
    size: int
    root: bytes
    files: Mapping[str, FileNote]

    def as_bytes(self) -> bytes:
        """Return the manifest's one spelling."""
        files: dict[str, Json] = {path: {"sha256": note.sha256, "size": note.size} for path, note in self.files.items()}
        return canonical_bytes(
            {
                "format": FORMAT,
                "kind": self.kind.value,
                "origin": self.origin,
                "size": self.size,
                "root": _text_of(self.root),
                "files": files,
            }
        )


def entry_line(entry: LogEntry) -> bytes:
    """Write one line of entries.jsonl."""
    proof = b""
    if entry.proof:
        proof = b'"proof":[%s],' % b",".join(b'"%s"' % _encode(step) for step in entry.proof)
    return b'{"bytes":"%s","hash":"%s",%s"seq":%d}\n' % (_encode(entry.data), _encode(entry.hash), proof, entry.seq)


def parse_entry_line(line: bytes, number: int) -> LogEntry:
    """Read one line of entries.jsonl; `number` counts from 1."""
    match = _LINE.fullmatch(line)
    if match is None:
        message = f"{ENTRIES}:{number}: the line is not an entry, or cut short."
        raise FormatError(message)
    data, hashed, proof, seq = match.groups()
    try:
        steps = (
            tuple(binascii.a2b_base64(step.strip(b'"'), strict_mode=True) for step in proof.split(b","))
            if proof
            else ()
        )
        return LogEntry(
            int(seq), binascii.a2b_base64(hashed, strict_mode=True), binascii.a2b_base64(data, strict_mode=True), steps
        )
    except binascii.Error as error:
        message = f"{ENTRIES}:{number}: {error}."
        raise FormatError(message) from None


def disclosed_line(item: DisclosedField) -> bytes:
    """Write one line of disclosed.jsonl."""
    fields: dict[str, Json] = {
        "field": item.field,
        "salt": _text_of(item.salt),
        "seq": item.seq,
        "value": item.value,
    }
    return canonical_bytes(fields) + b"\n"


def parse_disclosed_line(line: bytes, number: int) -> DisclosedField:
    """Read one line of disclosed.jsonl; `number` counts from 1."""
    where = f"{DISCLOSED}:{number}"
    value = _object(line.removesuffix(b"\n"), where)
    seq = value.get("seq")
    if isinstance(seq, bool) or not isinstance(seq, int):
        message = f"{where}: there is no seq."
        raise FormatError(message)
    item = DisclosedField(seq, str(value.get("field")), _raw(value.get("salt"), where), str(value.get("value")))
    if disclosed_line(item) != line:
        message = f"{where}: the line is not a disclosure, or cut short."
        raise FormatError(message)
    return item


def keys_bytes(keys: tuple[VerifierKey, ...]) -> bytes:
    """Write keys.json."""
    return canonical_bytes({"keys": [str(key) for key in keys]})


def parse_keys(data: bytes) -> tuple[VerifierKey, ...]:
    """Read keys.json."""
    found = _object(data, KEYS).get("keys")
    if not isinstance(found, list):
        message = f"{KEYS}: there is no list of keys."
        raise FormatError(message)
    try:
        return tuple(parse_verifier_key(str(text)) for text in found)
    except NoteError as error:
        message = f"{KEYS}: {error}"
        raise FormatError(message) from None


def note_line(note: SignedCheckpoint) -> bytes:
    """Write one line of checkpoints/history.jsonl."""
    return canonical_bytes({"note": note.note().decode()}) + b"\n"


def parse_note_line(line: bytes, number: int) -> SignedCheckpoint:
    """Read one line of checkpoints/history.jsonl; `number` counts from 1."""
    where = f"{HISTORY}:{number}"
    note = parse_checkpoint(where, str(_object(line.removesuffix(b"\n"), where).get("note")).encode())
    if note_line(note) != line:
        message = f"{where}: the line is not a checkpoint, or cut short."
        raise FormatError(message)
    return note


def parse_checkpoint(where: str, data: bytes) -> SignedCheckpoint:
    """Read a signed checkpoint; FormatError naming the place when it is none."""
    try:
        return parse_note(data)
    except NoteError as error:
        message = f"{where}: {error}"
        raise FormatError(message) from None


def parse_manifest(data: bytes) -> Manifest:
    """Read manifest.json."""
    value = _object(data, MANIFEST)
    if value.get("format") != FORMAT:
        message = f"{MANIFEST}: the format is not {FORMAT}."
        raise FormatError(message)
    files, size = value.get("files"), value.get("size")
    if not isinstance(files, Mapping) or isinstance(size, bool) or not isinstance(size, int):
        message = f"{MANIFEST}: files or size are missing."
        raise FormatError(message)
    try:
        manifest = Manifest(
            kind=Kind(str(value.get("kind"))),
            origin=str(value.get("origin")),
            size=size,
            root=_raw(value.get("root"), MANIFEST),
            files={path: _file_note(note) for path, note in files.items()},
        )
    except ValueError as error:
        message = f"{MANIFEST}: {error}."
        raise FormatError(message) from None
    if manifest.as_bytes() != data:
        message = f"{MANIFEST}: it is not spelled canonically."
        raise FormatError(message)
    return manifest


def _file_note(value: Json) -> FileNote:
    if not isinstance(value, Mapping) or not isinstance(size := value.get("size"), int):
        message = f"{MANIFEST}: a file has no digest and size."
        raise FormatError(message)
    return FileNote(sha256=Digest(str(value.get("sha256"))), size=size)


def _object(data: bytes, where: str) -> Mapping[str, Json]:
    try:
        value = parse_json(data)
    except CanonicalError as error:
        message = f"{where}: {error}"
        raise FormatError(message) from None
    if not isinstance(value, Mapping):
        message = f"{where}: there is no object."
        raise FormatError(message)
    return value


def _encode(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _text_of(data: bytes) -> str:
    return _encode(data).decode()


def _raw(value: Json, where: str) -> bytes:
    try:
        return binascii.a2b_base64(str(value), strict_mode=True)
    except ValueError as error:
        message = f"{where}: {error}."
        raise FormatError(message) from None
