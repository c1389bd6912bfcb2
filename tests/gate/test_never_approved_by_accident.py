"""Whatever happens in whatever order, an approved gate satisfies the rule as it is stated again here, from scratch.

The machine submits and withdraws evidence, votes, edits plan, policy and roster, delegates, revokes, accepts risks and
lets time pass, on the pure decision. The second statement of the rule looks at the events, not at the gate's own code:
of a vote it takes who gave it, when, on which digests, and which evidence lay before the voter.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.gate.builders import (
    AUTHOR,
    DAY,
    EAST,
    GOOD_LOAD,
    GOOD_SCAN,
    GOOD_TESTS,
    HIGH_APPROVERS,
    HOUR,
    MUST_VOTE,
    NOW,
    QUORUM,
    SEATS,
    SPONSOR,
    TTL,
    Accepting,
    board_gate,
    empty,
    evidence,
    holder,
    knowing,
    other,
    vote,
)

from pilotage.core.ids import PersonId
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.gate.decide import decide
from pilotage.gate.records import Delegation, GateInput, Vote
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Trust

FEWER_TESTS = {**GOOD_TESTS, "executed": 25.0}
CHOICES = {
    "tests.unit": (GOOD_TESTS, {**GOOD_TESTS, "failed": 1.0}, FEWER_TESTS),
    "scan.sast": (GOOD_SCAN, {**GOOD_SCAN, "critical": 1.0}, {**GOOD_SCAN, "high": 1.0}),
    "load.peak": (GOOD_LOAD, {**GOOD_LOAD, "p95": 2_500.0}, {"p95": 900.0}),
}
WINDOWS = {"tests.unit": 14 * DAY, "scan.sast": 14 * DAY, "load.peak": 30 * DAY}
ROLES = (*SEATS, Role.EXECUTIVE_SPONSOR)
TRUSTS = (Trust.CLAIMED, Trust.PUSHED, Trust.ATTESTED)
PEOPLE = (*(holder(role, number) for role in SEATS for number in (0, 1)), SPONSOR, AUTHOR)


class Gate(RuleBasedStateMachine):
    """One release at the board's gate."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.given: GateInput = empty(board_gate())
        self.given = replace(self.given, evidence=())
        self.count = 0
        self.released: dict[str, datetime] = {}

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count:04d}"

    @rule(kind=st.sampled_from(sorted(CHOICES)), which=st.integers(0, 2), trust=st.sampled_from(list(Trust)))
    def submit(self, kind: str, which: int, trust: Trust) -> None:
        self.now += timedelta(seconds=1)
        item = evidence(kind, CHOICES[kind][which], name=self._name(), trust=trust, at=self.now)
        self.given = replace(self.given, evidence=(*self.given.evidence, item))

    @rule()
    def submit_everything_good(self) -> None:
        self.now += timedelta(seconds=1)
        items = tuple(evidence(kind, good[0], name=self._name(), at=self.now) for kind, good in CHOICES.items())
        self.given = replace(self.given, evidence=(*self.given.evidence, *items))

    @precondition(lambda self: self.given.evidence)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([one.id for one in self.given.evidence]))
        items = tuple(
            replace(one, state=EvidenceState.WITHDRAWN) if one.id == name else one for one in self.given.evidence
        )
        self.given = replace(self.given, evidence=items)

    def _cast(self, role: Role, person: PersonId, decision: VoteDecision, giver: PersonId | None = None) -> None:
        self.now += timedelta(seconds=1)
        made = vote(self.given, role, person=person, decision=decision, at=self.now, delegated_from=giver)
        self.given = replace(self.given, votes=(*self.given.votes, replace(made, id=self._name())))

    @rule(role=st.sampled_from(ROLES), person=st.sampled_from(PEOPLE), decision=st.sampled_from(list(VoteDecision)))
    def anybody_votes(self, role: Role, person: PersonId, decision: VoteDecision) -> None:
        self._cast(role, person, decision)

    @rule(role=st.sampled_from(ROLES))
    def the_holder_approves(self, role: Role) -> None:
        self._cast(role, SPONSOR if role is Role.EXECUTIVE_SPONSOR else holder(role), VoteDecision.APPROVE)

    @rule()
    def everybody_approves(self) -> None:
        for role in ROLES:
            self.the_holder_approves(role)

    @rule(role=st.sampled_from(SEATS))
    def the_alternate_approves_by_delegation(self, role: Role) -> None:
        self._cast(role, holder(role, 1), VoteDecision.APPROVE, holder(role))

    @rule(role=st.sampled_from(SEATS), days=st.integers(1, 30))
    def delegate(self, role: Role, days: int) -> None:
        made = Delegation(
            id=self._name(),
            giver=holder(role),
            to=holder(role, 1),
            role=role,
            gates=frozenset(),
            start=self.now,
            until=self.now + days * DAY,
            reason="away",
            made_at=self.now,
        )
        self.given = replace(
            self.given, roster=replace(self.given.roster, delegations=(*self.given.roster.delegations, made))
        )

    @precondition(lambda self: self.given.roster.delegations)
    @rule(data=st.data())
    def take_a_delegation_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([one.id for one in self.given.roster.delegations]))
        held = tuple(
            replace(one, revoked_at=self.now) if one.id == name else one for one in self.given.roster.delegations
        )
        self.given = replace(self.given, roster=replace(self.given.roster, delegations=held))

    @rule(what=st.sampled_from(["plan", "space_config", "cab_pack"]), value=st.integers(0, 1))
    def edit_facts(self, what: str, value: int) -> None:
        self.given = knowing(self.given, **{what: other(f"{what}{value}")})

    @rule(value=st.integers(0, 1))
    def edit_policy(self, value: int) -> None:
        self.given = replace(self.given, policy=other(f"policy{value}"))

    @rule(person=st.sampled_from(PEOPLE))
    def somebody_edits_the_roster(self, person: PersonId) -> None:
        self.given = knowing(self.given, editors={**self.given.facts.editors, person: self.now})

    @rule(person=st.sampled_from(PEOPLE))
    def revoke(self, person: PersonId) -> None:
        held = tuple(
            replace(one, until=self.now) if one.person == person and one.until is None else one
            for one in self.given.roster.tenures
        )
        self.given = replace(self.given, roster=replace(self.given.roster, tenures=held))

    @rule(seats=st.sets(st.sampled_from(SEATS), max_size=3), criteria=st.sampled_from([(), ("latency",), ("no-high",)]))
    def accept_a_risk(self, seats: set[Role], criteria: tuple[str, ...]) -> None:
        if not seats and not criteria:
            return
        approvers = tuple(replace(one, at=self.now) for one in HIGH_APPROVERS)
        made = Accepting(
            name=self._name(),
            seats=tuple(sorted(seats)),
            criteria=criteria,
            approvers=approvers,
            created=self.now,
            expires=self.now + 10 * DAY,
        ).made()
        self.given = replace(self.given, acceptances=(*self.given.acceptances, made))

    @rule(step=st.sampled_from([HOUR, DAY, 8 * DAY, 15 * DAY]))
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule(state=st.sampled_from(["sealed", "sealed", "quarantined"]))
    def set_release_state(self, state: str) -> None:
        self.given = replace(self.given, release=replace(self.given.release, state=state))

    @rule()
    def reopen(self) -> None:
        self.given = knowing(self.given, attempt=self.given.facts.attempt + 1)

    @invariant()
    def an_approved_gate_satisfies_the_rule(self) -> None:
        report = decide(self.given, self.now)
        if report.status.is_approved:
            assert why_not(self.given, self.now) == []


