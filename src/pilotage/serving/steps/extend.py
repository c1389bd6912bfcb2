"""From one step's record to the next: the same parts, and the new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from pilotage.serving.context import Received

Next = TypeVar("Next", bound=Received)
_Put: TypeAlias = "Callable[[object, object], None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How to make a `target` from a `source`: what is kept, how each part is put in, which parts must be given."""

    read: Callable[[Received], tuple[object, ...]]
    keep: tuple[_Put, ...]
    add: dict[str, _Put]


_plans: dict[tuple[type, type], _Plan] = {}


def _plan(source: type[Received], target: type[Received]) -> _Plan:
    found = _plans.get((source, target))
    if found is None:
        names = [field.name for field in fields(source)]
        puts: dict[str, _Put] = {field.name: getattr(target, field.name).__set__ for field in fields(target)}
        found = _plans[source, target] = _Plan(
            read=attrgetter(*names),
            keep=tuple(puts[name] for name in names),
            add={name: put for name, put in puts.items() if name not in names},
        )
    return found


def extend(context: Received, kind: type[Next], **parts: Any) -> Next:  # noqa: ANN401 - one signature for every step
    """Return `kind` with every part of `context` and the given ones; a missing or unknown part is a TypeError.

    The parts are put straight into the slots: copying twenty of them through a constructor nine times a request would
    cost more than the steps themselves.
    """
    plan = _plan(type(context), kind)
    if parts.keys() != plan.add.keys():
        message = f"{kind.__name__} needs the parts {sorted(plan.add)}, not {sorted(parts)}."
        raise TypeError(message)
    made = object.__new__(kind)
    for put, value in zip(plan.keep, plan.read(context), strict=True):
        put(made, value)
    for name, value in parts.items():
        plan.add[name](made, value)
    return made
