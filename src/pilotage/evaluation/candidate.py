"""Candidates for a golden set: what was said to be wrong, or brought from elsewhere, until a steward decides.

Rule: `open -> accepted | rejected`; one without an asker in this workspace is `blocked` and can only be rejected, or
opened once there is one; one whose words a takedown removed can only be rejected. Candidates are in no file and gate
nothing. Fail mode: a row that the golden format refuses never becomes a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.ids import WorkflowName

OVERDUE = timedelta(days=14)
"""How long a candidate may wait before it is pointed out."""

NO_PERSONA = "no_equivalent_persona"
TAKEN_DOWN = "taken_down"
"""Its words quoted a document that was taken down, and are gone: it can only be rejected."""


class CandidateState(StrEnum):
    """Where a candidate stands."""

    OPEN = "open"
    BLOCKED = "blocked"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Origin(StrEnum):
    """Where a candidate comes from."""

    FEEDBACK = "feedback"
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One proposed row. `asked_by` are pseudonyms of who asked or brought it, none of whom may decide it.

    `sources` are interactions, or the imported case; `blocked_by` says why it cannot become a case yet.
    """

    id: str
    workflow: WorkflowName
    state: CandidateState
    origin: Origin
    row: Mapping[str, Json]
    sources: tuple[str, ...]
    asked_by: tuple[str, ...]
    blocked_by: str = ""
    at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str = ""
    golden: str = ""

    @property
    def question(self) -> str:
        """What is asked."""
        return str(self.row["question"])

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether it has waited too long for a decision."""
        return self.state in {CandidateState.OPEN, CandidateState.BLOCKED} and now - self.at >= OVERDUE


def equal_persona(allowed: str, personas: Mapping[str, str]) -> str | None:
    """Return the first persona, by name, whose allowed set has this fingerprint; None when none may see the same."""
    return next((name for name, fingerprint in sorted(personas.items()) if fingerprint == allowed), None)
