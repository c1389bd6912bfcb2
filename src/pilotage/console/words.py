"""The fixed status words of the console, each with its look (console.md 1.2, 4.1).

Rule: a page prints a status through `Status` only, so no other word can appear. Fail mode: what is not known is
UNKNOWN, which never looks like success.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from pilotage.core.reason import Outcome


class Status(StrEnum):
    """Every word that judges something."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    MET = "MET"
    NOT_MET = "NOT MET"
    UNKNOWN = "UNKNOWN"
    STALE = "STALE"
    EXPIRED = "EXPIRED"

    @property
    def look(self) -> str:
        """Return the shape and colour class: go, nogo, hold, clock or unknown."""
        return _LOOKS[self]


_LOOKS = MappingProxyType(
    {
        Status.GO: "go",
        Status.MET: "go",
        Status.NO_GO: "nogo",
        Status.NOT_MET: "nogo",
        Status.EXPIRED: "nogo",
        Status.INCONCLUSIVE: "hold",
        Status.STALE: "clock",
        Status.UNKNOWN: "unknown",
    }
)

_CRITERIA = MappingProxyType(
    {Outcome.OK: Status.MET, Outcome.NOT_OK: Status.NOT_MET, Outcome.INCONCLUSIVE: Status.UNKNOWN}
)
_VERDICTS = MappingProxyType(
    {Outcome.OK: Status.GO, Outcome.NOT_OK: Status.NO_GO, Outcome.INCONCLUSIVE: Status.INCONCLUSIVE}
)


def criterion_status(outcome: Outcome) -> Status:
    """Return the word for one criterion."""
    return _CRITERIA[outcome]


def gate_status(state: str) -> Status:
    """Return the word for a gate's state as gates.md 4.1 names it; the state itself is printed beside it."""
    if state.startswith("approved"):
        return Status.MET
    return {"stale": Status.STALE, "expired": Status.EXPIRED, "unknown": Status.UNKNOWN}.get(state, Status.NOT_MET)
