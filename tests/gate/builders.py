"""A small board gate and a small role gate, their people, evidence and votes: everything approved unless changed.

`world()` returns a complete, approved input; each test changes one thing. Times count from `NOW`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.evidence.read import FORMATS
from pilotage.evidence.records import Evidence, EvidenceState, Severity, SubjectKind, ToolFinding
from pilotage.evidence.superseding import INSTANCE
from pilotage.gate.binding import bind_of
from pilotage.gate.decide import decide
from pilotage.gate.records import (
    Approver,
    Facts,
    GateInput,
    Login,
    ReleaseFacts,
    RiskAcceptance,
    Roster,
    SeatAt,
    Tenure,
    Vote,
)
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import GateStatus, RiskLevel, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import (
    Accept,
    Binding,
    Board,
    BoardRule,
    Condition,
    Criterion,
    Gate,
    GateHalf,
    Operator,
    Signoff,
    Trust,
    Via,
)

_READABLE = frozenset(pattern for one in FORMATS for pattern in one.kinds)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RELEASE, PARTS = digest_of(b"release"), digest_of(b"parts")
PROMPT, MODEL = digest_of(b"prompt"), digest_of(b"model")
WORKFLOW = WorkflowName("loan-assistant")
EAST = SpaceName("production-us-east-space")
AUTHOR, SEALER, SPONSOR = PersonId("author"), PersonId("sealer"), PersonId("sponsor")
OWNER, ASKER = PersonId("risk-owner"), PersonId("asker")
SEATS = (
    Role.IT_DIRECTOR,
    Role.BUSINESS_LEADERSHIP,
    Role.SECURITY_DIRECTOR,
    Role.RISK_MANAGEMENT,
    Role.OPERATIONS_LEAD,
    Role.BUSINESS_SPONSOR,
)
MUST_VOTE = (Role.SECURITY_DIRECTOR, Role.RISK_MANAGEMENT)
QUORUM = 4
TTL = 14 * DAY


def holder(role: Role, number: int = 0) -> PersonId:
    """Return who holds a role: `number` 1 is the alternate of a seat, or the second person of a role."""
    return PersonId(f"{role.value}.{number}")


def equal(claim: str, limit: float) -> Condition:
    """Return `claim = limit`."""
    return Condition(claim=claim, operator=Operator.EQ, limit=limit)


def criterion(name: str, kind: str, *conditions: Condition, accept: Accept = Accept.MEDIUM) -> Criterion:
    """Return a criterion over pushed evidence of one kind."""
    return Criterion(id=name, of=(kind,), all=conditions, accept=accept, trust=Trust.PUSHED)


TESTS = criterion(
    "tests", "tests.unit", equal("failed", 0), Condition(claim="executed", operator=Operator.GE, limit=20)
)
SCAN = criterion("no-critical", "scan.sast", equal("critical", 0), equal("unknown", 0), accept=Accept.NEVER)
HIGH = criterion("no-high", "scan.sast", equal("high", 0), accept=Accept.HIGH)
LATENCY = criterion("latency", "load.peak", Condition(claim="p95", operator=Operator.LE, path="workflow.sla.p95_ms"))


def board_gate() -> Gate:
    """Return a board with an executive sponsor after it, as the last gate before production."""
    return Gate(
        name="cab",
        guards=EAST,
        after=("qa",),
        trust=Trust.PUSHED,
        binds=(Binding.PLAN, Binding.SPACE_CONFIG, Binding.CAB_PACK),
        pre=GateHalf(
            criteria=(TESTS, SCAN, HIGH, LATENCY),
            board=Board(seats=SEATS, rule=BoardRule.UNANIMOUS_OR_RISK_ACCEPTED, quorum=QUORUM, must_vote=MUST_VOTE),
            signoffs=(Signoff(role=Role.EXECUTIVE_SPONSOR, after_board=True),),
            ttl_s=int(TTL.total_seconds()),
        ),
    )


def role_gate() -> Gate:
    """Return a gate that two senior engineers sign, by vote or in the code review."""
    return Gate(
        name="code-review",
        guards="dev-deployment-space",
        trust=Trust.PUSHED,
        pre=GateHalf(
            criteria=(TESTS,),
            signoffs=(
                Signoff(
                    role=Role.SENIOR_ENGINEER, count=2, via=(Via.VOTE, Via.REVIEW_CODE), checklist=("read the diff",)
                ),
            ),
            ttl_s=int(TTL.total_seconds()),
        ),
    )


def evidence(
    kind: str,
    claims: Mapping[str, float],
    *,
    name: str = "",
    trust: Trust = Trust.PUSHED,
    at: datetime = NOW - DAY,
    suite: str = "",
    findings: tuple[ToolFinding, ...] = (),
    space: SpaceName | None = None,
    subject: tuple[SubjectKind, str] = (SubjectKind.RELEASE, RELEASE),
    state: EvidenceState = EvidenceState.ACCEPTED,
    refs: Mapping[str, str] | None = None,
    names: Mapping[str, tuple[str, ...]] | None = None,
    producer: str = "",
) -> Evidence:
    """Return an accepted item about the release; what no reader can read comes from Pilotage itself."""
    return Evidence(
        id=name or f"{kind}{suite}",
        sha256=digest_of(f"{kind}{suite}{name}".encode()),
        kind=kind,
        subject_kind=subject[0],
        subject=subject[1],
        space=space,
        suite=suite,
        producer=producer or ("key|ci" if any(fnmatchcase(kind, one) for one in _READABLE) else INSTANCE),
        trust=trust,
        produced_at=at,
        received_at=at,
        claims=claims,
        reader="test@1",
        findings=findings,
        state=state,
        refs=refs or {},
        names=names or {},
    )


GOOD_TESTS = {"failed": 0.0, "errors": 0.0, "executed": 40.0, "skipped": 0.0}
GOOD_SCAN = {"critical": 0.0, "unknown": 0.0, "high": 0.0, "medium": 0.0}
GOOD_LOAD = {"p95": 900.0, "requests": 5_000.0, "error_rate": 0.0}


def good_evidence() -> tuple[Evidence, ...]:
    """Return evidence that meets every criterion of both gates."""
    return (
        evidence("tests.unit", GOOD_TESTS),
        evidence("scan.sast", GOOD_SCAN),
        evidence("load.peak", GOOD_LOAD),
    )


def finding(severity: Severity, rule: str = "CVE-1") -> ToolFinding:
    """Return a finding of a scanner."""
    return ToolFinding(rule=rule, severity=severity, component="lib", version="1.0")


def release() -> ReleaseFacts:
    """Return a sealed, verified release with one author."""
    return ReleaseFacts(
        digest=RELEASE,
        parts_digest=PARTS,
        workflow=WORKFLOW,
        parts={"prompt": PROMPT, "model": MODEL},
        state="sealed",
        is_verified=True,
        authors={"prompt": frozenset({AUTHOR}), "model": frozenset()},
        sealer=SEALER,
        sealed_at=NOW - 5 * DAY,
        source_tree="tree-1",
    )


def roster(since: datetime = LONG_AGO) -> Roster:
    """Return who holds what: two people a role, and a seat's second one as its alternate."""
    roles = (*SEATS, Role.SENIOR_ENGINEER, Role.BUSINESS_OWNER)
    held = [Tenure(role=role, person=holder(role, number), since=since) for role in roles for number in (0, 1)]
    held.append(Tenure(role=Role.EXECUTIVE_SPONSOR, person=SPONSOR, since=since))
    seats = tuple(SeatAt(role=role, holder=holder(role), alternates=(holder(role, 1),)) for role in SEATS)
    return Roster(version=digest_of(b"roster"), tenures=tuple(held), seats=seats, snapshot=seats)


