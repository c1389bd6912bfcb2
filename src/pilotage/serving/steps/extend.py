"""From one step's record to the next: the same parts, and the new ones."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from pilotage.serving.context import Asker, Received

Next = TypeVar("Next", bound=Received)
Same = TypeVar("Same", bound="Received | Asker")

_added: dict[tuple[type, type], frozenset[str]] = {}


def _new_parts(source: type[Received], target: type[Received]) -> frozenset[str]:
    """Return the parts that `target` has and `source` has not; raise TypeError when it is the other way round."""
    found = _added.get((source, target))
    if found is None:
        old, new = ({field.name for field in fields(kind)} for kind in (source, target))
        if old - new:
            message = f"{target.__name__} has no place for the parts {sorted(old - new)} of {source.__name__}."
            raise TypeError(message)
        found = _added[source, target] = frozenset(new - old)
    return found


def extend(context: Received, kind: type[Next], **parts: Any) -> Next:  # noqa: ANN401 - one signature for every step
    """Return `kind` with every part of `context` and the given ones; a missing or unknown part is a TypeError.

    The parts are taken over at once: passing twenty of them through a constructor nine times a request would cost more
    than the steps themselves.
    """
    added = _new_parts(type(context), kind)
    if parts.keys() != added:
        message = f"{kind.__name__} needs the parts {sorted(added)}, not {sorted(parts)}."
        raise TypeError(message)
    made = object.__new__(kind)
    made.__dict__.update(context.__dict__)
    made.__dict__.update(parts)
    return made


def changed(record: Same, **parts: Any) -> Same:  # noqa: ANN401 - as in `extend`
    """Return the record with other values for some of its parts; a part it does not have is a TypeError."""
    held = record.__dict__
    if not held.keys() >= parts.keys():
        message = f"{type(record).__name__} has no part {sorted(parts.keys() - held.keys())}."
        raise TypeError(message)
    made = object.__new__(type(record))
    made.__dict__.update(held)
    made.__dict__.update(parts)
    return made