def newest(given: GateInput, kind: str) -> Evidence | None:
    """Return the last item of a kind that was handed in, withdrawn or not."""
    items = [one for one in given.evidence if one.kind == kind]
    return items[-1] if items else None


def is_good(item: Evidence | None, now: datetime) -> bool:
    """Tell whether an item shows, freshly and by a machine, what its criterion asks."""
    if item is None or item.state is not EvidenceState.ACCEPTED or item.trust is Trust.CLAIMED:
        return False
    if now - item.received_at > WINDOWS[item.kind]:
        return False
    claims = item.claims
    match item.kind:
        case "tests.unit":
            return claims["failed"] == 0 and claims["executed"] >= 20
        case "scan.sast":
            return claims["critical"] == 0 == claims["unknown"] and claims["high"] == 0
        case _:
            return claims["p95"] <= 2_000


def said(given: GateInput, now: datetime) -> list[Vote]:
    """Return approvals of the right person in a role: not too old, on today's plan, policy, settings and pack."""
    facts = given.facts
    last: dict[tuple[Role, PersonId], Vote] = {}
    for one in given.votes:
        if one.attempt == facts.attempt:
            last[one.role, one.person] = one
    return [
        one
        for one in last.values()
        if one.decision is VoteDecision.APPROVE
        and one.person in ({SPONSOR} if one.role is Role.EXECUTIVE_SPONSOR else {holder(one.role), holder(one.role, 1)})
        and is_entitled(given, one, now)
        and now - one.at <= TTL
        and one.person not in {who for who, at in facts.editors.items() if now - at < 30 * DAY}
        and (one.bound.policy, one.bound.plan) == (given.policy, facts.plan)
        and (one.bound.space_config, one.bound.cab_pack) == (facts.space_config, facts.cab_pack)
    ]


