"""What people at a gate want changed before they sign (D5.11): a task of the release's authors until it is answered.

Rule: a request decides nothing, as a reject does; it ends with the next release of other content, or by the word of
whoever asked. Fail mode: a request that nothing answered stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Reason
from pilotage.identity.roles import Role

LEAST_CHARACTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """One wish about a release. `answered_by`: the first release of other content that was sealed after it."""

    id: str
    release: Digest
    workflow: WorkflowName
    gate: str
    role: Role
    person: PersonId
    text: str
    at: datetime
    answered_by: Digest | None = None
    closed_at: datetime | None = None
    closed_reason: str = ""

    @property
    def state(self) -> str:
        """`open`; `closed` by whoever asked; `answered` by a newer release."""
        if self.closed_at is not None:
            return "closed"
        return "open" if self.answered_by is None else "answered"

    @property
    def is_open(self) -> bool:
        """Tell whether it waits for the authors."""
        return self.state == "open"

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "request": self.id,
            "release": self.release,
            "workflow": self.workflow,
            "gate": self.gate,
            "role": self.role.value,
            "person": self.person,
            "text": self.text,
            "at": to_text(self.at),
            "state": self.state,
            "answered_by": self.answered_by,
            "closed_at": None if self.closed_at is None else to_text(self.closed_at),
            "closed_reason": self.closed_reason,
        }


def closing_problem(one: ChangeRequest, person: PersonId | None) -> Reason | None:
    """Return why this person does not close it."""
    if person != one.person:
        text = f"{one.person} asked for this change and closes it; sealing the next release answers it as well."
        return Reason(code="NOT_PERMITTED", text=text, where=one.id)
    if not one.is_open:
        text = f"This request is {one.state} already."
        return Reason(code="CHANGE_CLOSED", text=text, where=one.id, observed=one.state)
    return None
