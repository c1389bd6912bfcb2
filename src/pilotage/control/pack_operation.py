"""The half of a CAB pack that is about running it: risks, rollout, way back, people, money, what ends soon.

Rule: forecasts and duty come from the same functions the gates use. The votes of the board's own gate stand nowhere in
it, so a vote cannot change it. Fail mode: what is not there is `MISSING`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from pilotage.control.gate_case import Chain
from pilotage.control.gate_chain import input_of
from pilotage.control.gate_preflight import gate_forecast
from pilotage.control.pack_release import document
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import PersonId
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.superseding import current_items
from pilotage.gate.counting import board_seats
from pilotage.gate.eligibility import holders, seat_of, separation_problem
from pilotage.gate.pack import MISSING, or_missing
from pilotage.gate.records import RiskAcceptance
from pilotage.gate.risks import Risk
from pilotage.gate.vocabulary import Half, VoteDecision
from pilotage.incident.duty import days_covered, on_duty
from pilotage.portfolio.cost_report import money
from pilotage.rollout.freezes import is_over
from pilotage.rollout.preflight import as_json
from pilotage.rollout.target import rollback_target
from pilotage.workspace.operations import CostLine, Per
from pilotage.workspace.plan import Freeze, Plan

SOON = timedelta(days=30)
_HOUR_S = 3600


def risks(register: tuple[Risk, ...]) -> Json:
    """Return the register, worst first; an empty one is missing, because no release is without any risk."""
    rows = sorted(register, key=lambda one: (-one.score, one.id))
    return {"register": or_missing([_risk(one) for one in rows])}


def _risk(one: Risk) -> Json:
    shown = one.as_json()
    return {
        **shown,
        "owner": or_missing(one.owner),
        "treatment": or_missing(one.treatment),
        "control": or_missing(one.control),
    }


def acceptances(chain: Chain, gate: str) -> Json:
    """Return accepted risks, and who rejected or abstained at the gates before the board's."""
    against = [vote for vote in chain.votes if vote.gate != gate and vote.decision is not VoteDecision.APPROVE]
    return {
        "accepted": [_accepted(one) for one in sorted(chain.acceptances, key=lambda one: one.id)],
        "dissent": [
            {
                "gate": vote.gate,
                "role": vote.role.value,
                "person": vote.person,
                "decision": vote.decision.value,
                "comment": vote.comment,
                "at": to_text(vote.at),
            }
            for vote in against
        ],
        "rejected_before": sorted({f"{vote.release} at {vote.gate}" for vote in chain.elsewhere}),
    }


def _accepted(one: RiskAcceptance) -> Json:
    return {
        "id": one.id,
        "gate": one.gate,
        "risk": one.risk,
        "severity": one.severity.value,
        "covers": [*one.criteria, *(seat.value for seat in one.seats), *one.findings],
        "rationale": one.rationale,
        "controls": or_missing(list(one.controls)),
        "owner": one.owner,
        "approvers": [f"{who.person} ({who.role.value})" for who in one.approvers],
        "expires": to_text(one.expires),
        "withdrawn": None if one.withdrawn_at is None else to_text(one.withdrawn_at),
    }


def rollout(chain: Chain) -> Json:
    """Return the default plan step by step, and what the traffic there is can and cannot prove at each."""
    declared = chain.workflow.rollout
    if declared is None:
        return {"plan": MISSING, "preflight": MISSING}
    plan = declared.plans[declared.default_plan]
    forecast = gate_forecast(chain.workflow, chain.reading.history)
    return {
        "plan": plan.name,
        "approach": plan.approach.value,
        "steps": _steps(plan),
        "freezes": [_freeze(one) for one in _freezes(chain, plan)],
        "preflight": MISSING if forecast is None else as_json(forecast)["steps"],
    }


def _steps(plan: Plan) -> list[Json]:
    """Return the steps with the hours after the start at which each begins where nothing has to wait."""
    steps = [(wave, step) for wave in plan.waves for step in wave.steps]
    shadow_s = plan.shadow.duration_s if plan.shadow.enabled else 0
    begins_s = accumulate((step.bake_s for _, step in steps), initial=shadow_s)
    return [
        {
            "space": wave.space,
            "step": step.name,
            "begins_after_h": round(after_s / _HOUR_S, 2),
            "weight": step.weight,
            "cohort": ", ".join(step.cohort) or "all",
            "bake_h": round(step.bake_s / _HOUR_S, 2),
            "decided_by": ", ".join(role.value for role in step.decide) or "machine",
        }
        for after_s, (wave, step) in zip(begins_s, steps, strict=False)
    ]


def _freezes(chain: Chain, plan: Plan) -> list[Freeze]:
    """Return the freezes of the plan's spaces that are not over."""
    spaces = {wave.space for wave in plan.waves}
    declared = chain.instance.workspace.freezes
    return [one for one in declared if spaces & set(one.spaces) and not is_over(one, chain.now)]


def _freeze(one: Freeze) -> Json:
    return {
        "name": one.name,
        "spaces": ", ".join(one.spaces),
        "from": one.start,
        "to": one.end,
        "timezone": one.timezone,
        "every": "week" if one.weekly else "once",
        "reason": one.reason,
    }