def facts(gate: Gate) -> Facts:
    """Return what Pilotage knows itself."""
    is_board = gate.pre.board is not None
    return Facts(
        instance="northlake",
        plan=digest_of(b"plan"),
        space_config=digest_of(b"space"),
        cab_pack=digest_of(b"pack"),
        gates={"qa": GateStatus.APPROVED},
        paths={"workflow.sla.p95_ms": 2_000.0},
        guards_production=is_board,
        spaces=(EAST,) if is_board else ("dev-deployment-space",),
    )


def empty(gate: Gate) -> GateInput:
    """Return an input whose criteria are met and that nobody has voted on."""
    return GateInput(
        gate=gate,
        policy=digest_of(b"policy"),
        release=release(),
        evidence=good_evidence(),
        votes=(),
        roster=roster(),
        acceptances=(),
        facts=facts(gate),
    )


def vote(
    given: GateInput,
    role: Role,
    *,
    person: PersonId | None = None,
    decision: VoteDecision = VoteDecision.APPROVE,
    at: datetime = NOW - HOUR,
    comment: str = "Read it all, agreed.",
    delegated_from: PersonId | None = None,
) -> Vote:
    """Return a vote bound to what the gate shows at `at`."""
    report = decide(given, at)
    late = any(one.after_board and one.role is role for one in given.rules.signoffs)
    bound = report.after_board if late and report.after_board is not None else report.bound
    who = person or (SPONSOR if role is Role.EXECUTIVE_SPONSOR else holder(role))
    return Vote(
        id=f"{role.value}/{who}/{at.isoformat()}/{decision.value}",
        release=given.release.digest,
        gate=given.gate.name,
        half=given.half,
        attempt=given.facts.attempt,
        role=role,
        is_seat=given.rules.board is not None and role in given.rules.board.seats,
        person=who,
        decision=decision,
        comment=comment,
        checklist={"read the diff": "yes"},
        bind=bind_of(bound),
        bound=bound,
        evidence=report.evidence,
        login=Login(method="oidc", at=at - MINUTE, second_factor=True),
        at=at,
        nonce=f"{who}/{at.isoformat()}",
        delegated_from=delegated_from,
    )


