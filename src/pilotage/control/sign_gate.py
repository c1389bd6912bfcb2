"""`pilotage gate sign`: a person's decision in a role or seat, bound to what was shown.

Rule: votes at a gate stand in one order behind the row of its attempt; a repeated nonce is the same vote, and so is
one that says nothing new. An approval is taken only when all criteria are met or covered, a reject at any time. Fail
mode: a Refusal with every reason.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import input_of, report_of
from pilotage.control.gate_entries import vote_data
from pilotage.control.gate_notices import notify_turns
from pilotage.control.gate_roster import notice_changes
from pilotage.control.gate_status import space_for
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.typed_text import checked_text
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.ballots import asked_problem, only_reject, said_before, seat_problems
from pilotage.gate.binding import bind_of, moved
from pilotage.gate.counting import own_seats
from pilotage.gate.eligibility import form_problem, separation_problem, standing_problem
from pilotage.gate.records import Bound, GateInput, Login, Vote
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import GateStatus, Half, VoteDecision
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import VOTING_GATES, Action, Role, grant_for, may, parse_role, said
from pilotage.ledger.entry import EntryKind
from pilotage.store.gate_votes import Attempt, add_vote, lock_attempt, take_snapshot, vote_by_nonce
from pilotage.store.releases import StoredRelease, named_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What a person hands in. `bind` None: taken from what is there now, as the command line shows and sends it.

    `seat` picks the board seat of that role; `nonce` makes a repeated request the same vote.
    """

    gate: str
    role: str
    decision: str
    comment: str = ""
    checklist: Mapping[str, str] = field(default_factory=dict)
    bind: str | None = None
    half: Half = Half.PRE
    space: str | None = None
    nonce: str | None = None
    delegated_from: str | None = None
    login: Login | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The vote, and where the gate stands after it. `repeated`: it stood before, by nonce or by all that it says."""

    vote: Vote
    report: GateReport
    repeated: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return the documented result of `pilotage gate sign`."""
        vote = self.vote
        return {
            "vote": vote.id,
            "gate": vote.gate,
            "role": vote.role.value,
            "person": vote.person,
            "decision": vote.decision.value,
            "bind": vote.bind,
            "repeated": self.repeated,
            "status": self.report.status.value,
        }


def sign_gate(instance: Instance, *, actor: Principal, release: str, ballot: Ballot) -> Signed | Refusal:
    """Record a decision, or return every reason why it may not be taken."""
    role, decision = parse_role(ballot.role), parse_decision(ballot.decision)
    checked_text(ballot.comment, "comment")
    with instance.engine.begin() as connection:
        stored = named_release(connection, release)
        notice_changes(connection, instance, instance.clock.now())
        with connection.begin_nested() as attempted:
            done = _taken(connection, instance, stored, actor, ballot, role=role, decision=decision)
            if isinstance(done, Refusal):
                attempted.rollback()  # a vote that is not taken opens no attempt
    return done


def _taken(  # noqa: PLR0913 - what a vote is made of
    connection: Connection,
    instance: Instance,
    stored: StoredRelease,
    actor: Principal,
    ballot: Ballot,
    *,
    role: Role,
    decision: VoteDecision,
) -> Signed | Refusal:
    now = instance.clock.now()
    attempt = _attempt(connection, instance, stored, ballot.gate, actor, now)
    chain = open_chain(connection, instance, stored, now)
    space = space_for(instance, ballot.gate, ballot.space)
    report = report_of(chain, ballot.gate, half=ballot.half, space=space)
    given = input_of(chain, ballot.gate, half=ballot.half, space=space)
    known = None if ballot.nonce is None else vote_by_nonce(connection, stored.digest, ballot.gate, ballot.nonce)
    if known is not None:
        return _repeated(known, actor, report)
    vote = _vote(actor, ballot, report, given, role=role, decision=decision, now=now)
    standing = said_before(vote, given, report.signoffs) if ballot.bind in {None, vote.bind} else None
    if standing is not None:
        return Signed(vote=standing, report=report, repeated=True)
    reasons = _reasons(vote, given, report, chain, actor, ballot)
    if reasons:
        return Refusal(reasons=reasons)
    _snapshot(connection, attempt, given, now)
    add_vote(connection, vote, stored.parts_digest)
    _record(connection, vote, actor, now)
    after = _after(connection, instance, stored, vote, now)
    notify_turns(connection, instance, stored, after, now)
    return Signed(vote=vote, report=after)


def parse_decision(text: str) -> VoteDecision:
    """Return the decision as written on the command line or in a form; raise UsageError."""
    try:
        return VoteDecision(text)
    except ValueError:
        raise UsageError("DECISION", f"{text!r} is no decision.", hint="Write approve, reject or abstain.") from None


def _attempt(
    connection: Connection, instance: Instance, stored: StoredRelease, gate: str, actor: Principal, now: datetime
) -> Attempt:
    if gate not in instance.workspace.gates:
        known = ", ".join(sorted(instance.workspace.gates)) or "none"
        raise NotFound("GATE_UNKNOWN", f"There is no gate {gate!r}.", hint=f"Declared in gates/: {known}.")
    return lock_attempt(
        connection,
        Attempt(
            release=stored.digest,
            gate=gate,
            number=1,
            parts_digest=stored.parts_digest,
            opened_at=now,
            opened_by=str(actor.person or actor.id),
        ),
    )


def _repeated(known: Vote, actor: Principal, report: GateReport) -> Signed | Refusal:
    if known.person != (actor.person or actor.id):
        text = "This request was sent by another person before; a vote cannot be sent again by somebody else."
        return Refusal(reasons=(Reason(code="VOTE_REPLAY", text=text, where=known.id),))
    return Signed(vote=known, report=report, repeated=True)


