"""Every file of an export has one spelling; any other is refused with file and line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.ledger.checkpoint import Checkpoint, Signature, SignedCheckpoint, VerifierKey
from pilotage.ledger.export_format import (
    FileNote,
    FormatError,
    Kind,
    Manifest,
    disclosed_line,
    entry_line,
    keys_bytes,
    note_line,
    parse_disclosed_line,
    parse_entry_line,
    parse_keys,
    parse_manifest,
    parse_note_line,
)
from pilotage.ledger.verify import DisclosedField, LogEntry

HASHES = st.binary(min_size=32, max_size=32)
KEY = VerifierKey(name="ledger.bank", public=bytes(32))
NOTE = SignedCheckpoint(
    checkpoint=Checkpoint(origin="ledger.bank", size=3, root=bytes(32)),
    signatures=(Signature(name="ledger.bank", key_id=b"abcd", signature=bytes(64)),),
)
MANIFEST = Manifest(
    kind=Kind.FULL,
    origin="ledger.bank",
    size=3,
    root=bytes(32),
    files={"entries.jsonl": FileNote(sha256=Digest("sha256:" + "0" * 64), size=9)},
)


@given(st.integers(0, 10**17), HASHES, st.binary(max_size=200), st.lists(HASHES, max_size=5))
def test_an_entry_line_reads_back(seq: int, hashed: bytes, data: bytes, proof: list[bytes]) -> None:
    entry = LogEntry(seq, hashed, data, tuple(proof))
    assert parse_entry_line(entry_line(entry), 1) == entry


@given(st.integers(0, 2**53 - 1), st.text("abc"), HASHES, st.text("xyz\n\"'"))
def test_a_disclosed_line_reads_back(seq: int, name: str, salt: bytes, value: str) -> None:
    item = DisclosedField(seq, name, salt, value)
    assert parse_disclosed_line(disclosed_line(item), 1) == item


def test_notes_keys_and_manifest_read_back() -> None:
    assert parse_note_line(note_line(NOTE), 1) == NOTE
    assert parse_keys(keys_bytes((KEY,))) == (KEY,)
    assert parse_manifest(MANIFEST.as_bytes()) == MANIFEST


GOOD_LINE = entry_line(LogEntry(7, bytes(32), b"data"))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}\n",
        GOOD_LINE[:-1],
        GOOD_LINE.replace(b":7}", b":07}"),
        GOOD_LINE.replace(b"ZGF0YQ==", b"ZGF0YQ="),
        GOOD_LINE.replace(b"ZGF0YQ==", b"ZGF0Y==="),
        GOOD_LINE.replace(b'"seq"', b'"proof":["x"],"seq"'),
    ],
)
def test_a_damaged_entry_line_is_refused_with_its_number(line: bytes) -> None:
    with pytest.raises(FormatError, match=r"entries\.jsonl:12"):
        parse_entry_line(line, 12)


def changed(**fields: Json) -> bytes:
    note: dict[str, Json] = {"sha256": "sha256:" + "0" * 64, "size": 9}
    value: dict[str, Json] = {
        "format": "pilotage.ledger-export/1",
        "kind": "full",
        "origin": "ledger.bank",
        "size": 3,
        "root": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "files": {"entries.jsonl": note},
    }
    return canonical_bytes({**value, **fields})


def test_the_manifest_s_fields_are_these() -> None:
    assert changed() == MANIFEST.as_bytes()


def line_of(value: Json) -> bytes:
    return canonical_bytes(value) + b"\n"


Parse = Callable[[bytes], object]


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (lambda data: parse_disclosed_line(data, 1), b"{}\n"),
        (lambda data: parse_disclosed_line(data, 1), b"x\n"),
        (lambda data: parse_disclosed_line(data, 1), b"[]\n"),
        (lambda data: parse_disclosed_line(data, 1), line_of({"seq": True})),
        (lambda data: parse_disclosed_line(data, 1), line_of({"seq": 1, "salt": "!"})),
        (lambda data: parse_disclosed_line(data, 1), line_of({"seq": 1, "salt": "", "field": "a", "value": 3})),
        (lambda data: parse_note_line(data, 1), line_of({"note": "x"})),
        (lambda data: parse_note_line(data, 1), note_line(NOTE)[:-1]),
        (parse_keys, b"{}"),
        (parse_keys, canonical_bytes({"keys": ["x"]})),
        (parse_manifest, changed(format="other/1")),
        (parse_manifest, changed(kind="half")),
        (parse_manifest, changed(size=True)),
        (parse_manifest, changed(size="3")),
        (parse_manifest, changed(files=[])),
        (parse_manifest, changed(files={"a": 1})),
        (parse_manifest, changed(files={"a": {"size": "x"}})),
        (parse_manifest, changed(root="!")),
        (parse_manifest, changed(more=1)),
        (parse_manifest, changed() + b"\n"),
    ],
)
def test_anything_else_is_refused(parse: Parse, data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data)