def come_since(given: GateInput, one: Vote) -> list[tuple[Evidence | None, Evidence]]:
    """Return what lies before a voter today and did not then, each with what it replaced."""
    seen = {item.kind: item for item in given.evidence if item.id in one.evidence}
    today = [item for kind in CHOICES if (item := newest(given, kind)) is not None]
    return [(seen.get(item.kind), item) for item in today if item.id not in one.evidence]


def is_no_worse(old: Evidence | None, new: Evidence) -> bool:
    """Tell whether a replacement is later, no less trusted, says all that was said, and is nearly as large."""
    if old is None or new.received_at <= old.received_at or TRUSTS.index(new.trust) < TRUSTS.index(old.trust):
        return False
    sizes = ("executed", "requests")
    return old.claims.keys() <= new.claims.keys() and all(
        new.claims[name] >= 0.9 * old.claims[name] for name in sizes if name in old.claims
    )


def counting(given: GateInput, by_seat: set[Role], now: datetime) -> list[Vote]:
    """Return the approvals that count: on today's evidence, or on evidence replaced after all had agreed."""
    votes = said(given, now)
    fresh = [one for one in votes if not come_since(given, one)]
    kept = [one for one in votes if one not in fresh and all(is_no_worse(*pair) for pair in come_since(given, one))]
    agreed = not disagreement(given, kept, by_seat)
    came = [new.received_at for one in kept for _, new in come_since(given, one)]
    return fresh + kept if agreed and min(came) > max(one.at for one in kept) else fresh


def disagreement(given: GateInput, votes: list[Vote], by_seat: set[Role]) -> list[str]:
    """Return what a set of approvals lacks: seats without acceptance, those who must vote, the sponsor after them."""
    wrong: list[str] = []
    first = {role: min(one.at for one in votes if one.role is role) for role in {one.role for one in votes}}
    silent = [role for role in SEATS if role not in first]
    if silent and (len(SEATS) - len(silent) < QUORUM or not set(silent) <= by_seat):
        wrong.append(f"seats {silent}")
    if silent and not set(MUST_VOTE) <= {one.role for one in given.votes if one.attempt == given.facts.attempt}:
        wrong.append("who must vote")
    sponsor = [one.at for one in votes if one.role is Role.EXECUTIVE_SPONSOR]
    if not any(at >= max((first[role] for role in SEATS if role in first), default=at) for at in sponsor):
        wrong.append("the sponsor")
    return wrong


def held(given: GateInput, who: PersonId, role: Role, at: datetime, span: timedelta) -> bool:
    """Tell whether somebody held a role at a moment, and for so long by then."""
    return any(
        one.person == who and one.role is role and one.since <= at - span and (one.until is None or at < one.until)
        for one in given.roster.tenures
    )


def is_entitled(given: GateInput, one: Vote, now: datetime) -> bool:
    """Tell whether a vote was its voter's to give: by a role held then, or by a delegation that stood then.

    A seat lost after the board began still counts; the sponsor must hold the role today.
    """
    active = [
        made
        for made in given.roster.delegations
        if made.role is one.role
        and made.start <= one.at < made.until
        and (made.revoked_at is None or one.at < made.revoked_at)
    ]
    if one.role is Role.EXECUTIVE_SPONSOR:
        return all(held(given, one.person, one.role, at, DAY) for at in (one.at, now))
    giver = one.delegated_from
    if giver is None:
        is_away = any(made.giver == one.person for made in active)
        return one.person == holder(one.role) and not is_away and held(given, one.person, one.role, one.at, 7 * DAY)
    stood = any((made.giver, made.to) == (giver, one.person) and made.made_at <= one.at for made in active)
    return stood and giver == holder(one.role) and held(given, giver, one.role, one.at, 7 * DAY)


