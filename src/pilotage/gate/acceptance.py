"""Risk acceptances (gates.md 4.5): who may accept what, for how long, and what one covers.

Rule: an acceptance names its risk, scope, owner and end, comes from the authority its severity needs, and never covers
what is marked never. Fail mode: an acceptance with any problem covers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, Severity
from pilotage.gate.covering import covering
from pilotage.gate.eligibility import author_problem, holders
from pilotage.gate.records import Approver, GateInput, RiskAcceptance, Vote
from pilotage.gate.report import CriterionResult
from pilotage.gate.vocabulary import RiskLevel
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Accept, Trust

MAXIMUM: Mapping[RiskLevel, timedelta] = MappingProxyType(
    {
        RiskLevel.LOW: timedelta(days=180),
        RiskLevel.MEDIUM: timedelta(days=90),
        RiskLevel.HIGH: timedelta(days=30),
        RiskLevel.CRITICAL: timedelta(0),
    }
)
_AUTHORITY: Mapping[RiskLevel, frozenset[Role]] = MappingProxyType(
    {
        RiskLevel.LOW: frozenset({Role.BUSINESS_OWNER, Role.RISK_MANAGEMENT}),
        RiskLevel.MEDIUM: frozenset({Role.RISK_MANAGEMENT}),
        RiskLevel.HIGH: frozenset({Role.RISK_MANAGEMENT, Role.EXECUTIVE_SPONSOR}),
        RiskLevel.CRITICAL: frozenset(),
    }
)
_DISSENT_HIGH = frozenset({Role.SECURITY_DIRECTOR, Role.RISK_MANAGEMENT})
MIN_RATIONALE = 80
_BLANKET = frozenset({"*", "all", "any", "everything", ""})
_TERM = re.compile(r"([a-z][a-z0-9_]*) *(!=|<=|>=|=|<|>) *(-?[0-9]+(?:\.[0-9]+)?)")


def file_problems(risk: RiskAcceptance) -> tuple[Reason, ...]:
    """Return what is wrong with an acceptance as written, whoever approves it."""
    found: list[Reason] = []
    if risk.severity is RiskLevel.CRITICAL:
        found.append(_reason("RISK_NOT_ACCEPTABLE", "Nobody may accept a critical risk.", risk))
    covers = (*risk.criteria, *(seat.value for seat in risk.seats), *risk.findings)
    scope = (risk.release, *risk.spaces)
    if not covers or not risk.spaces or any(name.strip().lower() in _BLANKET or "*" in name for name in covers + scope):
        text = "Name the criteria, seats or findings it covers, one release and the spaces; no '*' and no 'all'."
        found.append(_reason("RISK_BLANKET", text, risk))
    limit = MAXIMUM[risk.severity]
    if risk.expires - risk.created > limit or risk.expires <= risk.created:
        text = f"A {risk.severity} risk is accepted for at most {limit.days} days, from creation to expiry."
        found.append(_reason("RISK_EXPIRY", text, risk))
    if len(risk.rationale.strip()) < MIN_RATIONALE:
        found.append(_reason("RISK_RATIONALE", f"Give the rationale in at least {MIN_RATIONALE} characters.", risk))
    if not any(control.strip() for control in risk.controls):
        found.append(_reason("RISK_CONTROLS", "Name at least one compensating control.", risk))
    return tuple(found + _chain(risk))


def _chain(risk: RiskAcceptance) -> list[Reason]:
    if not risk.renewals:
        return []
    total = risk.expires - (risk.first_created or risk.created)
    if risk.renewals > 1 or total > 2 * MAXIMUM[risk.severity] or risk.same_rationale:
        text = "One renewal, with a new rationale, and at most twice the maximum in all. Treat the risk instead."
        return [_reason("RISK_CHAINED", text, risk)]
    return []


def _reason(code: str, text: str, risk: RiskAcceptance) -> Reason:
    return Reason(code=code, text=text, where=risk.id)


def approver_problem(
    risk: RiskAcceptance, approver: Approver, given: GateInput, now: datetime, current: Sequence[Evidence]
) -> Reason | None:
    """Return why this person's approval of the acceptance does not count."""
    person = approver.person
    if not approver.is_person:
        return _reason("SOD_SERVICE", "A service never accepts a risk.", risk)
    if approver.role not in _AUTHORITY[risk.severity]:
        able = ", ".join(sorted(role.value for role in _AUTHORITY[risk.severity])) or "nobody"
        return _reason("RISK_AUTHORITY", f"A {risk.severity} risk is accepted by {able}.", risk)
    if person not in holders(given.roster, approver.role, approver.at):
        return _reason("RISK_AUTHORITY", f"{person} does not hold {approver.role.value}.", risk)
    unknown = author_problem(given.release)
    if unknown is not None:
        return unknown
    near = {
        "made a part of the release": any(person in people for people in given.release.authors.values()),
        "sealed the release": person == given.release.sealer,
        "asked for the acceptance": person == risk.requester,
        "owns the risk": person == risk.owner,
        "reports to the risk's owner": _reports_to(person, risk.owner, given.roster.reports_to),
        "dissents": _dissents(person, given.votes, given.facts.attempt),
        "attached, by word alone, evidence that this gate uses": any(
            item.trust is Trust.CLAIMED and item.producer == person for item in current
        ),
        "brought the release into production": person in given.facts.promoters,
    }
    for what, is_so in near.items():
        if is_so:
            return _reason("SOD_CONFLICT", f"{person} {what}. Somebody else must accept it.", risk)
    edited = given.facts.editors.get(person)
    if edited is not None and now - edited < timedelta(days=30):
        return _reason("SOD_CONFLICT", f"{person} changed the rules or the roster on {edited:%Y-%m-%d}.", risk)
    return _voter_problem(risk, approver, given)


