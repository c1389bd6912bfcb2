"""Our own search finds a secret in any part, names its place, and never repeats the secret."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.evidence.own_secrets import MOST_LISTED, search_parts, secrets_reading
from pilotage.evidence.read import READ_BY, read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
RELEASE = digest_of(b"release")
KEY = "AKIA" + "Z7Q2MX9AB4CD3EF1"


def outcome(report: Json) -> Reading | ReadRefusal:
    return read_evidence(json.dumps(report).encode(), kind=None, name="secrets.json", context=ReadContext())


def test_a_planted_key_is_found_in_its_part_and_line_and_not_repeated() -> None:
    parts = {"prompt": {"prompt.md": f"first line\naws_access_key_id = {KEY}\n".encode()}, "model": {"m": b"clean"}}
    report = search_parts(parts, release=RELEASE, at=NOW)
    assert KEY not in json.dumps(report)
    reading = outcome(report)
    assert isinstance(reading, Reading), reading
    assert reading.kind == "scan.secrets"
    assert reading.claims == {"verified": 0, "unverified": 1, "files_scanned": 2}
    assert (reading.findings[0].component, reading.findings[0].location) == ("prompt", "prompt.md:2")
    assert reading.refs["release"] == RELEASE
    assert reading.produced_at == NOW


def test_parts_without_a_secret_give_a_clean_result_over_the_text_files() -> None:
    report = search_parts({"a": {"t": b"hello", "b": b"\xff\xfe\x00"}}, release=RELEASE, at=NOW)
    reading = outcome(report)
    assert isinstance(reading, Reading)
    assert reading.claims == {"verified": 0, "unverified": 0, "files_scanned": 1}


def test_a_private_key_over_several_lines_is_found() -> None:
    body = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7" for _ in range(8))
    text = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    report = search_parts({"a": {"t": text.encode()}}, release=RELEASE, at=NOW)
    assert report["findings"]


def test_nothing_scanned_is_empty_and_a_verified_secret_counts_as_such() -> None:
    refused = outcome(search_parts({}, release=RELEASE, at=NOW))
    assert isinstance(refused, ReadRefusal)
    assert refused.reason.code == "EV_EMPTY"
    one: Json = {"part": "p", "path": "f", "line": 1, "type": "SECRET", "verified": True}
    reading = outcome({"pilotage": "secrets/1", "files_scanned": 1, "findings": [one]})
    assert isinstance(reading, Reading)
    assert reading.claims == {"verified": 1, "unverified": 0, "files_scanned": 1}


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ({"pilotage": "secrets/2", "files_scanned": 1, "findings": []}, "EV_UNSUPPORTED"),
        ({"pilotage": "secrets/1", "files_scanned": "1", "findings": []}, "EV_MALFORMED"),
        ({"pilotage": "secrets/1", "files_scanned": 1, "findings": [KEY]}, "EV_MALFORMED"),
    ],
)
def test_a_report_of_another_form_is_refused(report: Json, code: str) -> None:
    refused = outcome(report)
    assert isinstance(refused, ReadRefusal)
    assert refused.reason.code == code


def test_our_own_reading_is_what_the_readers_make_of_the_file_however_much_was_found() -> None:
    lines = "".join(f"key{n} = {KEY}\n" for n in range(MOST_LISTED + 1))
    report = search_parts({"prompt": {"p": lines.encode()}}, release=RELEASE, at=NOW)
    reading = secrets_reading(report)
    read = outcome(report)
    assert isinstance(read, Reading)
    assert reading == replace(read, refs={name: value for name, value in read.refs.items() if name != READ_BY})
    assert len(reading.findings) == reading.claims["unverified"] == MOST_LISTED
