"""What a gate is decided from, and what deciding returns (gates.md 4): all frozen values.

Rule: everything that can change a decision stands in `GateInput`; nothing else is looked at, so an exported input
replays to the same report. Fail mode: an unknown fact is absent, and its criterion inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.core.reason import Outcome, Reason
from pilotage.evidence.records import Evidence, Severity
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Gate, GateHalf


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
        return list(RiskLevel).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How and when the voter proved who they are. `second_factor` None: not known, as with local people."""

    method: str
    at: datetime
    second_factor: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a vote was given on: digests of everything it binds. `evidence` lists the current items then."""

    instance: str
    gate: str
    half: Half = Half.PRE
    attempt: int
    release: Digest
    space: SpaceName | None = None
    evidence_set: Digest
    policy: Digest
    plan: Digest | None = None
    space_config: Digest | None = None
    cab_pack: Digest | None = None
    board: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's decision in a role or seat. `evidence` are the ids of the items current when it was given.

    `is_person` is False for a service; `delegated_from` names the holder for whom a delegate votes.
    """

    id: str
    release: Digest
    gate: str
    half: Half = Half.PRE
    attempt: int
    role: Role
    is_seat: bool = False
    person: PersonId
    is_person: bool = True
    decision: VoteDecision
    comment: str = ""
    checklist: Mapping[str, str] = field(default_factory=dict)
    bind: Digest
    bound: Bound
    evidence: tuple[str, ...] = ()
    login: Login
    at: datetime
    nonce: str
    delegated_from: PersonId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """The holder lets another vote, for some gates and at most 30 days. Made before the vote; depth 1."""

    id: str
    giver: PersonId
    to: PersonId
    role: Role
    gates: frozenset[str]
    start: datetime
    until: datetime
    reason: str
    made_at: datetime
    revoked_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        """Tell whether it holds at `now`."""
        return self.start <= now < self.until and (self.revoked_at is None or now < self.revoked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Who approved a risk acceptance, in which role, when."""

    person: PersonId
    role: Role
    at: datetime
    is_person: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`kind.claim OP limit` that ends an acceptance when it becomes true."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAcceptance:
    """A time-limited, scoped, owned acceptance of a documented risk (gates.md 4.5).

    `criteria`, `seats` and `findings` are what it covers; `renewals` counts earlier acceptances of the same risk and
    `first_created` is when the first of them began.
    """

    id: str
    risk: str
    severity: RiskLevel
    gate: str
    criteria: tuple[str, ...] = ()
    seats: tuple[Role, ...] = ()
    findings: tuple[str, ...] = ()
    rationale: str
    controls: tuple[str, ...] = ()
    likelihood: int
    impact: int
    owner: PersonId
    requester: PersonId
    approvers: tuple[Approver, ...] = ()
    release: str
    spaces: tuple[str, ...] = ()
    created: datetime
    expires: datetime
    review_at: datetime | None = None
    revoke_when: tuple[Claim, ...] = ()
    renewals: int = 0
    first_created: datetime | None = None
    same_rationale: bool = False
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """Since when a person holds a role. `until` None: still."""

    role: Role
    person: PersonId
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatAt:
    """A board seat as the roster had it: who holds it, and who may stand in."""

    role: Role
    holder: PersonId
    alternates: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who may sign. `snapshot` are the seats when the attempt's evidence was first complete; None: not yet complete.

    `reports_to` keeps acceptances away from an owner's own reports; `accounts` maps other ids to a person.
    """

    version: Digest
    tenures: tuple[Tenure, ...]
    seats: tuple[SeatAt, ...] = ()
    snapshot: tuple[SeatAt, ...] | None = None
    reports_to: Mapping[PersonId, PersonId] = field(default_factory=dict)
    recused: Mapping[Role, PersonId] = field(default_factory=dict)
    delegations: tuple[Delegation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """What is known of the release. `authors` maps a part to its authors over the whole lineage (gates.md 1.5)."""

    digest: Digest
    parts_digest: Digest
    workflow: WorkflowName
    parts: Mapping[str, Digest]
    state: str
    is_verified: bool
    authors: Mapping[str, frozenset[PersonId]]
    sealer: PersonId
    sealed_at: datetime
    source_tree: str | None = None
    is_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What Pilotage computed from its own tables at `now`.

    `claims` by `fact.*` kind; `paths` resolve `@...`; `gates` are the statuses of the gates in `after`; `editors` who
    changed policy or roster lately; `guards_production` asks for a fresh login with a second factor;
    `rejected_elsewhere` are unresolved rejections of the same parts under another digest or name.
    """

    instance: str
    attempt: int = 1
    attempt_opened_at: datetime | None = None
    space: SpaceName | None = None
    space_config: Digest | None = None
    plan: Digest | None = None
    cab_pack: Digest | None = None
    pack_outdated: tuple[str, ...] = ()
    gates: Mapping[str, GateStatus] = field(default_factory=dict)
    paths: Mapping[str, float] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()
    claims: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    editors: Mapping[PersonId, datetime] = field(default_factory=dict)
    guards_production: bool = False
    is_local_demo: bool = False
    spaces: tuple[str, ...] = ()
    rejected_elsewhere: tuple[str, ...] = ()
    policy_problems: tuple[Reason, ...] = ()
    standard_change: bool = False
    people_logins: Mapping[str, PersonId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """Everything a decision depends on. `half` picks the criteria and sign-offs."""

    gate: Gate
    half: Half = Half.PRE
    policy: Digest
    release: ReleaseFacts
    evidence: tuple[Evidence, ...]
    votes: tuple[Vote, ...]
    roster: Roster
    acceptances: tuple[RiskAcceptance, ...]
    facts: Facts

    @property
    def rules(self) -> GateHalf:
        """Return the half that is decided."""
        if self.half is Half.POST and self.gate.post is not None:
            return self.gate.post
        return self.gate.pre


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of a criterion on what was observed. `kind` is the evidence kind looked at."""

    kind: str
    condition: str
    outcome: Outcome
    observed: str | None
    limit: str | None
    reason: Reason | None = None
    evidence: tuple[str, ...] = ()
    is_expiry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One criterion. `state` is ok, not_ok, inconclusive, missing or n/a; `accepted_by` names an acceptance."""

    id: str
    state: str
    outcome: Outcome
    checks: tuple[Check, ...]
    accept: str
    accepted_by: str | None = None
    missing: tuple[str, ...] = ()
    severity: Severity | None = None
    is_fact: bool = False

    @property
    def holds(self) -> bool:
        """Tell whether the criterion is met or covered."""
        return self.outcome is Outcome.OK or self.accepted_by is not None

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
            "evidence": list(self.evidence),
            "acceptances": list(self.acceptances),
        }