def _reports_to(person: PersonId, owner: PersonId, lines: Mapping[PersonId, PersonId]) -> bool:
    seen: set[PersonId] = set()
    above = lines.get(person)
    while above is not None and above not in seen:
        if above == owner:
            return True
        seen.add(above)
        above = lines.get(above)
    return False


def _dissents(person: PersonId, votes: Sequence[Vote], attempt: int) -> bool:
    return any(
        vote.person == person and vote.decision != "approve" and vote.attempt == attempt for vote in latest(votes)
    )


def _voter_problem(risk: RiskAcceptance, approver: Approver, given: GateInput) -> Reason | None:
    """Return why a voter of the gate may not accept there: only risk-management may, up to medium."""
    roles = {
        vote.role for vote in given.votes if vote.person == approver.person and vote.attempt == given.facts.attempt
    }
    if not roles or roles == {Role.EXECUTIVE_SPONSOR}:
        return None
    if roles == {Role.RISK_MANAGEMENT} and risk.severity.rank <= RiskLevel.MEDIUM.rank:
        return None
    text = f"{approver.person} votes at {given.gate.name}; a voter accepts only as risk-management, up to medium."
    return _reason("SOD_CONFLICT", text, risk)


def latest(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    """Return each person's last vote per gate half, attempt and role."""
    newest: dict[tuple[str, int, Role, PersonId], Vote] = {}
    for vote in sorted(votes, key=lambda one: (one.at, one.id)):
        newest[(vote.half.value, vote.attempt, vote.role, vote.person)] = vote
    return tuple(newest.values())


def acceptance_problems(
    risk: RiskAcceptance, given: GateInput, now: datetime, current: Sequence[Evidence]
) -> tuple[Reason, ...]:
    """Return every reason why an acceptance does not hold now; none: it covers what it names."""
    found = list(file_problems(risk))
    if risk.withdrawn_at is not None and risk.withdrawn_at <= now:
        found.append(_reason("RISK_EXPIRY", "The acceptance was withdrawn.", risk))
    if not risk.created <= now < risk.expires:
        found.append(_reason("RISK_EXPIRY", f"The acceptance ended on {risk.expires:%Y-%m-%d %H:%MZ}.", risk))
    if risk.release != given.release.digest or risk.gate != given.gate.name:
        found.append(_reason("RISK_BLANKET", "The acceptance is for another release or gate.", risk))
    uncovered = [space for space in given.facts.spaces if space not in risk.spaces]
    if uncovered:
        found.append(_reason("RISK_BLANKET", f"The acceptance does not name {', '.join(uncovered)}.", risk))
    approved = [one for one in risk.approvers if approver_problem(risk, one, given, now, current) is None]
    found += _authority(risk, approved)
    fired = [claim.text for claim in risk.revoke_when if _is_true(claim.kind, claim.text, given, current)]
    if fired:
        found.append(_reason("RISK_EXPIRY", f"Its own condition came true: {fired[0]}.", risk))
    return tuple(found)


def accepting(
    finding: str, given: GateInput, now: datetime, current: Sequence[Evidence], *, level: RiskLevel
) -> RiskAcceptance | None:
    """Return the acceptance in force, of this level or higher, that names a finding; None: nobody accepted it."""
    fitting = (risk for risk in given.acceptances if finding in risk.findings and risk.severity.rank >= level.rank)
    return next((risk for risk in fitting if not acceptance_problems(risk, given, now, current)), None)


def _authority(risk: RiskAcceptance, approved: Sequence[Approver]) -> list[Reason]:
    roles = {one.role for one in approved}
    people = {one.person for one in approved}
    if risk.severity is RiskLevel.HIGH:
        if _AUTHORITY[RiskLevel.HIGH] <= roles and len(people) > 1:
            return []
        text = "A high risk needs risk-management and executive-sponsor, two people."
        return [_reason("RISK_AUTHORITY", text, risk)]
    if roles & _AUTHORITY[risk.severity]:
        return []
    able = ", ".join(sorted(role.value for role in _AUTHORITY[risk.severity])) or "nobody"
    return [_reason("RISK_AUTHORITY", f"A {risk.severity} risk still needs {able}.", risk)]


def _is_true(kind: str, text: str, given: GateInput, current: Sequence[Evidence]) -> bool:
    match = _TERM.fullmatch(text.strip())
    if match is None:
        return True  # a condition nobody can read ends the acceptance
    claims = [given.facts.claims.get(kind, {}), *(item.claims for item in current if item.kind == kind)]
    values = [found[match[1]] for found in claims if match[1] in found]
    limit = float(match[3])
    tests = {
        "=": lambda x: x == limit,
        "!=": lambda x: x != limit,
        "<": lambda x: x < limit,
        "<=": lambda x: x <= limit,
        ">": lambda x: x > limit,
        ">=": lambda x: x >= limit,
    }
    return any(tests[match[2]](value) for value in values)


def cover_criteria(
    results: Sequence[CriterionResult], risks: Sequence[RiskAcceptance]
) -> tuple[tuple[CriterionResult, ...], frozenset[str]]:
    """Return the criteria with what covers them, and the ids of the acceptances used."""
    if not risks:
        return tuple(results), frozenset()
    used: set[str] = set()
    out: list[CriterionResult] = []
    for result in results:
        covers = () if result.holds else _covers(result, risks)
        used |= {risk.id for risk in covers}
        out.append(replace(result, accepted_by=covers[0].id) if covers else result)
    return tuple(out), frozenset(used)


def _covers(result: CriterionResult, risks: Sequence[RiskAcceptance]) -> tuple[RiskAcceptance, ...]:
    needed = needed_level(result)
    if needed is None:
        return ()
    fitting = [risk for risk in risks if result.id in risk.criteria and risk.severity.rank >= needed.rank]
    return covering(result, sorted(fitting, key=lambda risk: (risk.severity.rank, risk.id)))


def needed_level(result: CriterionResult) -> RiskLevel | None:
    """Return the lowest severity an acceptance of this failure may have; None: nobody may accept it."""
    if result.accept == Accept.NEVER.value or result.severity in {Severity.CRITICAL, Severity.UNKNOWN}:
        return None
    level = RiskLevel(result.accept)
    if result.severity is Severity.HIGH:
        level = max(level, RiskLevel.HIGH, key=lambda one: one.rank)
    return level


def seat_cover(seat: Role, risks: Collection[RiskAcceptance]) -> RiskAcceptance | None:
    """Return the acceptance that covers a seat which did not approve: high for security and risk, else medium."""
    needed = RiskLevel.HIGH if seat in _DISSENT_HIGH else RiskLevel.MEDIUM
    fitting = [risk for risk in risks if seat in risk.seats and risk.severity.rank >= needed.rank]
    return min(fitting, key=lambda risk: (risk.severity.rank, risk.id), default=None)
