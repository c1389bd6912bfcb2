"""Canonical JSON (RFC 8785, JCS) and the strict JSON parser behind every digest.

Refused before hashing: NaN, infinities, integers beyond +-(2**53-1), duplicate keys, lone surrogates, unknown types.
`form` adds rules: RECORD (manifests, the default) also refuses strings not in NFC, ENTRY (the ledger) fractions as
well; PLAIN is RFC 8785 alone. Fail mode: an exception; nothing unhashable ever gets a digest.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import TypeAlias

import msgspec

from pilotage.core.errors import UsageError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Form(Enum):
    """How strict: RFC 8785 alone, with NFC strings, or with NFC strings and without fractions."""

    PLAIN = auto()
    RECORD = auto()
    ENTRY = auto()


MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 100


class CanonicalError(UsageError):
    """The value has no canonical form, or the bytes are not strict JSON."""

    def __init__(self, message: str) -> None:
        super().__init__("NOT_CANONICAL", message)


def canonical_bytes(value: Json, *, form: Form = Form.RECORD) -> bytes:
    """Return the RFC 8785 bytes of `value`; raise CanonicalError when it has none."""
    if _is_simple(value):
        # An encoder in C writes the same bytes as long as all of it is ASCII: keys then sort by UTF-16 units as they do
        # by code points, and NFC and surrogates are no question.
        try:
            data = _SIMPLE(value)
        except (TypeError, UnicodeEncodeError):
            data = b"\xff"  # a kind of text it does not know, or a lone surrogate: written, or refused, below
        if data.isascii():
            return data
    out: list[str] = []
    _write(value, out, form=form, depth=0)
    return "".join(out).encode("utf-8")


_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT = json.JSONEncoder(ensure_ascii=False).encode
_SIMPLE = msgspec.json.Encoder(order="deterministic").encode


_SCALARS = frozenset({str, bool, type(None)})
_STRINGS = frozenset({str})


def _is_simple(value: Json) -> bool:
    """Tell whether a value holds no fraction, no large integer, only string keys, and at most 100 containers."""
    stack: list[Iterable[object]] = [(value,)]
    containers = 0
    while stack:
        for item in stack.pop():
            kind = type(item)
            if kind in _SCALARS:
                continue
            if kind is int:
                if not -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:  # type: ignore[operator]
                    return False
                continue
            containers += 1
            if containers > MAX_DEPTH:
                return False
            if kind is dict and _STRINGS.issuperset(map(type, item)):  # type: ignore[call-overload]
                stack.append(item.values())  # type: ignore[attr-defined]
            elif kind is list or kind is tuple:
                stack.append(item)  # type: ignore[arg-type]
            elif not isinstance(item, str):
                return False
    return True


def in_nfc(value: Json) -> Json:
    """Return the value with every string and key of it in Unicode NFC: people's words as RECORD and ENTRY take them."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case Mapping():
            return {unicodedata.normalize("NFC", name): in_nfc(one) for name, one in value.items()}
        case Sequence():
            return [in_nfc(one) for one in value]
        case _:
            return value


def parse_json(data: bytes, *, max_depth: int = MAX_DEPTH) -> Json:
    """Parse strict JSON: UTF-8, no duplicate keys, no NaN or infinity, bounded depth."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8."
        raise CanonicalError(message) from None
    try:
        value: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise CanonicalError("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        message = f"Not JSON at byte {len(text[: error.pos].encode())}: {error.msg}."
        raise CanonicalError(message) from None
    except ValueError as error:
        raise CanonicalError(str(error)) from None
    _check_depth(value, max_depth)
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"Key {twice!r} stands twice in one object."
        raise CanonicalError(message)
    return found


def _no_constant(name: str) -> Json:
    message = f"{name} is not a JSON number."
    raise CanonicalError(message)


def _check_depth(value: Json, left: int) -> None:
    stack: list[tuple[Json, int]] = [(value, left)]
    while stack:
        item, room = stack.pop()
        if room < 0:
            raise CanonicalError("The JSON is nested too deeply.")
        if isinstance(item, Mapping):
            stack.extend((child, room - 1) for child in item.values())
        elif isinstance(item, Sequence) and not isinstance(item, str):
            stack.extend((child, room - 1) for child in item)


def _write(value: Json, out: list[str], *, form: Form, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CanonicalError("The value is nested too deeply.")
    if isinstance(value, str):
        out.append(_string(value, form))
    elif value is None or isinstance(value, bool):
        out.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int | float):
        out.append(_number(value, form=form))
    elif isinstance(value, Mapping):
        _write_object(value, out, form=form, depth=depth)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        out.append("[")
        for index, item in enumerate(value):
            out.append("," if index else "")
            _write(item, out, form=form, depth=depth + 1)
        out.append("]")
    else:
        message = f"A {type(value).__name__} has no JSON form."
        raise CanonicalError(message)


def _write_object(value: Mapping[str, Json], out: list[str], *, form: Form, depth: int) -> None:
    if any(not isinstance(name, str) for name in value):
        raise CanonicalError("Object keys must be strings.")
    out.append("{")
    # RFC 8785 3.2.3: keys in order of their UTF-16 code units, so U+1F600 sorts before U+FB33.
    encoded = [(_string(name, form), name) for name in value]
    for index, (text, name) in enumerate(sorted(encoded, key=lambda pair: pair[1].encode("utf-16-be"))):
        out.append(f"{',' if index else ''}{text}:")
        _write(value[name], out, form=form, depth=depth + 1)
    out.append("}")


def _string(value: str, form: Form) -> str:
    if not value.isascii():
        if _SURROGATE.search(value):
            raise CanonicalError("A string holds a lone surrogate.")
        if form is not Form.PLAIN and not unicodedata.is_normalized("NFC", value):
            message = f"The string {value[:40]!r} is not in Unicode NFC form."
            raise CanonicalError(message)
    return _TEXT(value)


def _number(value: float, *, form: Form) -> str:
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            message = f"{value} is beyond 2^53-1; write it as a string."
            raise CanonicalError(message)
        return str(value)
    if form is Form.ENTRY:
        raise CanonicalError("Fractions are not allowed here; write a decimal string.")
    if not math.isfinite(value):
        raise CanonicalError("NaN and infinity have no JSON form.")
    return _ecmascript(value)


def _ecmascript(value: float) -> str:
    """Format as ECMAScript Number::toString does (ECMA-262 6.1.6.1.20), from Python's shortest digits."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    size = len(digits)
    if size <= point <= 21:
        return sign + digits + "0" * (point - size)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    tail = f".{digits[1:]}" if size > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"
