"""Request bodies as strict JSON: UTF-8, depth <= 32, no duplicate keys, no NaN, no lone surrogates (serving.md 1.1.5).

Fail mode: InvalidJsonError with the byte offset of the mistake.
"""

from __future__ import annotations

import json
import re

from pilotage.core.canonical import Json

MAX_DEPTH = 32

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class InvalidJsonError(ValueError):
    """The body is not strict JSON; `offset` counts bytes from 0."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"The body is not valid JSON at byte {offset}: {what}.")
        self.offset = offset


class _DuplicateError(ValueError):
    pass


def decode(data: bytes) -> Json:
    """Return the value of `data`, or raise InvalidJsonError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJsonError("this is not UTF-8", error.start) from None
    try:
        value: Json = _decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJsonError(error.msg.lower(), len(text[: error.pos].encode())) from None
    except (_DuplicateError, RecursionError):
        raise _locate(text) from None
    except ValueError:  # NaN, or an integer of thousands of digits
        match = re.search(r"NaN|-?Infinity|[0-9]{4000}", text)
        raise InvalidJsonError(
            "this number is not allowed", len(text[: match.start() if match else 0].encode())
        ) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise _locate(text)
    if "\\u" in text and _has_surrogate(value):
        raise InvalidJsonError("a string holds half of a surrogate pair", len(text[: text.index("\\u")].encode()))
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateError
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(name)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in _TOKEN.findall(text):
        if sign in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "}]":
            depth -= 1
    return deepest


def _locate(text: str) -> InvalidJsonError:
    """Find the first key that stands twice, or the bracket that goes too deep; only run for a body that has one."""
    stack: list[set[str]] = []
    last: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        sign = token.group()
        if sign in "{[":
            stack.append(set())
            if len(stack) > MAX_DEPTH:
                return InvalidJsonError(f"nested deeper than {MAX_DEPTH}", len(text[: token.start()].encode()))
        elif sign in "}]":
            stack.pop()
        elif sign == ":" and last is not None:
            name = json.loads(last.group())
            if name in stack[-1]:
                return InvalidJsonError("this key stands twice", len(text[: last.start()].encode()))
            stack[-1].add(name)
        last = token if sign[0] == '"' else last
    return InvalidJsonError("nested too deeply", 0)


def _has_surrogate(value: Json) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogate(name) or _has_surrogate(item) for name, item in value.items())
    if isinstance(value, list):
        return any(_has_surrogate(item) for item in value)
    return False
