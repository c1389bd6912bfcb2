"""From one step's record to the next: the same parts, and the new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from pilotage.serving.context import Received

Next = TypeVar("Next", bound=Received)


_Reader: TypeAlias = "tuple[tuple[str, ...], Callable[[Received], tuple[object, ...]]]"
_readers: dict[type, _Reader] = {}


def _reader(kind: type[Received]) -> _Reader:
    found = _readers.get(kind)
    if found is None:
        names = tuple(field.name for field in fields(kind))
        found = _readers[kind] = (names, attrgetter(*names))
    return found


def extend(context: Received, kind: type[Next], **parts: Any) -> Next:  # noqa: ANN401 - checked by the record itself
    """Return `kind` with every part of `context` and the given ones; a missing part is a TypeError at once."""
    names, read = _reader(type(context))
    kept: dict[str, Any] = dict(zip(names, read(context), strict=True))
    return kind(**kept, **parts)
