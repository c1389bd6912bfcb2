"""What a gate is decided from (gates.md 4): votes, acceptances, roster, release and facts, all frozen values.

Rule: everything that can change a decision stands in `GateInput`; nothing else is looked at, so an exported input
replays to the same report. Fail mode: an unknown fact is absent, and its criterion inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.gate.vocabulary import GateStatus, Half, RiskLevel, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Gate, GateHalf


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
class OpenCheck:
    """A condition that did not hold: what was observed, or which evidence could not count.

    `series`: of which space and suite; empty: of all of the kind together.
    """

    kind: str
    condition: str
    observed: str
    series: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenThen:
    """What of a criterion was open when a risk was accepted."""

    criterion: str
    checks: tuple[OpenCheck, ...] = ()
    findings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return everything, as it is stored and as the ledger's entry commits to it."""
        return {
            "criterion": self.criterion,
            "checks": [[one.kind, one.condition, one.observed, *filter(None, [one.series])] for one in self.checks],
            "findings": list(self.findings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAcceptance:
    """A time-limited, scoped, owned acceptance of a documented risk (gates.md 4.5).

    `criteria`, `seats` and `findings` are what it covers, `open_then` how far (None: not written down); `renewals`
    counts earlier acceptances of the same risk and `first_created` is when the first of them began.
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
    open_then: tuple[OpenThen, ...] | None = None


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
    `rejected_elsewhere` are unresolved rejections of the same parts under another digest or name; `unrecorded` are rows
    that the ledger does not hold as they are now; `standard_change`: a template the board approved stands in for the
    sign-offs; `promoters` brought the release into a production space; `runs_since` and `runs_until`: the rollout under
    way, for whose length a board's approval lasts that was in time when it started; `operators` must be trained (None:
    not known); `engine` is the version of Pilotage since `engine_since`, where that is known.
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
    unrecorded: tuple[Reason, ...] = ()
    standard_change: bool = False
    people_logins: Mapping[str, PersonId] = field(default_factory=dict)
    promoters: frozenset[PersonId] = frozenset()
    runs_since: datetime | None = None
    runs_until: datetime | None = None
    operators: frozenset[str] | None = None
    engine: str | None = None
    engine_since: datetime | None = None


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
        """Return the half that is decided; a standard change leaves its criteria and asks nobody."""
        if self.half is Half.POST and self.gate.post is not None:
            return self.gate.post
        if self.facts.standard_change:
            return replace(self.gate.pre, signoffs=(), board=None)
        return self.gate.pre
