"""What deciding returns (gates.md 4): criteria with their numbers, sign-offs, and what a vote given now would bind.

Rule: command, API, page and ledger render the same report. Fail mode: none; a report is a value.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Outcome, Reason
from pilotage.evidence.records import Severity
from pilotage.gate.binding import bind_of
from pilotage.gate.records import Bound
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.gate.wording import capital, kind_words
from pilotage.identity.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of a criterion on what was observed. `kind` is the evidence kind looked at.

    `series`: the space and suite of the one item looked at; empty: all items of the kind together. `asks`: what is
    looked for, in words.
    """

    kind: str
    condition: str
    outcome: Outcome
    observed: str | None
    limit: str | None
    reason: Reason | None = None
    evidence: tuple[str, ...] = ()
    is_expiry: bool = False
    series: str = ""
    asks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One criterion. `state` is ok, not_ok, inconclusive, missing or n/a; `accepted_by` names an acceptance.

    `findings` are those that the conditions which do not hold are about.
    """

    id: str
    state: str
    outcome: Outcome
    checks: tuple[Check, ...]
    accept: str
    accepted_by: str | None = None
    missing: tuple[str, ...] = ()
    severity: Severity | None = None
    is_fact: bool = False
    findings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether the criterion is met or covered."""
        return self.outcome is Outcome.OK or self.accepted_by is not None

    @property
    def looks_for(self) -> str:
        """Return in a sentence what it looks for; "" where nothing was checked."""
        kinds = ", ".join(dict.fromkeys(kind_words(check.kind) for check in self.checks))
        wanted = "; ".join(dict.fromkeys(check.asks for check in self.checks if check.asks))
        return f"{capital(kinds)}: {wanted}." if wanted else ""

    @property
    def is_only_expired(self) -> bool:
        """Tell whether nothing but age stands against it."""
        bad = [check for check in self.checks if check.outcome is not Outcome.OK]
        return bool(bad) and all(check.is_expiry for check in bad)

    def as_json(self) -> dict[str, Json]:
        """Return the criterion as CLI, API and page show it."""
        bad = [check for check in self.checks if check.outcome is not Outcome.OK]
        shown = bad[0] if bad else (self.checks[0] if self.checks else None)
        reason = None if shown is None or shown.reason is None else dict(shown.reason.as_json())
        return {
            "id": self.id,
            "state": self.state,
            "observed": None if shown is None else shown.observed,
            "limit": None if shown is None else shown.limit,
            "reason": reason,
            "accept": self.accept,
            "accepted_by": self.accepted_by,
            "missing": list(self.missing),
            "checks": [
                {
                    "kind": check.kind,
                    "condition": check.condition,
                    "outcome": check.outcome.value,
                    "observed": check.observed,
                    "limit": check.limit,
                    "evidence": list(check.evidence),
                    "reason": None if check.reason is None else dict(check.reason.as_json()),
                }
                for check in self.checks
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SignoffResult:
    """One required role or seat: how many approvals count, who gave them, and why others do not count."""

    role: Role
    is_seat: bool
    needed: int
    approved_by: tuple[PersonId, ...] = ()
    rejected_by: tuple[PersonId, ...] = ()
    abstained_by: tuple[PersonId, ...] = ()
    not_counted: tuple[tuple[PersonId, Reason], ...] = ()
    eligible: tuple[PersonId, ...] = ()
    covered_by: str | None = None
    after_board: bool = False
    via_review: tuple[PersonId, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Tell whether enough different people approved."""
        return len(set(self.approved_by) | set(self.via_review)) >= self.needed

    def as_json(self) -> dict[str, Json]:
        """Return the sign-off as CLI, API and page show it."""
        return {
            "role": self.role.value,
            "seat": self.is_seat,
            "needed": self.needed,
            "complete": self.is_complete,
            "approved_by": list(self.approved_by),
            "via_review": list(self.via_review),
            "rejected_by": list(self.rejected_by),
            "abstained_by": list(self.abstained_by),
            "not_counted": [{"person": who, **why.as_json()} for who, why in self.not_counted],
            "eligible": list(self.eligible),
            "covered_by": self.covered_by,
            "after_board": self.after_board,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The decision with its reasons and numbers.

    `bind` is what a vote given now would bind; `after_board` what one binds that follows the board's result.
    """

    gate: str
    half: Half
    status: GateStatus
    reasons: tuple[Reason, ...]
    missing: tuple[Reason, ...]
    criteria: tuple[CriterionResult, ...]
    signoffs: tuple[SignoffResult, ...]
    bind: Digest
    bound: Bound
    evidence: tuple[str, ...]
    acceptances: tuple[str, ...] = ()
    attempt: int = 1
    board_ok: bool | None = None
    after_board: Bound | None = None

    @property
    def bind_after_board(self) -> Digest | None:
        """What a vote binds that is given after the board's result; None where there is no such vote."""
        return None if self.after_board is None else bind_of(self.after_board)

    def as_json(self) -> dict[str, Json]:
        """Return the documented result of `pilotage gate status`."""
        return {
            "gate": self.gate,
            "half": self.half.value,
            "status": self.status.value,
            "attempt": self.attempt,
            "reasons": [dict(reason.as_json()) for reason in self.reasons],
            "missing": [dict(reason.as_json()) for reason in self.missing],
            "criteria": [criterion.as_json() for criterion in self.criteria],
            "signoffs": [signoff.as_json() for signoff in self.signoffs],
            "bind": self.bind,
            "bind_after_board": self.bind_after_board,
            "evidence": list(self.evidence),
            "acceptances": list(self.acceptances),
        }