def why_not(given: GateInput, now: datetime) -> list[str]:
    """Return what of the rule does not hold."""
    valid = [
        one
        for one in given.acceptances
        if one.created <= now < one.expires
        and all(held(given, by.person, by.role, by.at, timedelta()) for by in one.approvers)
        and not {SPONSOR, holder(Role.RISK_MANAGEMENT, 1)}
        & {who for who, at in given.facts.editors.items() if now - at < 30 * DAY}
    ]
    by_criterion = {name for risk in valid for name in risk.criteria}
    by_seat = {role for risk in valid for role in risk.seats}
    wrong: list[str] = []
    if given.release.state != "sealed":
        wrong.append("the release fell")
    for kind, name in (("tests.unit", "tests"), ("scan.sast", "no-high"), ("load.peak", "latency")):
        item = newest(given, kind)
        if name in by_criterion and (item is None or not item.claims.get("critical")):
            continue
        if not is_good(item, now):
            wrong.append(kind)
    votes = counting(given, by_seat, now)
    wrong += disagreement(given, votes, by_seat)
    if AUTHOR in {one.person for one in votes}:
        wrong.append("the author")
    return wrong


TestGate = Gate.TestCase
TestGate.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.mark.slow
class TestGateForLong(Gate.TestCase):  # type: ignore[misc, valid-type]
    """The same machine over far more and longer stories."""

    settings = settings(max_examples=400, stateful_step_count=40, deadline=None)


def test_the_machine_does_reach_approval() -> None:
    gate = Gate()
    gate.submit_everything_good()
    gate.everybody_approves()
    report = decide(gate.given, gate.now)
    assert report.status.is_approved, report.reasons
    assert why_not(gate.given, gate.now) == []
    assert EAST in gate.given.facts.spaces


def test_the_second_statement_does_notice() -> None:
    gate = Gate()
    gate.submit_everything_good()
    gate.everybody_approves()
    gate.edit_policy(1)
    assert why_not(gate.given, gate.now) != []
    gate.submit("tests.unit", 1, Trust.PUSHED)
    assert "tests.unit" in why_not(gate.given, gate.now)


def approved() -> Gate:
    gate = Gate()
    gate.submit_everything_good()
    gate.everybody_approves()
    return gate


def test_the_second_statement_notices_who_may_not_speak() -> None:
    for lost in (SPONSOR, holder(SEATS[0])):
        late = Gate()
        late.submit_everything_good()
        late.revoke(lost)
        late.everybody_approves()
        assert why_not(late.given, late.now) != []
        assert not decide(late.given, late.now).status.is_approved
    left = approved()
    left.revoke(SPONSOR)
    assert "the sponsor" in why_not(left.given, left.now)
    role = SEATS[0]
    for story in ("nobody asked", "taken back", "ended", "given away"):
        gate = Gate()
        gate.submit_everything_good()
        if story != "nobody asked":
            gate.delegate(role, 1)
        if story == "taken back":
            made = gate.given.roster.delegations[0]
            back = replace(made, revoked_at=gate.now)
            gate.given = replace(gate.given, roster=replace(gate.given.roster, delegations=(back,)))
        if story == "ended":
            gate.time_passes(8 * DAY)
        for other_role in ROLES:
            if other_role is not role:
                gate.the_holder_approves(other_role)
        if story == "given away":
            gate.the_holder_approves(role)
        else:
            gate.the_alternate_approves_by_delegation(role)
        gate.the_holder_approves(Role.EXECUTIVE_SPONSOR)
        assert f"seats {[role]}" in why_not(gate.given, gate.now), story
        assert not decide(gate.given, gate.now).status.is_approved, story


def test_a_delegate_in_time_is_as_good_as_the_holder() -> None:
    gate = Gate()
    gate.submit_everything_good()
    gate.delegate(SEATS[0], 2)
    gate.the_alternate_approves_by_delegation(SEATS[0])
    for role in SEATS[1:]:
        gate.the_holder_approves(role)
    gate.the_holder_approves(Role.EXECUTIVE_SPONSOR)
    assert why_not(gate.given, gate.now) == []
    assert decide(gate.given, gate.now).status.is_approved


def test_the_second_statement_tells_a_better_replacement_from_a_smaller_one() -> None:
    gate = Gate()
    gate.submit_everything_good()
    gate.everybody_approves()
    gate.submit("tests.unit", 0, Trust.ATTESTED)
    assert why_not(gate.given, gate.now) == []
    gate.submit("tests.unit", 2, Trust.ATTESTED)
    assert why_not(gate.given, gate.now) == [f"seats {list(SEATS)}", "who must vote", "the sponsor"][::2]
