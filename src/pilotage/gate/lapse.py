"""What no longer holds at a gate behind a release that serves (gates.md 4.5, 4.9).

Rule: pure. A gate that is not approved is a lapse, by what is missing at it and not at one before; an acceptance whose
end leaves something uncovered is one of its own, and so is a failure that nobody may accept. Facts of the moment
(health, freeze, duty) have detectors of their own. Fail mode: what is unknown is a lapse, and never a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Outcome, Reason
from pilotage.gate.acceptance import acceptance_problems, needed_level
from pilotage.gate.records import GateInput, RiskAcceptance
from pilotage.gate.report import CriterionResult, GateReport
from pilotage.gate.vocabulary import GateStatus, RiskLevel

FLOATING: Final = "MODEL_NOT_PINNED"
"""The finding by which an acceptance names a model without a fixed version."""
GRACE: Final = timedelta(days=3)
"""How long a production space keeps a release whose accepted risk nobody renews."""
OF_THE_MOMENT: Final = frozenset(
    {
        *("fact.deployment", "fact.monitoring", "fact.ledger", "fact.freeze"),
        *("fact.incident", "fact.drift", "fact.oncall", "fact.rollout"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """One lapse. `since` None: from when it is noticed; `risk`: the acceptance that ended; `is_never`: it has to go."""

    gate: str
    reason: Reason
    about: str = ""
    since: datetime | None = None
    risk: RiskAcceptance | None = None
    is_never: bool = False

    @property
    def owner(self) -> PersonId | None:
        """Who owns the risk that is no longer covered."""
        return None if self.risk is None else self.risk.owner


def lapses_at(report: GateReport, given: GateInput, now: datetime) -> tuple[Lapse, ...]:
    """Return every lapse at one gate (half), the failures that nobody may accept first."""
    if report.status.is_approved:
        return ()
    return (*_never(report), *_uncovered(report, given, now), *_gate(report))


def unpinned(gates: Sequence[tuple[GateReport, GateInput]], space: SpaceName, now: datetime) -> Lapse | None:
    """Return that nobody accepts a floating model any more at the gates into a space it serves in (gates.md 1.4)."""
    ended: list[tuple[GateReport, RiskAcceptance, datetime | None]] = []
    for report, given in gates:
        current = [item for item in given.evidence if item.id in report.evidence]
        for risk in given.acceptances:
            if FLOATING not in risk.findings or space not in risk.spaces or risk.severity.rank < RiskLevel.MEDIUM.rank:
                continue
            problems = {one.code for one in acceptance_problems(risk, given, now, current)}
            if not problems:
                return None
            if problems == {"RISK_EXPIRY"}:
                ended.append((report, risk, _end(risk, now)))
    if not gates:
        return None
    told = "A model of the release is named by a floating alias, and no acceptance covers that. Pin it, or accept it."
    if not ended:
        report = gates[-1][0]
        reason = Reason(code=FLOATING, text=told, where=report.gate)
        return Lapse(gate=report.gate, about="floating", reason=reason)
    report, risk, at = max(ended, key=lambda one: (one[2] or now, one[1].id))
    text = f"The acceptance of {risk.risk!r} at gate {report.gate} has ended. {told}"
    reason = Reason(code=FLOATING, text=text, where=report.gate, observed=risk.id)
    return Lapse(gate=report.gate, about=f"risk:{risk.id}", reason=reason, since=at, risk=risk)


def _never(report: GateReport) -> Iterator[Lapse]:
    for one in report.criteria:
        if one.holds or _is_of_the_moment(one) or needed_level(one) is not None:
            continue
        failed = [check for check in one.checks if check.outcome is Outcome.NOT_OK and not check.is_expiry]
        if failed:
            text = f"{one.id} of gate {report.gate} fails, which nobody may accept."
            told = "" if failed[0].reason is None else f" {failed[0].reason.text}"
            reason = Reason(
                code="CRITERION_NOT_MET",
                text=text + told,
                where=report.gate,
                observed=failed[0].observed,
                limit=failed[0].limit,
            )
            yield Lapse(gate=report.gate, about=f"never:{one.id}", reason=reason, is_never=True)


def _uncovered(report: GateReport, given: GateInput, now: datetime) -> Iterator[Lapse]:
    current = [item for item in given.evidence if item.id in report.evidence]
    ended = [
        risk
        for risk in given.acceptances
        if {one.code for one in acceptance_problems(risk, given, now, current)} == {"RISK_EXPIRY"}
    ]
    bare = {one.id for one in report.criteria if not one.holds}
    seats = {one.role.value for one in report.signoffs if one.is_seat and not one.is_complete and not one.covered_by}
    last: dict[str, RiskAcceptance] = {}
    for name in sorted(bare | seats):
        covering = [risk for risk in ended if name in {*risk.criteria, *(seat.value for seat in risk.seats)}]
        if covering:  # a renewal that ended too: what counts is the last end
            risk = max(covering, key=lambda one: (_end(one, now) or now, one.id))
            last[risk.id] = risk
    for risk in last.values():
        text = f"The acceptance of {risk.risk!r} at gate {report.gate} has ended; nothing covers it any more."
        reason = Reason(code="RISK_EXPIRY", text=text, where=report.gate, observed=risk.id)
        yield Lapse(gate=report.gate, about=f"risk:{risk.id}", reason=reason, since=_end(risk, now), risk=risk)


def _end(risk: RiskAcceptance, now: datetime) -> datetime | None:
    """Return when an acceptance ended by its time or a person; None: by its own condition, now."""
    return min((at for at in (risk.withdrawn_at, risk.expires) if at is not None and at <= now), default=None)


def _gate(report: GateReport) -> Iterator[Lapse]:
    unmet = [one for one in report.criteria if not one.holds]
    if unmet and all(_is_of_the_moment(one) and not _is_without_a_way_back(one) for one in unmet):
        return
    if report.status is GateStatus.BLOCKED and all(one.code == "GATE_NOT_MET" for one in report.reasons):
        return
    why = next((one.text for one in (*report.reasons, *report.missing)), "")
    text = f"Gate {report.gate} is {report.status}. {why}".strip()
    reason = Reason(code="GATE_NOT_MET", text=text, where=report.gate, observed=report.status.value, limit="approved")
    yield Lapse(gate=report.gate, reason=reason)


def _is_of_the_moment(one: CriterionResult) -> bool:
    return {check.kind for check in one.checks} <= OF_THE_MOMENT


def _is_without_a_way_back(one: CriterionResult) -> bool:
    """Tell whether what nobody may accept fails about the rollout itself, which has no detector of its own."""
    return needed_level(one) is None and any(check.kind == "fact.rollout" for check in one.checks)
