"""Which votes may be counted (gates.md 4.2, 4.4): of this attempt, by eligible people, on today's bindings, in time.

Rule: a reject stands whatever else changes; a benign replacement of evidence leaves a complete approval standing, and
before completion asks for confirmation again. Fail mode: the vote is listed with the reason why it does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import OWN_RUNS, is_benign
from pilotage.gate.binding import bind_of, moved
from pilotage.gate.counting import Ballot, tally
from pilotage.gate.eligibility import form_problem, separation_problem, standing_problem
from pilotage.gate.records import Bound, GateInput, Vote
from pilotage.gate.report import SignoffResult
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role

Refused = dict[Role, tuple[tuple[PersonId, Reason], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballots:
    """`counting` counts now; `ageless` would if age were no matter; `stale` were given on something else.

    `benign` are in time and differ from today by better evidence alone, whether or not the approval was complete.
    """

    counting: Ballot
    ageless: Ballot
    aged: tuple[Vote, ...]
    stale: tuple[Vote, ...]
    rejects: tuple[Vote, ...]
    benign: tuple[Vote, ...] = ()


def standing_votes(given: GateInput) -> tuple[Vote, ...]:
    """Return each person's standing vote per role in this attempt: the last one, but a reject stays a reject."""
    mine = [
        vote
        for vote in given.votes
        if vote.gate == given.gate.name
        and vote.half is given.half
        and vote.attempt == given.facts.attempt
        and vote.release == given.release.digest
    ]
    held: dict[tuple[Role, PersonId], Vote] = {}
    for vote in sorted(mine, key=lambda one: (one.at, one.id)):
        key = (vote.role, vote.person)
        before = held.get(key)
        if before is None or before.decision is not VoteDecision.REJECT:
            held[key] = vote
    return tuple(held.values())


def asked_problem(vote: Vote, given: GateInput) -> Reason | None:
    """Return that the gate does not ask for this role, and which it asks for."""
    asked = {one.role.value for one in given.rules.signoffs}
    if vote.is_seat or vote.role.value in asked:
        return None
    asked |= set() if given.rules.board is None else {role.value for role in given.rules.board.seats}
    hint = (
        f"It asks for {', '.join(sorted(asked))}." if asked else "Nobody signs there: evidence and documents meet it."
    )
    text = f"Gate {vote.gate} asks for no {vote.role.value}. {hint}"
    return Reason(code="ROLE_NOT_ASKED", text=text, where=vote.role.value)


def seat_problems(vote: Vote, given: GateInput) -> tuple[Reason, ...]:
    """Return why the voter may not use this role: they voted in another one already."""
    return tuple(
        Reason(
            code="SEAT_DUPLICATE",
            text=f"{vote.person} already voted as {before.role.value} here; one person fills one seat.",
            where=before.role.value,
        )
        for before in standing_votes(given)
        if before.person == vote.person and before.role is not vote.role
    )


def only_reject(vote: Vote, given: GateInput) -> tuple[Reason, ...]:
    """Return why the voter may reject and nothing else: they rejected before, or the board's pack is outdated."""
    found: list[Reason] = []
    for before in standing_votes(given):
        if (before.person, before.role, before.decision) == (vote.person, vote.role, VoteDecision.REJECT):
            text = "A reject is lifted only in a new attempt: `pilotage gate reopen`, with new evidence and a reason."
            found.append(Reason(code="REVOTE_NO_NEW_EVIDENCE", text=text, where=before.id))
    if given.facts.pack_outdated:
        what = ", ".join(given.facts.pack_outdated)
        text = f"The board's pack is outdated ({what} moved). Run `pilotage report cab DIGEST` and read it again."
        found.append(Reason(code="PACK_OUTDATED", text=text, where=vote.gate, observed=what))
    return tuple(found)


def said_before(vote: Vote, given: GateInput, signoffs: Sequence[SignoffResult]) -> Vote | None:
    """Return the standing vote that says all of this on the same things, of the same sign-in, and counts.

    A form that a person sends again from the page before adds nothing to it; a fresh sign-in renews it.
    """
    for before in standing_votes(given):
        if replace(before, id=vote.id, at=vote.at, nonce=vote.nonce) != vote:
            continue
        for one in signoffs:
            if one.role is vote.role and vote.person in {*one.approved_by, *one.rejected_by, *one.abstained_by}:
                return before
    return None


def _piles() -> tuple[list[Vote], list[Vote], list[Vote], list[Vote]]:
    return [], [], [], []


