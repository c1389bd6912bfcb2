"""Typed looks at JSON from outside: each gives a value of the wanted type or nothing, and never raises.

Rule: `true` is no number, a number in a string is one only where a format says so. Fail mode: empty or None, which
leaves a claim absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pilotage.core.canonical import Json


def as_map(value: Json) -> Mapping[str, Json]:
    """Return an object, or an empty one."""
    # A plain type first: the check against an abstract one costs ten times as much, once per value of a file.
    return value if isinstance(value, dict) or isinstance(value, Mapping) else {}  # noqa: SIM101


def as_list(value: Json) -> Sequence[Json]:
    """Return an array, or an empty one."""
    if isinstance(value, list):
        return value
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def as_text(value: Json) -> str:
    """Return a string without white space around it, or an empty one."""
    return value.strip() if isinstance(value, str) else ""


def as_number(value: Json) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def number_in(text: str | None) -> float | None:
    """Return the finite number a text holds (XML attribute, CSV cell), or None."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def maps_in(value: Json) -> Iterator[Mapping[str, Json]]:
    """Yield the objects of an array."""
    return (item for item in as_list(value) if isinstance(item, Mapping))


def at(value: Json, *path: str) -> Json:
    """Return the value at a path of keys, or None."""
    for key in path:
        value = as_map(value).get(key)
    return value
