"""Whether a person's vote may count (gates.md 4.2, 4.6, 4.7): role, tenure, separation of duties, delegation, login.

Rule: the same check runs when the vote is given and whenever it is counted, on the stable person. Fail mode: an author
who maps to nobody makes every separation check inconclusive, so no vote counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.gate.records import Delegation, GateInput, Login, ReleaseFacts, Roster, SeatAt, Vote
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.release.authorship import UNKNOWN
from pilotage.workspace.gate import Trust

ROLE_TENURE = timedelta(days=1)
SEAT_TENURE = timedelta(days=7)
LOGIN_AGE = timedelta(minutes=15)
EDITOR_PERIOD = timedelta(days=30)
MIN_COMMENT = 10
MAX_DELEGATION = timedelta(days=30)


def author_problem(release: ReleaseFacts) -> Reason | None:
    """Return AUTHOR_UNKNOWN when a part was made by somebody who maps to no person."""
    parts = sorted(part for part, people in release.authors.items() if UNKNOWN in people)
    if not parts:
        return None
    what = ", ".join(parts)
    text = f"A Git address that made {what} belongs to nobody. Add it to the person's emails in pilotage.yaml."
    return Reason(code="AUTHOR_UNKNOWN", text=text, where=", ".join(parts))


def separation_problem(person: PersonId, given: GateInput, now: datetime, current: Iterable[Evidence]) -> Reason | None:
    """Return why this person stands too near: author, sealer, source of claims, promoter, editor of the rules."""
    made = maker_problem(person, given.release)
    if made is not None:
        return made
    used = [item.id for item in current if item.trust is Trust.CLAIMED and item.producer == person]
    if used:
        return _conflict(f"{person} attached {used[0]}, which this gate uses, by word alone.", "evidence")
    if given.facts.guards_production and person in given.facts.promoters:
        return _conflict(f"{person} brought this release into production.", "promoter")
    return editor_problem(person, given.facts.editors, now)


def maker_problem(person: PersonId, release: ReleaseFacts) -> Reason | None:
    """Return why this person decides nothing about a release: author of a part, or sealer; or nobody knows."""
    unknown = author_problem(release)
    if unknown is not None:
        return unknown
    parts = sorted(part for part, people in release.authors.items() if person in people)
    if parts:
        return _conflict(f"{person} made {', '.join(parts)} of this release.", "author")
    if person == release.sealer:
        return _conflict(f"{person} sealed this release.", "sealer")
    return None


def editor_problem(person: PersonId, editors: Mapping[PersonId, datetime], now: datetime) -> Reason | None:
    """Return why this person decides nothing for now: they changed the rules or the roster lately."""
    edited = editors.get(person)
    if edited is not None and now - edited < EDITOR_PERIOD:
        return _conflict(f"{person} changed the rules or the roster on {edited:%Y-%m-%d}.", "policy editor")
    return None


def _conflict(what: str, source: str) -> Reason:
    return Reason(code="SOD_CONFLICT", text=f"{what} Somebody else must decide.", where=source)


def holders(roster: Roster, role: Role, at: datetime) -> dict[PersonId, datetime]:
    """Return who held a role at a moment, and since when."""
    return {
        tenure.person: tenure.since
        for tenure in roster.tenures
        if tenure.role is role and tenure.since <= at and (tenure.until is None or at < tenure.until)
    }


def seat_of(roster: Roster, role: Role) -> SeatAt | None:
    """Return a board seat, of the snapshot first: a seat removed later still counts."""
    for seat in (*(roster.snapshot or ()), *roster.seats):
        if seat.role is role:
            return seat
    return None


def standing_problem(vote: Vote, given: GateInput, now: datetime) -> Reason | None:
    """Return why the voter does not hold the role or seat, directly or by a delegation.

    A reject is judged as of the vote alone: whoever loses a role, is recused or leaves afterwards still dissents.
    """
    now = vote.at if vote.decision is VoteDecision.REJECT else now
    if not vote.is_person:
        return Reason(code="SOD_SERVICE", text="A service never votes, accepts or confirms.", where=vote.person)
    if vote.delegated_from is not None:
        return _delegation_problem(vote, vote.delegated_from, given, now)
    away = _delegated_away(vote, given.roster)
    if away is not None:
        until = f"{away.until:%Y-%m-%d %H:%MZ}"
        text = f"{vote.person} delegated {vote.role.value} to {away.to} until {until}; the delegate votes."
        return Reason(code="DELEGATION_ACTIVE", text=text, where=away.id)
    return _holding_problem(vote.person, vote, given, now)


def _delegated_away(vote: Vote, roster: Roster) -> Delegation | None:
    for delegation in roster.delegations:
        if _fits(delegation, vote) and delegation.giver == vote.person and delegation.is_active(vote.at):
            return delegation
    return None


def _fits(delegation: Delegation, vote: Vote) -> bool:
    return delegation.role is vote.role and (not delegation.gates or vote.gate in delegation.gates)


def _delegation_problem(vote: Vote, giver: PersonId, given: GateInput, now: datetime) -> Reason | None:
    found = [
        one for one in given.roster.delegations if _fits(one, vote) and one.giver == giver and one.to == vote.person
    ]
    if not found:
        text = f"{giver} has not delegated {vote.role.value} at {vote.gate} to {vote.person}."
        return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)
    if not any(one.is_active(vote.at) and one.made_at <= vote.at for one in found):
        text = f"The delegation of {giver} to {vote.person} does not hold at the time of the vote."
        return Reason(code="DELEGATION_EXPIRED", text=text, where=found[-1].id)
    chained = [
        one
        for one in given.roster.delegations
        if one.to == giver and one.role is vote.role and one.is_active(vote.at) and one.giver != giver
    ]
    if chained and giver not in holders(given.roster, vote.role, vote.at):
        text = f"{giver} holds {vote.role.value} only by a delegation, which cannot be passed on."
        return Reason(code="DELEGATION_CHAIN", text=text, where=chained[0].id)
    if vote.is_seat:
        seat = seat_of(given.roster, vote.role)
        if seat is None or vote.person not in seat.alternates:
            text = f"A seat goes only to its registered alternate; {vote.person} is none of {vote.role.value}."
            return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)
    return _holding_problem(giver, vote, given, now)


def _holding_problem(person: PersonId, vote: Vote, given: GateInput, now: datetime) -> Reason | None:
    roster = given.roster
    if vote.is_seat:
        seat = seat_of(roster, vote.role)
        if seat is None or person not in {seat.holder, *_stand_in(seat, roster)}:
            return _not_seated(person, vote, roster)
        if person != seat.holder:
            return None
        if vote.role in roster.recused and vote.decision is not VoteDecision.REJECT:
            text = f"{person} recused from {vote.role.value}; {roster.recused[vote.role]} stands in."
            return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)
    then = holders(roster, vote.role, vote.at)
    if person not in then:
        text = f"{person} did not hold {vote.role.value} when voting."
        return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)
    if person not in holders(roster, vote.role, now) and not (vote.is_seat and roster.snapshot):
        text = f"{person} no longer holds {vote.role.value}."
        return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)
    needed = SEAT_TENURE if vote.is_seat else ROLE_TENURE
    held = vote.at - then[person]
    if held < needed:
        text = f"{person} holds {vote.role.value} since {then[person]:%Y-%m-%d %H:%MZ}; it takes {needed.days} d."
        return Reason(
            code="ROLE_TENURE", text=text, where=vote.role.value, observed=str(held), limit=f"{needed.days} d"
        )
    return None


def _stand_in(seat: SeatAt, roster: Roster) -> tuple[PersonId, ...]:
    named = roster.recused.get(seat.role)
    return (named,) if named in seat.alternates and named is not None else ()


def _not_seated(person: PersonId, vote: Vote, roster: Roster) -> Reason:
    if roster.snapshot is not None and any(one.role is vote.role and one.holder == person for one in roster.seats):
        text = f"{person} came to the seat {vote.role.value} after voting began; who held it then still votes."
        return Reason(code="ROSTER_CHANGED", text=text, where=vote.role.value)
    return Reason(
        code="VOTER_INELIGIBLE", text=f"{person} does not hold the seat {vote.role.value}.", where=vote.role.value
    )


def form_problem(vote: Vote, given: GateInput, *, has_acceptances: bool, current: Iterable[Evidence]) -> Reason | None:
    """Return what the vote itself lacks: a comment, an answer of the checklist, a fresh login."""
    needs_comment = vote.decision is not VoteDecision.APPROVE or has_acceptances
    if needs_comment and len(vote.comment.strip()) < MIN_COMMENT:
        text = f"Say why in at least {MIN_COMMENT} characters: --comment."
        return Reason(code="VOTE_COMMENT", text=text, where=vote.role.value)
    if vote.decision is VoteDecision.APPROVE:
        problem = _checklist_problem(vote, given, {item.kind for item in current})
        if problem is not None:
            return problem
    return _login_problem(vote, given)


def _checklist_problem(vote: Vote, given: GateInput, kinds: Collection[str]) -> Reason | None:
    for signoff in given.rules.signoffs:
        if signoff.role is not vote.role:
            continue
        for item, evidence in signoff.questions.items():
            answer = vote.checklist.get(item, "").strip()
            lacking = [kind for kind in evidence if kind not in kinds]
            if answer == "yes" and lacking:
                text = f"Item {item!r} rests on {', '.join(lacking)}: bring it, or write n/a with the reason."
                return Reason(code="CHECKLIST_EVIDENCE", text=text, where=item, observed=", ".join(lacking))
            if answer == "yes" or (answer.startswith("n/a") and len(answer) > len("n/a") + 2):
                continue
            text = f"The checklist item {item!r} is not answered; write yes, or n/a with the reason."
            return Reason(code="CHECKLIST_OPEN", text=text, where=item)
    return None


def old_login(login: Login, at: datetime) -> Reason | None:
    """Return why a login is too old for a decision of weight at this moment."""
    age = at - login.at
    if timedelta() <= age <= LOGIN_AGE:
        return None
    text = "This decision asks for a login of the last 15 minutes: log in again, then decide."
    return Reason(code="LOGIN_OLD", text=text, observed=str(age), limit="15 min")


def _login_problem(vote: Vote, given: GateInput) -> Reason | None:
    if not given.facts.guards_production:
        return None
    return login_problem(vote.login, vote.at, is_local_demo=given.facts.is_local_demo)


def login_problem(login: Login, at: datetime, *, is_local_demo: bool) -> Reason | None:
    """Return why a login does not carry a decision about production: too old, or without a second factor."""
    problem = old_login(login, at)
    if problem is not None:
        return problem
    if login.second_factor or (login.second_factor is None and is_local_demo):
        return None
    text = (
        "This gate guards production and needs a login with a second factor. In local identity mode none is known; "
        "a trial sets identity.local_demo: true."
    )
    return Reason(code="MFA_UNKNOWN", text=text, where=login.method)