def voted(given: GateInput, role: Role, **how: object) -> GateInput:
    """Return the input with one more vote."""
    return replace(given, votes=(*given.votes, vote(given, role, **how)))  # type: ignore[arg-type]


def with_seats(given: GateInput, decisions: Mapping[Role, VoteDecision | None], *, at: datetime) -> GateInput:
    """Return the input with these votes of seats; None: the seat stays away."""
    for role, decision in decisions.items():
        if decision is not None:
            given = voted(given, role, decision=decision, at=at)
    return given


def approved_board(at: datetime = NOW - HOUR) -> GateInput:
    """Return a board that agreed, with the sponsor after it."""
    given = with_seats(empty(board_gate()), dict.fromkeys(SEATS, VoteDecision.APPROVE), at=at)
    return voted(given, Role.EXECUTIVE_SPONSOR, at=at + MINUTE)


def approved_roles(at: datetime = NOW - HOUR) -> GateInput:
    """Return a role gate that two people signed."""
    given = empty(role_gate())
    for number in (0, 1):
        given = voted(given, Role.SENIOR_ENGINEER, person=holder(Role.SENIOR_ENGINEER, number), at=at)
    return given


HIGH_APPROVERS = (
    Approver(person=holder(Role.RISK_MANAGEMENT, 1), role=Role.RISK_MANAGEMENT, at=NOW - 2 * HOUR),
    Approver(person=SPONSOR, role=Role.EXECUTIVE_SPONSOR, at=NOW - 2 * HOUR),
)


@dataclass(frozen=True, kw_only=True)
class Accepting:
    """A risk acceptance as a test wants it: high by default, approved by the two who may."""

    criteria: tuple[str, ...] = ()
    seats: tuple[Role, ...] = ()
    severity: RiskLevel = RiskLevel.HIGH
    approvers: tuple[Approver, ...] = HIGH_APPROVERS
    created: datetime = NOW - 2 * HOUR
    expires: datetime = NOW + 20 * DAY
    gate: str = "cab"
    spaces: tuple[str, ...] = (EAST,)
    name: str = "risk-1"
    change: Mapping[str, object] = field(default_factory=dict)

    def made(self) -> RiskAcceptance:
        """Return the acceptance."""
        risk = RiskAcceptance(
            id=self.name,
            risk="Peak latency above the target",
            severity=self.severity,
            gate=self.gate,
            criteria=self.criteria,
            seats=self.seats,
            rationale="The target is missed by little, only at peak, and the team is adding capacity before the end."
            * 2,
            controls=("Capacity is doubled by Friday",),
            likelihood=2,
            impact=3,
            owner=OWNER,
            requester=ASKER,
            approvers=self.approvers,
            release=RELEASE,
            spaces=self.spaces,
            created=self.created,
            expires=self.expires,
        )
        return replace(risk, **self.change)  # type: ignore[arg-type]


def codes(report: GateReport) -> set[str]:
    """Return every code the report tells: reasons, missing, and why votes do not count."""
    told = {reason.code for reason in (*report.reasons, *report.missing)}
    return told | {reason.code for one in report.signoffs for _, reason in one.not_counted}


def swap(given: GateInput, *items: Evidence) -> GateInput:
    """Return the input with these items instead of those of the same kind."""
    kinds = {item.kind for item in items}
    return replace(given, evidence=(*(one for one in given.evidence if one.kind not in kinds), *items))


def adding(given: GateInput, items: Iterable[Evidence]) -> GateInput:
    """Return the input with more evidence."""
    return replace(given, evidence=(*given.evidence, *items))


def knowing(given: GateInput, **facts_changed: object) -> GateInput:
    """Return the input with other facts."""
    return replace(given, facts=replace(given.facts, **facts_changed))  # type: ignore[arg-type]


def other(text: str) -> Digest:
    """Return some digest."""
    return digest_of(text.encode())
