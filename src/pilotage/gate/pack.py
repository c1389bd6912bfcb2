"""The facts of a CAB pack (gates.md 6.1): one record, gathered by the machine, with nothing typed in.

Rule: what is not known stands there as `MISSING`, never blank, and its section is listed, so the board's gate sees it.
Fail mode: a section nobody gathered counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pilotage.core.canonical import Json, in_nfc

MISSING = "MISSING"


class Section(StrEnum):
    """The sections of a pack, in the order in which the board reads them."""

    OVERVIEW = "overview"
    JUSTIFICATION = "justification"
    ARCHITECTURE = "architecture"
    CHANGES = "changes"
    GATES = "gates"
    RISKS = "risks"
    ACCEPTANCES = "acceptances"
    ROLLOUT = "rollout"
    ROLLBACK = "rollback"
    COMMUNICATION = "communication"
    RESOURCES = "resources"
    SEATS = "seats"
    EXPIRING = "expiring"


def or_missing(value: Json) -> Json:
    """Return the value, or `MISSING` for nothing, an empty text, an empty list or an empty mapping."""
    if value is None or (isinstance(value, str | Sequence | Mapping) and not value):
        return MISSING
    return value


def assemble(head: Mapping[str, Json], sections: Mapping[Section, Json]) -> dict[str, Json]:
    """Return the facts record: head, every section in NFC, and the names of those in which something is missing."""
    whole = {section.value: in_nfc(sections.get(section, MISSING)) for section in Section}
    lacking = [name for name, value in whole.items() if _has_missing(value)]
    return {**{key: in_nfc(value) for key, value in head.items()}, "sections": whole, "sections_missing": lacking}


def missing_sections(facts: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the sections of a facts record in which something is missing; all of them when it does not say."""
    listed = facts.get("sections_missing")
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return tuple(section.value for section in Section)
    return tuple(str(name) for name in listed)


def _has_missing(value: Json) -> bool:
    match value:
        case str():
            return value == MISSING
        case Mapping():
            return any(_has_missing(one) for one in value.values())
        case Sequence():
            return any(_has_missing(one) for one in value)
        case _:
            return False
