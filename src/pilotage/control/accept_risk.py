"""`pilotage gate accept-risk`: a documented risk is accepted for a time, by whom its severity asks for.

Rule: whoever holds the authority approves by handing in the same file; a high one takes two such people. Fail mode: a
Refusal with every reason; nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.board_snapshot import notice_complete
from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import input_of, report_of
from pilotage.control.gate_entries import risk_data
from pilotage.control.gate_roster import notice_changes
from pilotage.control.gate_status import space_for
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Outcome, Reason, Refusal
from pilotage.evidence.records import Evidence
from pilotage.gate.acceptance import acceptance_problems, approver_problem, file_problems, needed_level
from pilotage.gate.covering import open_now
from pilotage.gate.eligibility import old_login
from pilotage.gate.records import Approver, GateInput, Login, RiskAcceptance
from pilotage.gate.report import GateReport
from pilotage.gate.risk_file import RiskFile, read_risk_file
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Action, Role, grant_for
from pilotage.ledger.entry import EntryKind
from pilotage.store.gate_people import acceptance_of_text, acceptances_of_risk, add_acceptance
from pilotage.store.releases import StoredRelease, named_release


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskText:
    """A risk file as it was handed in. `login` None: local identity mode, where every command proves the person."""

    data: bytes
    file: str = "risk.yaml"
    login: Login | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The acceptance as it stands, what still keeps it from holding, and the gate after it."""

    risk: RiskAcceptance
    open: tuple[Reason, ...]
    report: GateReport

    def as_json(self) -> dict[str, Json]:
        """Return the documented result of `pilotage gate accept-risk`."""
        return {
            "acceptance": self.risk.id,
            "risk": self.risk.risk,
            "severity": self.risk.severity.value,
            "expires": to_text(self.risk.expires),
            "approvers": [one.person for one in self.risk.approvers],
            "holds": not self.open,
            "open": [dict(reason.as_json()) for reason in self.open],
            "status": self.report.status.value,
        }


def accept_risk(instance: Instance, *, actor: Principal, release: str, gate: str, text: RiskText) -> Accepted | Refusal:
    """Approve a risk acceptance, or join the one written from the same file."""
    problem = None if text.login is None else old_login(text.login, instance.clock.now())
    if problem is not None:
        return Refusal(reasons=(problem,))
    written = read_risk_file(text.data, file=text.file)
    role = _authority(actor, written)
    if isinstance(role, Refusal):
        return role
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        stored = named_release(connection, release)
        digest = digest_of(text.data).removeprefix("sha256:")
        known = acceptance_of_text(connection, stored.digest, gate, digest)
        chain = open_chain(connection, instance, stored, now)
        space = space_for(instance, gate, None)
        report = report_of(chain, gate, space=space)
        given = input_of(chain, gate, space=space)
        risk = known or _risk(connection, stored, report, written, now)
        approver = Approver(
            person=PersonId(str(actor.person or actor.id)),
            role=role,
            at=now,
            is_person=actor.kind is PrincipalKind.PERSON,
        )
        current = [one for one in given.evidence if one.id in report.evidence]
        reasons = _reasons(risk, approver, given, report, now, current)
        if reasons:
            return Refusal(reasons=reasons)
        others = tuple(one for one in risk.approvers if one.person != approver.person)
        risk = replace(risk, approvers=(*others, approver))
        add_acceptance(connection, risk, digest)
        _record(connection, risk, actor, now)
        after = open_chain(connection, instance, stored, now)
        stands = report_of(after, gate, space=space)
        notice_complete(after, [stands], by=approver.person)
        return Accepted(risk=risk, open=acceptance_problems(risk, given, now, current), report=stands)


def _authority(actor: Principal, written: RiskFile) -> Role | Refusal:
    """Return the role in which the actor may accept a risk of this severity."""
    for role in (Role.EXECUTIVE_SPONSOR, Role.RISK_MANAGEMENT, Role.BUSINESS_OWNER):
        if role in actor.roles and grant_for((role,), Action.ACCEPT_RISK, within=written.severity.value) is not None:
            return role
    if written.severity.value == "critical":
        text = "Nobody may accept a critical risk. Repair it, or withdraw the release."
        return Refusal(reasons=(Reason(code="RISK_NOT_ACCEPTABLE", text=text, where=written.risk),))
    text = f"Accepting a {written.severity} risk is not permitted to you; risk-management may, high with the sponsor."
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=written.risk),))


def _risk(
    connection: Connection, stored: StoredRelease, report: GateReport, written: RiskFile, now: datetime
) -> RiskAcceptance:
    before = [one for one in acceptances_of_risk(connection, written.risk) if one.approvers]
    return RiskAcceptance(
        id=new_ulid(now),
        risk=written.risk,
        severity=written.severity,
        gate=report.gate,
        criteria=written.criteria,
        seats=written.seats,
        findings=written.findings,
        rationale=written.rationale,
        controls=written.controls,
        likelihood=written.likelihood,
        impact=written.impact,
        owner=written.owner,
        requester=written.requester or written.owner,
        release=stored.digest,
        spaces=written.spaces,
        created=now,
        expires=written.expires,
        review_at=written.review_at,
        revoke_when=written.revoke_when,
        renewals=len(before),
        first_created=before[0].created if before else None,
        same_rationale=any(one.rationale == written.rationale for one in before),
        open_then=tuple(open_now(one, written.findings) for one in report.criteria if one.id in written.criteria),
    )


def _reasons(
    risk: RiskAcceptance,
    approver: Approver,
    given: GateInput,
    report: GateReport,
    now: datetime,
    current: Sequence[Evidence],
) -> tuple[Reason, ...]:
    found = list(file_problems(risk))
    problem = approver_problem(risk, approver, given, now, current)
    if problem is not None:
        found.append(problem)
    by_id = {one.id: one for one in report.criteria}
    for name in risk.criteria:
        result = by_id.get(name)
        if result is None:
            text = f"Gate {report.gate} has no criterion {name!r}."
            found.append(Reason(code="RISK_BLANKET", text=text, where=name))
            continue
        needed = needed_level(result)
        if result.outcome is Outcome.OK:
            text = f"{name} is met. An acceptance covers what is open when it is given, and nothing that comes later."
            found.append(Reason(code="RISK_BLANKET", text=text, where=name))
        elif needed is None:
            text = f"{name} can never be accepted: it is marked never, or a critical finding is open."
            found.append(Reason(code="RISK_NOT_ACCEPTABLE", text=text, where=name))
        elif risk.severity.rank < needed.rank:
            text = f"{name} needs an acceptance of severity {needed} or higher; the file says {risk.severity}."
            found.append(Reason(code="RISK_AUTHORITY", text=text, where=name))
    uncovered = [space for space in given.facts.spaces if space not in risk.spaces]
    if uncovered:
        text = f"The gate opens {', '.join(given.facts.spaces)}; the acceptance does not name {', '.join(uncovered)}."
        found.append(Reason(code="RISK_BLANKET", text=text, where=risk.risk))
    return tuple(found)


def _record(connection: Connection, risk: RiskAcceptance, actor: Principal, now: datetime) -> None:
    record(
        connection,
        EntryKind.GATE_RISK_ACCEPTED,
        actor=actor,
        at=now,
        subject=risk.id,
        data=risk_data(risk),
        opened={"risk": risk.risk, "rationale": risk.rationale},
    )
