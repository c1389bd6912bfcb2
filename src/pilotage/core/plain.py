"""Records as plain JSON values, so that they can be digested: the same record gives the same value in every process.

Fail mode: a value without a plain form is written as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum

from pilotage.core.canonical import Json


def plain(value: object) -> Json:
    """Return a record, or any value inside one, with mappings sorted by name and sets by text."""
    match value:
        case StrEnum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(value[key]) for key in sorted(value, key=str)}
        case tuple() | list():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted(str(plain(item)) for item in value)
        case _ if is_dataclass(value):
            return {
                one.name: plain(getattr(value, one.name)) for one in sorted(fields(value), key=lambda one: one.name)
            }
    return str(value)
