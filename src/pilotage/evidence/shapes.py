"""Strict looks at JSON of scanners: a part that decides what is counted must have the shape its format gives it.

Rule: absent and null are empty, but another type is refused, because skipping it could drop findings unseen. Fail
mode: `Unreadable` with EV_MALFORMED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_number
from pilotage.evidence.source import Unreadable


def listed(value: Json, where: str) -> Sequence[Json]:
    """Return an array; an empty one for null or nothing."""
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise Unreadable("EV_MALFORMED", f"{where} is no array.", observed=type(value).__name__, limit="array")


def objects(value: Json, where: str) -> Sequence[Mapping[str, Json]]:
    """Return an array of objects; an empty one for null or nothing."""
    return [mapped(item, f"{where}[{number}]", needed=True) for number, item in enumerate(listed(value, where))]


def mapped(value: Json, where: str, *, needed: bool = False) -> Mapping[str, Json]:
    """Return an object; an empty one for null or nothing, unless it is needed."""
    if value is None and not needed:
        return {}
    if isinstance(value, dict):
        return value
    raise Unreadable("EV_MALFORMED", f"{where} is no object.", observed=type(value).__name__, limit="object")


def count_of(value: Json, where: str) -> int | None:
    """Return a stated total: a whole number of at least 0, None when it is absent."""
    if value is None:
        return None
    number = as_number(value)
    if number is None or number < 0 or number != int(number):
        raise Unreadable("EV_MALFORMED", f"{where} is no count.", observed=str(value)[:40], limit="whole number")
    return int(number)


def check_total(counted: int, stated: int | None, what: str) -> None:
    """Refuse a stated total that disagrees with what the file holds."""
    if stated is not None and stated != counted:
        raise Unreadable(
            "EV_INCONSISTENT",
            f"The file states {stated} {what} and holds {counted}.",
            observed=f"{counted}",
            limit=f"{stated}",
        )
