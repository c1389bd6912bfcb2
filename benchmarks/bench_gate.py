"""The board's gate of the sample bank, decided with 200 evidence items and 40 votes: milliseconds of CPU.

`python benchmarks/bench_gate.py`. Every criterion of `examples/northlake-bank/gates/cab.yaml` is met and every seat has
voted several times. Exits 1 above the goal.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pilotage.control.load_workspace import load_workspace
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.evidence.records import Evidence, EvidenceState, SubjectKind
from pilotage.gate.binding import bind_of
from pilotage.gate.decide import criteria_of, decide
from pilotage.gate.records import Facts, GateInput, Login, ReleaseFacts, Roster, SeatAt, Tenure, Vote
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Condition, Operator, Trust

BANK = Path(__file__).parents[1] / "examples" / "northlake-bank"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ITEMS, VOTES, ROUNDS = 200, 40, 300
GOAL_P50_MS = 5.0
_RELEASE = digest_of(b"release")
_WORKFLOW = WorkflowName("policy-assistant")


def _met(condition: Condition) -> float:
    limit = condition.limit or 0.0
    match condition.operator:
        case Operator.GT:
            return limit + 1
        case Operator.LT:
            return limit - 1
        case _:
            return limit


def _item(kind: str, claims: dict[str, float], number: int) -> Evidence:
    at = NOW - timedelta(days=2, minutes=number)
    return Evidence(
        id=f"{kind}/{number}",
        sha256=digest_of(f"{kind}/{number}".encode()),
        kind=kind,
        subject_kind=SubjectKind.RELEASE,
        subject=_RELEASE,
        producer="key|ci",
        trust=Trust.ATTESTED,
        produced_at=at,
        received_at=at,
        claims=claims,
        reader="bench@1",
        state=EvidenceState.ACCEPTED,
    )


def _given() -> GateInput:
    """Return the board's gate with its criteria met and nobody's vote."""
    workspace = load_workspace(BANK)
    gate = workspace.gates["cab"]
    seats = tuple(SeatAt(role=one.role, holder=one.holder, alternates=one.alternates) for one in workspace.seats)
    tenures = tuple(
        Tenure(role=role, person=person, since=NOW - timedelta(days=400))
        for role, people in workspace.roster.items()
        for person in people
    )
    empty = GateInput(
        gate=gate,
        policy=digest_of(b"policy"),
        release=ReleaseFacts(
            digest=_RELEASE,
            parts_digest=digest_of(b"parts"),
            workflow=_WORKFLOW,
            parts={"prompt": digest_of(b"prompt")},
            state="sealed",
            is_verified=True,
            authors={"prompt": frozenset({PersonId("an.author")})},
            sealer=PersonId("a.sealer"),
            sealed_at=NOW - timedelta(days=5),
        ),
        evidence=(),
        votes=(),
        roster=Roster(version=digest_of(b"roster"), tenures=tenures, seats=seats, snapshot=seats),
        acceptances=(),
        facts=Facts(
            instance=workspace.id,
            plan=digest_of(b"plan"),
            space_config=digest_of(b"space"),
            cab_pack=digest_of(b"pack"),
            gates=dict.fromkeys(gate.after, GateStatus.APPROVED),
            guards_production=True,
            spaces=(gate.guards,),
        ),
    )
    wanted: dict[str, dict[str, float]] = {}
    for criterion in criteria_of(empty):
        for kind in criterion.of:
            wanted.setdefault(kind, {}).update({one.claim: _met(one) for one in criterion.all})
    own = {kind: claims for kind, claims in wanted.items() if kind.startswith("fact.")}
    brought = [(kind, claims) for kind, claims in wanted.items() if kind not in own]
    items = tuple(_item(*brought[number % len(brought)], number) for number in range(ITEMS))
    return replace(empty, evidence=items, facts=replace(empty.facts, claims=own))


def _voted(given: GateInput) -> GateInput:
    """Return it with votes of every seat, round after round, and the sponsor's at the end."""
    roles = [seat.role for seat in given.roster.seats]
    for number in range(VOTES):
        report = decide(given, NOW - timedelta(hours=2))
        is_last = number == VOTES - 1
        role = Role.EXECUTIVE_SPONSOR if is_last else roles[number % len(roles)]
        holders = [one.person for one in given.roster.tenures if one.role is role]
        seat = next((one.holder for one in given.roster.seats if one.role is role), holders[0])
        bound = report.after_board if is_last and report.after_board is not None else report.bound
        at = NOW - timedelta(hours=1) + timedelta(minutes=number)
        vote = Vote(
            id=f"vote/{number:02}",
            release=_RELEASE,
            gate=given.gate.name,
            attempt=1,
            role=role,
            is_seat=not is_last,
            person=seat,
            decision=VoteDecision.APPROVE,
            comment="Read it all, agreed.",
            bind=bind_of(bound),
            bound=bound,
            evidence=report.evidence,
            login=Login(method="oidc", at=at - timedelta(minutes=1), second_factor=True),
            at=at,
            nonce=str(number),
        )
        given = replace(given, votes=(*given.votes, vote))
    return given


def main() -> None:
    given = _voted(_given())
    report = decide(given, NOW)
    if len(given.evidence) != ITEMS or len(given.votes) != VOTES or not report.status.is_approved:
        sys.exit(f"The board's gate is {report.status}, not approved: {report.reasons[:3]} {report.missing[:3]}")
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        decide(given, NOW)
        times.append((time.thread_time() - started) * 1000)
    p50, p95 = statistics.median(times), sorted(times)[int(ROUNDS * 0.95)]
    print("| measure | result | must | met |\n|---|---|---|---|")
    word = "yes" if p50 < GOAL_P50_MS else "**no**"
    print(f"| decide(), board, {ITEMS} items, {VOTES} votes, ms of CPU | {p50:.2f} | < {GOAL_P50_MS:.0f} | {word} |")
    print(f"| the same, p95 | {p95:.2f} | | |")
    sys.exit(0 if p50 < GOAL_P50_MS else 1)


if __name__ == "__main__":
    main()