def rollback(chain: Chain) -> Json:
    """Return when and how traffic goes back, where to in each space that the board opens, and the last drill."""
    drills = [item for item in current_items(chain.evidence, chain.now) if item.kind == "drill.rollback"]
    return {
        "triggers": or_missing([{"name": one.name, "rule": one.rule} for one in chain.workflow.rollback_triggers]),
        "drills": or_missing(
            [
                {
                    "id": item.id,
                    "space": item.space or "-",
                    "verified": or_missing(item.claims.get("verified")),
                    "seconds_to_zero_traffic": or_missing(item.claims.get("seconds_to_zero_traffic")),
                    "age_h": round(age_of(item, chain.now).total_seconds() / _HOUR_S, 1),
                }
                for item in drills
            ]
        ),
        "goes_back": _targets(chain),
        "procedure": document(chain, "rollback-procedure"),
    }


def _targets(chain: Chain) -> list[Json]:
    flow, served = chain.workflow, chain.reading.snapshot.served
    waves = () if flow.rollout is None else flow.rollout.plans[flow.rollout.default_plan].waves
    return [
        {
            "space": wave.space,
            "to": rollback_target(served.get((wave.space, flow.name), ()), away_from=chain.stored.digest).told,
        }
        for wave in waves
    ]


def communication(chain: Chain) -> Json:
    """Return the communication plan and the channels messages go through."""
    channels = chain.instance.workspace.channels.values()
    return {
        "plan": document(chain, "communication-plan"),
        "channels": or_missing(
            [{"channel": one.name, "for": ", ".join(sorted(kind.value for kind in one.kinds))} for one in channels]
        ),
    }


def resources(chain: Chain) -> Json:
    """Return who is on duty, for how long that is covered, and what is budgeted and approved."""
    workspace, flow = chain.instance.workspace, chain.workflow
    rota = workspace.operations.rotas.get(flow.on_call)
    duty = () if rota is None else on_duty(rota, chain.now)
    costs = workspace.operations.costs
    lines = [line for line in costs.lines if line.workflow in {None, flow.name}]
    approval = flow.documents.get("budget-approval")
    notes = {} if approval is None else approval.notes
    month = flow.budgets.cost_month_nano
    return {
        "rota": flow.on_call,
        "primary": or_missing(duty[0] if duty else None),
        "secondary": or_missing(duty[1] if len(duty) > 1 else None),
        "days_covered": MISSING if rota is None else days_covered(rota, chain.now),
        "currency": costs.currency,
        "monthly_limit": MISSING if month is None else money(Decimal(month) / 10**9),
        "costs": or_missing([_cost(line) for line in lines]),
        "approved_by": or_missing(_text(notes.get("approved_by"))),
        "approved_on": or_missing(_text(notes.get("approved_on"))),
    }


def _text(value: Json) -> str | None:
    return None if value is None else str(value)


def _cost(line: CostLine) -> Json:
    return {
        "id": line.id,
        "class": line.cost_class.value,
        "phase": line.phase,
        "amount": money(line.amount),
        "per": "once" if line.per is Per.ONCE else f"month from {line.starts_month}",
        "source": line.source.value,
    }


def seats(chain: Chain, gate: str) -> Json:
    """Return the seats of the board with holder, alternates and conflicts, and who signs after it."""
    given = input_of(chain, gate)
    board = given.rules.board
    current = [item for item in current_items(given.evidence, chain.now) if item.producer]

    def conflict(person: PersonId) -> str:
        found = separation_problem(person, given, chain.now, current)
        return "none" if found is None else f"{found.code}: {found.text}"

    rows: list[Json] = []
    for role in () if board is None else board_seats(board, given):
        seat = seat_of(given.roster, role)
        if seat is None:
            rows.append({"seat": role.value, "holder": MISSING, "alternates": [], "conflict": "-"})
            continue
        rows.append(
            {
                "seat": role.value,
                "holder": seat.holder,
                "alternates": list(seat.alternates),
                "conflict": conflict(seat.holder),
            }
        )
    signers: list[Json] = [
        {
            "role": one.role.value,
            "needed": one.count,
            "people": or_missing(sorted(holders(given.roster, one.role, chain.now))),
            "after_board": one.after_board,
        }
        for one in given.rules.signoffs
    ]
    quorum = None if board is None else board.quorum
    return {"board": rows, "quorum": quorum, "signers": signers, "roster": given.roster.version}


def expiring(chain: Chain, gate: str) -> Json:
    """Return what ends within 30 days: evidence, sign-offs, acceptances and documents."""
    until = chain.now + SOON
    found: list[tuple[datetime, str, str]] = [
        (min(item.produced_at, item.received_at) + window_of(item.kind), "evidence", item.kind)
        for item in current_items(chain.evidence, chain.now)
    ]
    found += [(one.expires, "acceptance", one.id) for one in chain.acceptances if one.withdrawn_at is None]
    for (name, half), report in chain.reports.items():
        ttl = chain.inputs[(name, half)].rules.ttl_s
        if half is not Half.PRE or name == gate or ttl is None or not report.status.is_approved:
            continue
        times = [vote.at for vote in chain.votes if vote.gate == name and vote.decision is VoteDecision.APPROVE]
        found += [(min(times) + timedelta(seconds=ttl), "sign-offs", name)] if times else []
    soon = sorted({(at, what, name) for at, what, name in found if at <= until})
    rows: list[Json] = [{"what": what, "name": name, "ends": to_text(at)} for at, what, name in soon]
    day = until.date()
    documents: list[Json] = [
        {"what": "document", "name": kind, "ends": one.valid_until.isoformat()}
        for kind, one in sorted(chain.workflow.documents.items())
        if one.valid_until is not None and one.valid_until <= day
    ]
    return {"ends_within_30_days": [*rows, *documents]}
