"""The closed words of gates: statuses in their order, decisions, halves, and levels of risk (gates.md 4).

Fail mode: a word outside the list does not construct.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class GateStatus(StrEnum):
    """The statuses of gates.md 4.1, in the order in which they are found."""

    BLOCKED = "blocked"
    REJECTED = "rejected"
    COLLECTING = "collecting"
    EXPIRED = "expired"
    STALE = "stale"
    IN_REVIEW = "in_review"
    READY = "ready"
    APPROVED = "approved"
    APPROVED_WITH_RISK_ACCEPTANCE = "approved_with_risk_acceptance"

    @property
    def is_approved(self) -> bool:
        """Tell whether the gate may be passed."""
        return self in {GateStatus.APPROVED, GateStatus.APPROVED_WITH_RISK_ACCEPTANCE}


class VoteDecision(StrEnum):
    """What a voter says. Abstaining is not approving."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"


def said(decision: str) -> str:
    """Return a decision as a sentence says it of somebody: `approve` is "approved"; another word stays as it is."""
    return _SAID.get(decision, decision)


_SAID: Final[Mapping[str, str]] = MappingProxyType(
    {VoteDecision.APPROVE: "approved", VoteDecision.REJECT: "rejected", VoteDecision.ABSTAIN: "abstained"}
)


class Half(StrEnum):
    """`pre` authorises; `post` confirms after the first traffic, or rolls back."""

    PRE = "pre"
    POST = "post"


class RiskLevel(StrEnum):
    """How severe an accepted risk is, in rising order. Nobody may accept a critical one."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return _RISK_ORDER[self]


_RISK_ORDER: Final = {level: place for place, level in enumerate(RiskLevel)}