def ballots_of(
    given: GateInput,
    bound: Bound,
    current: Sequence[Evidence],
    now: datetime,
    *,
    has_acceptances: bool,
    after_board: Bound | None = None,
) -> Ballots:
    """Sort the standing votes into those that count and those that do not, with reasons."""
    refused: dict[Role, list[tuple[PersonId, Reason]]] = {}
    exact, benign, stale, rejects = _piles()
    late_roles = {one.role for one in given.rules.signoffs if one.after_board}
    standing = standing_votes(given)
    binds = {target: bind_of(target) for target in (bound, after_board) if target is not None and standing}
    for vote in standing:
        problem = _problem(vote, given, now, current, has_acceptances=has_acceptances)
        if problem is not None:
            refused.setdefault(vote.role, []).append((vote.person, problem))
            continue
        if vote.decision is VoteDecision.REJECT:
            rejects.append(vote)
            exact.append(vote)
            continue
        target = after_board if after_board is not None and vote.role in late_roles and not vote.is_seat else bound
        if vote.bind == binds[target]:
            exact.append(vote)
        elif _is_benign_change(vote, target, given, current):
            benign.append(vote)
        else:
            stale.append(vote)
            refused.setdefault(vote.role, []).extend((vote.person, why) for why in _stale_reasons(vote, target))
    young, aged = _by_age(exact, given, now)
    kept = _benign_if_complete(given, benign, current, now)
    if kept:
        young += _by_age(kept, given, now)[0]
    else:
        stale += benign
        for vote in benign:
            refused.setdefault(vote.role, []).extend((vote.person, why) for why in _stale_reasons(vote, bound))
    frozen: Refused = {role: tuple(found) for role, found in refused.items()}
    with_age = {**frozen, **_aged_reasons(frozen, aged, given)}
    return Ballots(
        counting=Ballot(votes=tuple(young), refused=with_age),
        ageless=Ballot(votes=tuple(young + aged), refused=frozen),
        aged=tuple(aged),
        stale=tuple(stale),
        rejects=tuple(rejects),
        benign=tuple(_by_age(benign, given, now)[0]),
    )


def _problem(
    vote: Vote, given: GateInput, now: datetime, current: Sequence[Evidence], *, has_acceptances: bool
) -> Reason | None:
    facts = given.facts
    if vote.decision is VoteDecision.REJECT:  # nothing a dissenter does later takes the dissent away
        given, current = replace(given, facts=replace(facts, editors={})), ()
    return (
        standing_problem(vote, given, now)
        or separation_problem(vote.person, given, now, current)
        or form_problem(vote, given, has_acceptances=has_acceptances, current=current)
    )


def _by_age(votes: Sequence[Vote], given: GateInput, now: datetime) -> tuple[list[Vote], list[Vote]]:
    ttl = given.rules.ttl_s
    if ttl is None:
        return list(votes), []
    limit, facts = timedelta(seconds=ttl), given.facts
    since = None if facts.runs_until is None or now > facts.runs_until else facts.runs_since
    young = [
        vote
        for vote in votes
        if now - vote.at <= limit
        or vote.decision is VoteDecision.REJECT
        or (since is not None and timedelta() <= since - vote.at <= limit)
    ]
    return young, [vote for vote in votes if vote not in young]


def _aged_reasons(held: Refused, aged: Sequence[Vote], given: GateInput) -> Refused:
    days = (given.rules.ttl_s or 0) / 86_400
    out: Refused = {}
    for vote in aged:
        text = f"The vote of {vote.person} is older than {days:g} days; sign again."
        reason = Reason(code="GATE_EXPIRED", text=text, where=vote.role.value, limit=f"{days:g} d")
        before = out.get(vote.role, held.get(vote.role, ()))
        out[vote.role] = (*before, (vote.person, reason))
    return out


def _stale_reasons(vote: Vote, bound: Bound) -> tuple[Reason, ...]:
    """Return that the vote was given on something else; changed rules are named by themselves, with both digests."""
    names = moved(vote.bound, bound)
    what = ", ".join(names) or "the bindings"
    text = f"{vote.person} signed before {what} changed; sign again on what is there now."
    stale = Reason(code="VOTE_STALE", text=text, where=vote.role.value, observed=what)
    if "policy" not in names:
        return (stale,)
    text = f"{vote.person} signed under other rules of {vote.gate}. Read what changed in gates/ and workflow.yaml."
    then, now = vote.bound.policy, bound.policy
    return (stale, Reason(code="POLICY_CHANGED", text=text, where=vote.gate, observed=then, limit=now))


def _is_benign_change(vote: Vote, bound: Bound, given: GateInput, current: Sequence[Evidence]) -> bool:
    """Tell whether only evidence moved since the vote, and only for the better."""
    if set(moved(vote.bound, bound)) - {"evidence_set"}:
        return False
    then = {item.id: item for item in given.evidence if item.id in vote.evidence}
    if len(then) != len(set(vote.evidence)):
        return False
    now_ids = {item.id for item in current}
    gone = [item for item in then.values() if item.id not in now_ids]
    come = [item for item in current if item.id not in then]
    if not come:
        return False
    for item in come:
        before = [
            old
            for old in (then.values() if item.kind in OWN_RUNS else gone)
            if (old.kind, old.subject, old.suite, old.space) == (item.kind, item.subject, item.suite, item.space)
        ]
        if not before or not is_benign(max(before, key=lambda old: old.received_at), item):
            return False
    replaced = {(item.kind, item.subject, item.suite, item.space) for item in come}
    return all((old.kind, old.subject, old.suite, old.space) in replaced for old in gone)


def _benign_if_complete(
    given: GateInput, benign: Sequence[Vote], current: Sequence[Evidence], now: datetime
) -> list[Vote]:
    """Return the votes of an approval that was complete before the evidence was replaced; otherwise none."""
    if not benign:
        return []
    young, _ = _by_age(benign, given, now)
    if not tally(given, Ballot(votes=tuple(young), refused={}), given.acceptances, current, now).is_complete:
        return []
    last = max(vote.at for vote in young)
    known = {name for vote in young for name in vote.evidence}
    is_after = all(item.received_at > last for item in current if item.id not in known)
    return young if is_after else []
