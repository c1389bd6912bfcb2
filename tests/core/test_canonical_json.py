"""Canonical JSON is RFC 8785, byte for byte, and refuses what has no canonical form."""

from __future__ import annotations

import math
import struct

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import CanonicalError, Form, Json, canonical_bytes, parse_json
from pilotage.core.digest import digest_of_json, parse_digest, raw
from pilotage.core.errors import UsageError

SAFE = 2**53 - 1
_text = st.text(st.characters(exclude_categories=["Cs"]))
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_text, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e21, "1e+21"), (1e-7, "1e-7"), (-0.0, "0"), (1.0, "1"), (0.000001, "0.000001"), (1e20, "1" + "0" * 20)],
)
def test_numbers_are_written_as_ecmascript_does(number: float, text: str) -> None:
    assert canonical_bytes(number) == text.encode()


def test_keys_are_ordered_by_utf16_code_units() -> None:
    assert canonical_bytes({"\ufb33": 1, "\U0001f600": 2}, form=Form.PLAIN) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@given(_json)
def test_hash_equals_an_independent_implementation(value: Json) -> None:
    assert canonical_bytes(value, form=Form.PLAIN) == rfc8785.dumps(value)


@given(st.binary(min_size=8, max_size=8))
def test_every_double_is_written_as_the_independent_implementation_writes_it(data: bytes) -> None:
    (number,) = struct.unpack("<d", data)
    if math.isfinite(number):
        assert canonical_bytes(number) == rfc8785.dumps(number)


_readable = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(-SAFE, SAFE) | _text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_text, inner, max_size=5),
    max_leaves=20,
)


@given(_readable)
def test_what_was_written_reads_back_equal(value: Json) -> None:
    assert parse_json(canonical_bytes(value, form=Form.PLAIN)) == value


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), math.nan, math.inf, "\ud800", "e\u0301", {"e\u0301": 1}, {1: 2}, b"bytes", object()],
)
def test_a_value_without_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical_bytes(value)  # type: ignore[arg-type]


def test_a_ledger_entry_holds_no_fraction() -> None:
    assert canonical_bytes({"n": 1}, form=Form.ENTRY) == b'{"n":1}'
    with pytest.raises(CanonicalError, match="decimal string"):
        canonical_bytes({"n": 0.5}, form=Form.ENTRY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":1,"a":2}', "stands twice"),
        (b'{"a":NaN}', "NaN"),
        (b'"\xff"', "byte 1 is not UTF-8"),
        (b'{"a":}', "byte 5"),
        (b"[" * 200 + b"]" * 200, "too deeply"),
        (b"[" * 200_000, "too deeply"),
    ],
)
def test_bytes_that_are_not_strict_json_are_refused_with_the_place(data: bytes, message: str) -> None:
    with pytest.raises(CanonicalError, match=message):
        parse_json(data)


def test_a_value_nested_without_end_is_refused_not_crashed_on() -> None:
    value: Json = 1
    for _ in range(150):
        value = [value]
    with pytest.raises(CanonicalError, match="too deeply"):
        canonical_bytes(value)


def test_a_digest_has_one_written_form() -> None:
    digest = digest_of_json({"a": 1})
    assert parse_digest(digest) == digest
    assert len(raw(digest)) == 32
    for wrong in (digest.upper(), digest[7:], digest + "0", "md5:abc"):
        with pytest.raises(UsageError, match="sha256"):
            parse_digest(wrong)
