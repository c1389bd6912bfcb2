"""`pilotage gate delegate | recuse | reopen | fact`: who votes for whom, who stands aside, and when voting starts anew.

Rule: a delegation is made by the holder before the vote, to depth 1; a seat goes only to its registered alternate; a
new attempt needs evidence newer than the reject, and a reason. Fail mode: a Refusal, nothing written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.eligibility import MAX_DELEGATION, holders, seat_of
from pilotage.gate.records import Delegation, Roster
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.gate_facts import state_fact
from pilotage.store.gate_people import add_delegation, delegations, tenures
from pilotage.store.gate_votes import Attempt, add_recusal, count_attempts, lock_attempt, open_attempt
from pilotage.store.releases import named_release

MAX_ATTEMPTS = 3
_FACTS = frozenset({"alert_test", "test_page"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """What a holder hands over: the role, at which gates (empty: all), until when, and why."""

    to: str
    role: Role
    gates: frozenset[str] = frozenset()
    until: datetime
    reason: str


def delegate_role(instance: Instance, *, actor: Principal, handing: Handing) -> Delegation | Refusal:
    """Let another person vote in a role one holds, until a day at most 30 days away."""
    to, role, gates, until, reason = handing.to, handing.role, handing.gates, handing.until, handing.reason
    giver, receiver = PersonId(str(actor.person or actor.id)), PersonId(to)
    if receiver not in instance.workspace.people:
        raise NotFound("PERSON_UNKNOWN", f"There is no person {to!r} in pilotage.yaml.", hint="Write a declared id.")
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        reasons = _handing_reasons(connection, instance, giver, handing, now)
        if reasons:
            return Refusal(reasons=tuple(reasons))
        made = Delegation(
            id=new_ulid(now),
            giver=giver,
            to=receiver,
            role=role,
            gates=gates,
            start=now,
            until=until,
            reason=reason.strip(),
            made_at=now,
        )
        add_delegation(connection, made)
        record(
            connection,
            EntryKind.GATE_DELEGATED,
            actor=actor,
            at=now,
            subject=made.id,
            data={"role": role.value, "gates": sorted(gates), "until": until.isoformat()},
            opened={"to": receiver, "reason": reason},
        )
        return made


def _handing_reasons(
    connection: Connection, instance: Instance, giver: PersonId, handing: Handing, now: datetime
) -> list[Reason]:
    """Return why the role cannot be handed over so."""
    role, receiver = handing.role, PersonId(handing.to)
    roster = Roster(version=instance.workspace.digest, tenures=tenures(connection))
    reasons: list[Reason] = []
    if giver not in holders(roster, role, now):
        code = "DELEGATION_CHAIN" if _is_delegate(delegations(connection), giver, role, now) else "NOT_PERMITTED"
        reasons.append(Reason(code=code, text=f"{giver} does not hold {role.value} and cannot pass it on."))
    if handing.until - now > MAX_DELEGATION or handing.until <= now:
        text = f"A delegation lasts at most {MAX_DELEGATION.days} days from now."
        reasons.append(Reason(code="DELEGATION_EXPIRED", text=text, limit=f"{MAX_DELEGATION.days} d"))
    if receiver == giver or not handing.reason.strip():
        reasons.append(Reason(code="DELEGATION_REASON", text="Name another person, and say why: --reason."))
    seat = next((one for one in instance.workspace.seats if one.role is role), None)
    if seat is not None and receiver not in seat.alternates:
        text = f"The seat {role.value} goes only to {', '.join(seat.alternates) or 'a registered alternate'}."
        reasons.append(Reason(code="VOTER_INELIGIBLE", text=text, where=role.value))
    return reasons


def _is_delegate(made: tuple[Delegation, ...], person: PersonId, role: Role, now: datetime) -> bool:
    return any(one.to == person and one.role is role and one.is_active(now) for one in made)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandAside:
    """A seat's holder makes way for a registered alternate, and why."""

    gate: str
    role: Role
    alternate: str
    reason: str


