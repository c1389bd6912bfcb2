"""`pilotage mitigation open | close | list`: what is done about a finding of the fairness suite, until it is closed.

Rule: the rules stand in `evaluation/mitigation.py`; who closes one is neither its owner nor made the release that it is
closed by; an acceptance that holds at its gate closes one until its end or withdrawal. Row and ledger entry commit
together. Fail mode: a Refusal with every reason; nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import input_of, report_of
from pilotage.control.gate_entries import closing_data, mitigation_data
from pilotage.control.gate_roster import notice_changes
from pilotage.control.gate_status import space_for
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json, parse_json
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.mitigation import (
    Closing,
    Decision,
    Mitigation,
    MitigationState,
    approver_problem,
    findings_of,
    go_problems,
    opening_problems,
    twin_problem,
    value_of,
)
from pilotage.evaluation.run import EvaluationRun, RunKind
from pilotage.gate.acceptance import acceptance_problems
from pilotage.gate.eligibility import maker_problem
from pilotage.gate.records import RiskAcceptance
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.evaluation_runs import find_run, result_of, runs_of
from pilotage.store.gate_people import acceptance_by_id
from pilotage.store.lineage import lineage_of
from pilotage.store.mitigations import (
    add_mitigation,
    close_mitigation,
    find_mitigation,
    list_mitigations,
    lock_mitigations,
)
from pilotage.store.releases import StoredRelease, named_release
from pilotage.workspace.gate import Gate

_SUITE = "fairness"


@dataclass(frozen=True, slots=True, kw_only=True)
class MitigationRequest:
    """What is to be done about which figure of which attribute, by whom, until when (YYYY-MM-DD)."""

    attribute: str
    metric: str
    action: str
    owner: str
    due: str


def open_mitigation(
    instance: Instance, *, actor: Principal, run: str, request: MitigationRequest
) -> Mitigation | Refusal:
    """Open a mitigation of what a fairness run found."""
    refusal = may(actor.roles, Action.MITIGATE)
    if refusal is not None:
        return refusal
    due = day_of(request.due)
    with instance.engine.begin() as connection:
        now, found = instance.clock.now(), _run(connection, run)
        lock_mitigations(connection, found.workflow)
        findings = findings_of(_result(connection, found))
        wanted = (request.attribute, request.metric)
        nobody = person_problem(actor, "opens a mitigation")
        reasons = (
            *(() if nobody is None else (nobody,)),
            *owner_problems(instance, request.owner),
            *opening_problems(found, findings, wanted, action=request.action, due=due, today=now.date()),
            *_twins(connection, found, wanted, now),
        )
        if reasons:
            return Refusal(reasons=reasons)
        finding = next(one for one in findings if (one.attribute, one.metric) == wanted)
        one = Mitigation(
            id=new_ulid(now),
            workflow=found.workflow,
            release_before=found.release,
            run_before=found.id,
            finding=finding,
            action=request.action.strip(),
            owner=PersonId(request.owner),
            due=due,
            opened_by=PersonId(str(actor.person)),
            opened_at=now,
        )
        add_mitigation(connection, one)
        said = {"owner": one.owner, "person": one.opened_by, "action": one.action, "finding": finding.text}
        opened, data = EntryKind.EVALUATION_MITIGATION_OPENED, mitigation_data(one)
        record(connection, opened, actor=actor, at=now, subject=one.id, data=data, opened=said)
        return one


def close_by_run(instance: Instance, *, actor: Principal, name: str, run: str) -> Mitigation | Refusal:
    """Close a mitigation by a GO on a release that came after."""
    refusal = may(actor.roles, Action.CLOSE_MITIGATION)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        one, found = open_one(instance, connection, name), _run(connection, run)
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        chain = open_chain(connection, instance, named_release(connection, found.release), now)
        value = value_of(_result(connection, found), one.finding)
        before = named_release(connection, one.release_before)
        made = maker_problem(PersonId(str(actor.person)), chain.release)
        reasons = (
            *_person_problems(one, actor),
            *(() if made is None else (made,)),
            *go_problems(
                one,
                found,
                of_release=runs_of(connection, release=found.release, kind=RunKind.FAIRNESS),
                value=value,
                line=[each.digest for each in lineage_of(connection, found.release)[1:]],
                has_same_parts=chain.stored.parts_digest == before.parts_digest,
            ),
        )
        if reasons:
            return Refusal(reasons=reasons)
        closing = Closing(
            decision=Decision.GO,
            approver=PersonId(str(actor.person)),
            at=now,
            release_after=found.release,
            run_after=found.id,
            value_after=value,
        )
        return _closed(connection, actor, one, closing)


def close_by_acceptance(instance: Instance, *, actor: Principal, name: str, acceptance: str) -> Mitigation | Refusal:
    """Close a mitigation by a risk acceptance, until that ends or is withdrawn."""
    refusal = may(actor.roles, Action.CLOSE_MITIGATION)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        one = open_one(instance, connection, name)
        risk = acceptance_by_id(connection, acceptance)
        if risk is None:
            message = f"There is no risk acceptance {acceptance!r}."
            raise NotFound("ACCEPTANCE_UNKNOWN", message, hint="Accept it first: `pilotage gate accept-risk`.")
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        stored = named_release(connection, risk.release)
        chain = open_chain(connection, instance, stored, now)
        line = {each.digest for each in lineage_of(connection, stored.digest)}
        reasons = (
            *_person_problems(one, actor),
            *_scope(instance, one, risk, stored, line),
            *held_problems(chain, risk),
        )
        if reasons:
            return Refusal(reasons=reasons)
        closing = Closing(
            decision=Decision.RISK_ACCEPTED,
            approver=PersonId(str(actor.person)),
            at=now,
            acceptance=risk.id,
            until=risk.expires,
        )
        return _closed(connection, actor, one, closing)


def mitigations_of(instance: Instance, *, workflow: str | None = None) -> dict[str, list[dict[str, Json]]]:
    """Return the documented list, newest first, as they stand now."""
    now = instance.clock.now()
    with instance.engine.connect() as connection:
        return {"mitigations": [one.as_json(now) for one in list_mitigations(connection, workflow)]}


def _closed(connection: Connection, actor: Principal, one: Mitigation, closing: Closing) -> Mitigation:
    close_mitigation(connection, one.id, closing)
    record(
        connection,
        EntryKind.EVALUATION_MITIGATION_CLOSED,
        actor=actor,
        at=closing.at,
        subject=one.id,
        data=closing_data(closing),
        opened={"person": closing.approver},
    )
    return replace(one, closing=closing)


def _person_problems(one: Mitigation, actor: Principal) -> tuple[Reason, ...]:
    nobody = person_problem(actor, "closes a mitigation")
    if nobody is not None:
        return (nobody,)
    own = approver_problem(one, PersonId(str(actor.person)))
    return () if own is None else (own,)


def _twins(connection: Connection, run: EvaluationRun, wanted: tuple[str, str], now: datetime) -> tuple[Reason, ...]:
    line = [each.digest for each in lineage_of(connection, run.release)]
    twin = twin_problem(list_mitigations(connection, run.workflow), wanted, line, now)
    return () if twin is None else (twin,)


def owner_problems(instance: Instance, owner: str) -> tuple[Reason, ...]:
    """Return why nobody of this id owns a mitigation."""
    if PersonId(owner) in instance.workspace.people:
        return ()
    text = f"{owner!r} is no declared person. Name an id from `people` in pilotage.yaml as the owner."
    return (Reason(code="MITIGATION_OWNER", text=text, where=owner),)


def _scope(
    instance: Instance, one: Mitigation, risk: RiskAcceptance, stored: StoredRelease, line: set[Digest]
) -> tuple[Reason, ...]:
    """Return why an acceptance speaks of something else than the finding."""
    if stored.workflow != one.workflow or one.release_before not in line:
        text = f"{risk.id} accepts a risk of {stored.digest[:19]}, which does not come from {one.release_before[:19]}."
        return (Reason(code="MITIGATION_LINE", text=text, where=risk.id),)
    gate = instance.workspace.gates.get(risk.gate)
    if gate is None or not set(risk.criteria) & _fair(gate):
        text = f"{risk.id} covers no criterion of {risk.gate} that is about fairness."
        return (Reason(code="MITIGATION_SCOPE", text=text, where=risk.id),)
    return ()


def _fair(gate: Gate) -> set[str]:
    halves = [half for half in (gate.pre, gate.post) if half is not None]
    return {one.id for half in halves for one in half.criteria if _SUITE in one.of}


def held_problems(chain: Chain, risk: RiskAcceptance) -> tuple[Reason, ...]:
    """Return why an acceptance does not hold at its gate now."""
    if risk.gate not in chain.instance.workspace.gates:
        return ()
    space = space_for(chain.instance, risk.gate, None)
    report = report_of(chain, risk.gate, space=space)
    given = input_of(chain, risk.gate, space=space)
    current = [item for item in given.evidence if item.id in report.evidence]
    return acceptance_problems(risk, given, chain.now, current)


def open_one(instance: Instance, connection: Connection, name: str) -> Mitigation:
    """Return one that is not closed, its row locked; raise NotFound or Conflict."""
    one = find_mitigation(connection, name)
    if one is None:
        raise NotFound(
            "MITIGATION_UNKNOWN", f"There is no mitigation {name!r}.", hint="See `pilotage mitigation list`."
        )
    if one.state(instance.clock.now()) is MitigationState.CLOSED:
        raise Conflict("MITIGATION_CLOSED", f"Mitigation {name} is closed.", hint="See `pilotage mitigation list`.")
    return one


def _run(connection: Connection, name: str) -> EvaluationRun:
    found = find_run(connection, name)
    if found is None:
        raise NotFound("RUN_UNKNOWN", f"There is no evaluation run {name!r}.", hint="See `pilotage evaluate status`.")
    return found


def _result(connection: Connection, run: EvaluationRun) -> Mapping[str, Json]:
    stored = result_of(connection, run.id)
    body = None if stored is None else parse_json(stored.body)
    return body if isinstance(body, Mapping) else {}


def day_of(words: str) -> date:
    """Return a day as a person writes it; raise UsageError."""
    try:
        return date.fromisoformat(words)
    except ValueError:
        message = f"{words[:40]!r} is no day."
        raise UsageError("MITIGATION_DUE", message, hint="Write it as 2026-12-31.") from None
