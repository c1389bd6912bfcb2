"""`remembered`: what a pure function made of declared records is kept, by their identity.

A workspace's records are frozen and live as long as their workspace, so a digest of one is made once and not for every
page. Rule: only for functions of records that nobody changes. Fail mode: a record that is loaded anew is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

Made = TypeVar("Made")

MOST: Final = 4_096
"""Results one function keeps; over it, it begins anew."""


def remembered(function: Callable[..., Made]) -> Callable[..., Made]:
    """Return the function with a memory. Its records are kept with the result, so an identity is never another's."""
    known: dict[tuple[int, ...], tuple[tuple[object, ...], Made]] = {}

    @wraps(function)
    def look(*records: object) -> Made:
        key = tuple(map(id, records))
        found = known.get(key)
        if found is None:
            if len(known) >= MOST:
                known.clear()
            found = known[key] = (records, function(*records))
        return found[1]

    return look
