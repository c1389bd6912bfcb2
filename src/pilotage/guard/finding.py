"""What a check found: which check, what kind, how often, what was done. Never the value itself.

Fail mode: a check that breaks and fails open becomes a finding `check_failed`; one that fails closed blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.guard.policy import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. `type` is the check's own kind (`US_SSN`), `where` a place without text (`message 2`)."""

    check: str
    type: str
    count: int
    action: Action
    where: str = ""

    def as_json(self) -> dict[str, str | int]:
        """Return the fields as answers and records carry them."""
        record: dict[str, str | int] = {
            "check": self.check,
            "type": self.type,
            "count": self.count,
            "action": str(self.action),
        }
        return record | ({"where": self.where} if self.where else {})