def recuse(instance: Instance, *, actor: Principal, release: str, aside: StandAside) -> Refusal | None:
    """Stand aside from one's own seat, in this attempt."""
    gate, role, alternate, reason = aside.gate, aside.role, aside.alternate, aside.reason
    person = PersonId(str(actor.person or actor.id))
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        stored = named_release(connection, release)
        chain = open_chain(connection, instance, stored, now)
        attempt = lock_attempt(connection, _first(stored.digest, gate, stored.parts_digest, person, now))
        roster = Roster(version=chain.roster.version, tenures=chain.roster.tenures, seats=chain.roster.seats)
        roster = (
            roster
            if attempt.snapshot is None
            else Roster(version=roster.version, tenures=roster.tenures, seats=roster.seats, snapshot=attempt.snapshot)
        )
        seat = seat_of(roster, role)
        if seat is None or seat.holder != person:
            return _no("NOT_PERMITTED", f"{person} does not hold the seat {role.value}.", role.value)
        if PersonId(alternate) not in seat.alternates:
            known = ", ".join(seat.alternates) or "nobody"
            return _no("VOTER_INELIGIBLE", f"Registered alternates of {role.value}: {known}.", role.value)
        values = {"role": role.value, "person": person, "alternate": alternate, "reason": reason, "at": now}
        add_recusal(connection, attempt, values)
        record(
            connection,
            EntryKind.GATE_RECUSED,
            actor=actor,
            at=now,
            subject=f"{stored.digest}/{gate}/{attempt.number}",
            data={"role": role.value},
            opened={"alternate": alternate, "reason": reason},
        )
    return None


def _first(release: Digest, gate: str, parts: Digest, person: str, now: datetime) -> Attempt:
    return Attempt(
        release=release,
        gate=gate,
        number=1,
        parts_digest=parts,
        opened_at=now,
        opened_by=person,
    )


def _no(code: str, text: str, where: str) -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=text, where=where),))


def reopen_gate(instance: Instance, *, actor: Principal, release: str, gate: str, reason: str) -> Attempt | Refusal:
    """Open the next attempt after a reject; every seat votes again."""
    if not reason.strip():
        raise UsageError("REASON", "A new attempt needs a reason.", hint="Write --reason TEXT.")
    refusal = may(actor.roles, Action.SEAL)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        stored = named_release(connection, release)
        chain = open_chain(connection, instance, stored, now)
        person = str(actor.person or actor.id)
        attempt = lock_attempt(connection, _first(stored.digest, gate, stored.parts_digest, person, now))
        against = _reopen_problem(connection, chain, gate, attempt)
        if against is not None:
            return against
        opened = Attempt(
            release=stored.digest,
            gate=gate,
            number=attempt.number + 1,
            parts_digest=stored.parts_digest,
            opened_at=now,
            opened_by=person,
            reason=reason.strip(),
        )
        open_attempt(connection, opened)
        record(
            connection,
            EntryKind.GATE_DECIDED,
            actor=actor,
            at=now,
            subject=f"{stored.digest}/{gate}/{opened.number}",
            data={"release": stored.digest, "gate": gate, "attempt": opened.number, "what": "reopened"},
            opened={"reason": reason},
        )
        return opened


def _reopen_problem(connection: Connection, chain: Chain, gate: str, attempt: Attempt) -> Refusal | None:
    """Return why no new attempt may open: no reject, nothing new since, or too many attempts of the same parts."""
    rejects = [
        vote
        for vote in chain.votes
        if vote.gate == gate and vote.attempt == attempt.number and vote.decision is VoteDecision.REJECT
    ]
    if not rejects:
        return _no("REVOTE_NO_NEW_EVIDENCE", f"Attempt {attempt.number} at {gate} was not rejected.", gate)
    last = max(vote.at for vote in rejects)
    if not any(item.received_at > last and item.state.value == "accepted" for item in chain.evidence):
        text = f"Nothing new was attached since the reject of {last:%Y-%m-%d %H:%MZ}. Bring evidence first."
        return _no("REVOTE_NO_NEW_EVIDENCE", text, gate)
    if count_attempts(connection, chain.stored.parts_digest, gate) >= MAX_ATTEMPTS:
        text = f"These parts had {MAX_ATTEMPTS} attempts at {gate}. Change them and seal a new release."
        return _no("REJECTED_PARTS", text, gate)
    return None


def confirm_fact(instance: Instance, *, actor: Principal, workflow: str, kind: str) -> str | Refusal:
    """State that a test alert arrived, or that a test page was acknowledged; who was on duty says so."""
    if kind not in _FACTS:
        raise UsageError("FACT_UNKNOWN", f"{kind!r} is no fact a person states.", hint="Write alert_test or test_page.")
    refusal = may(actor.roles, Action.DRILL)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        name = state_fact(connection, kind, workflow=workflow, by_person=str(actor.person or actor.id), at=now)
        record(
            connection,
            EntryKind.INCIDENT_DRILL_FINISHED,
            actor=actor,
            at=now,
            subject=name,
            data={"workflow": workflow, "what": kind},
        )
        return name
