"""Which release answers an asker: pins, then cohort, then a sticky hash (rollouts.md 3.1, 3.2).

A higher fraction only adds principals, a new salt draws anew, and the same id always lands in the same place. Fail
mode: an empty id is an error, never "stable by default".
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

PPM = 1_000_000


class Arm(StrEnum):
    """Which release of the routing row answers. Shadow is never visible to an asker."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Who may meet the candidate: everybody, or the members of these groups. The default is nobody."""

    everybody: bool = False
    groups: frozenset[str] = frozenset()

    def has(self, groups: frozenset[str]) -> bool:
        """Tell whether a principal with these groups is eligible."""
        return self.everybody or not self.groups.isdisjoint(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a row divides its askers. `fraction_ppm` is the candidate's share of the cohort, in millionths."""

    salt: str = ""
    fraction_ppm: int = 0
    cohort: Cohort = Cohort()
    pins: Mapping[str, Arm] = field(default_factory=dict)


def bucket(salt: str, principal: str) -> int:
    """Return 0..999,999 for a principal id under a salt; ids are compared in Unicode NFC."""
    if not principal:
        message = "An empty principal id cannot be assigned to a release."
        raise ValueError(message)
    text = f"pilotage-assign-v1\n{salt}\n{unicodedata.normalize('NFC', principal)}"
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") * PPM) >> 64


def assign(split: Split, *, principal: str, groups: frozenset[str]) -> Arm:
    """Return the arm of a principal. Pins are for testers and come first; the candidate needs cohort and hash."""
    if not principal:
        message = "An empty principal id cannot be assigned to a release."
        raise ValueError(message)
    pinned = split.pins.get(principal)
    if pinned is not None:
        return pinned
    if split.fraction_ppm <= 0 or not split.cohort.has(groups):
        return Arm.STABLE
    return Arm.CANDIDATE if bucket(split.salt, principal) < split.fraction_ppm else Arm.STABLE