def _vote(  # noqa: PLR0913 - what a vote is made of
    actor: Principal,
    ballot: Ballot,
    report: GateReport,
    given: GateInput,
    *,
    role: Role,
    decision: VoteDecision,
    now: datetime,
) -> Vote:
    board = given.rules.board
    is_seat = board is not None and role in board.seats
    late = any(one.after_board and one.role is role for one in given.rules.signoffs)
    bound: Bound = report.after_board if late and report.after_board is not None else report.bound
    return Vote(
        id=new_ulid(now),
        release=given.release.digest,
        gate=ballot.gate,
        half=ballot.half,
        attempt=given.facts.attempt,
        role=role,
        is_seat=is_seat,
        person=PersonId(str(actor.person or actor.id)),
        is_person=actor.kind is PrincipalKind.PERSON,
        decision=decision,
        comment=checked_text(ballot.comment, "comment"),
        checklist=dict(ballot.checklist),
        bind=bind_of(bound),
        bound=bound,
        evidence=report.evidence,
        login=ballot.login or Login(method=actor.via, at=now),
        at=now,
        nonce=ballot.nonce or secrets.token_hex(16),
        delegated_from=None if ballot.delegated_from is None else PersonId(ballot.delegated_from),
    )


def _reasons(
    vote: Vote, given: GateInput, report: GateReport, chain: Chain, actor: Principal, ballot: Ballot
) -> tuple[Reason, ...]:
    found: list[Reason] = []
    if vote.is_person and vote.delegated_from is None:
        refusal = vote_refusal(actor.roles | _stand_in_roles(vote, given), vote.gate)
        found += [] if refusal is None else refusal.reasons
    asked = asked_problem(vote, given)
    standing = standing_problem(vote, given, vote.at)
    current = [one for one in chain.evidence if one.id in report.evidence]
    separate = separation_problem(vote.person, given, vote.at, current)
    form = form_problem(vote, given, has_acceptances=bool(report.acceptances), current=current)
    found += [one for one in (asked, standing, separate, form) if one is not None]
    found += _binding_reasons(vote, report, ballot)
    found += seat_problems(vote, given)
    if vote.decision is VoteDecision.APPROVE:
        found += _unmet_reasons(report, vote)
    if vote.decision is not VoteDecision.REJECT:
        found += only_reject(vote, given)
    return tuple(found)


def vote_refusal(roles: frozenset[Role], gate: str) -> Refusal | None:
    """Return why nobody with these roles votes there.

    A gate of the workspace's own is open to who votes anywhere: which of them it asks for stands in its file.
    """
    if gate in VOTING_GATES:
        return may(roles, Action.VOTE, within=gate)
    if any(may(roles, Action.VOTE, within=known) is None for known in VOTING_GATES):
        return None
    voters = sorted(
        role.value for role in Role if any(grant_for((role,), Action.VOTE, within=known) for known in VOTING_GATES)
    )
    text = f"{said(Action.VOTE, within=gate)} is not permitted to you. It takes one of the roles {', '.join(voters)}."
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=gate),))


def _stand_in_roles(vote: Vote, given: GateInput) -> frozenset[Role]:
    return frozenset({vote.role}) if given.roster.recused.get(vote.role) == vote.person else frozenset()


def _binding_reasons(vote: Vote, report: GateReport, ballot: Ballot) -> list[Reason]:
    if ballot.bind is None or ballot.bind == vote.bind:
        return []
    if not ballot.bind:
        text = "Send the bind you were shown: `pilotage gate status` prints it."
        return [Reason(code="VOTE_BIND_MISSING", text=text, where=vote.gate)]
    names = ", ".join(moved(replace(report.bound, evidence_set=Digest("")), report.bound)) or "evidence_set"
    text = f"What you were shown is no longer what is there ({names} or another binding moved). Look again, then sign."
    return [Reason(code="VOTE_BIND_MISMATCH", text=text, where=vote.gate, observed=ballot.bind, limit=vote.bind)]


def _unmet_reasons(report: GateReport, vote: Vote) -> list[Reason]:
    blocked = [] if report.status is not GateStatus.BLOCKED else list(report.reasons)
    if report.status is GateStatus.REJECTED and not vote.is_seat:
        blocked += report.reasons  # in a role sign-off a reject ends the attempt
    blocked += [one for one in report.reasons if one.code == "REJECTED_PARTS" and one not in blocked]
    for one in report.criteria:
        if one.holds:
            continue
        bad = [check.reason for check in one.checks if check.outcome != "ok" and check.reason is not None]
        blocked += bad[:1]
    return blocked


def _snapshot(connection: Connection, attempt: Attempt, given: GateInput, now: datetime) -> None:
    board = given.rules.board
    if board is not None and attempt.snapshot is None:
        take_snapshot(connection, attempt, own_seats(given.roster.seats, board), now)


def _after(connection: Connection, instance: Instance, stored: StoredRelease, vote: Vote, now: datetime) -> GateReport:
    chain = open_chain(connection, instance, stored, now)
    return report_of(chain, vote.gate, half=vote.half, space=space_for(instance, vote.gate, vote.bound.space))


def _record(connection: Connection, vote: Vote, actor: Principal, now: datetime) -> None:
    record(
        connection,
        EntryKind.GATE_SIGNED_OFF,
        actor=actor,
        at=now,
        subject=vote.id,
        space=vote.bound.space or "",
        data=vote_data(vote),
        opened={"comment": vote.comment, "person": vote.person},
    )
