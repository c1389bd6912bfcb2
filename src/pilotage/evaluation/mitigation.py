"""Mitigations of fairness findings (evaluation.md 5): what was found, who does what by when, what closes it.

Rule: one is opened for a figure of a completed fairness run that is not GO, and closed only by a GO on a new digest
that descends from the release it was found in, or by a risk acceptance while that holds; its owner closes nothing, and
puts nothing off, also not before owning it. No day is later than `LONGEST` after the opening. Fail mode: what does not
fit is a reason, and one whose acceptance ended, was withdrawn, does not hold any more or is gone is open again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import EvaluationRun, RunKind, RunState

MIN_ACTION: Final = 20
MIN_REASON: Final = 20
LONGEST: Final = timedelta(days=180)
"""How long after the opening its day may be at most: as long as any risk may be accepted (gates.md 4.5)."""

_PREFIX: Final = "FAIRNESS_"
_FIGURES: Final[Mapping[str, str]] = {
    "flip_rate": "flip_rate",
    "difference": "gap",
    "impact_ratio": "ratio",
    "equalized_odds": "odds",
}
"""Under which name a result holds the figure of a metric that has an interval."""


class MitigationState(StrEnum):
    """`overdue` is open past its day."""

    OPEN = "open"
    OVERDUE = "overdue"
    CLOSED = "closed"


class Decision(StrEnum):
    """What closed it."""

    GO = "go"
    RISK_ACCEPTED = "risk_accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure of one attribute that is not inside its range; `value` None where it is no number."""

    attribute: str
    metric: str
    text: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Who closed it, and with what: a run on another release, or an acceptance, which holds until `until`.

    `until` is when the acceptance ended, was withdrawn or was found not to hold, whichever is first; None for one that
    is gone.
    """

    decision: Decision
    approver: PersonId
    at: datetime
    release_after: Digest | None = None
    run_after: str | None = None
    value_after: float | None = None
    acceptance: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """The record. `due` is the last day on which it is not overdue."""

    id: str
    workflow: WorkflowName
    release_before: Digest
    run_before: str
    finding: Finding
    action: str
    owner: PersonId
    due: date
    opened_by: PersonId
    opened_at: datetime
    closing: Closing | None = None

    def state(self, now: datetime) -> MitigationState:
        """Return where it stands."""
        closing = self.closing
        if closing is not None and (
            closing.decision is Decision.GO or (closing.until is not None and now < closing.until)
        ):
            return MitigationState.CLOSED
        return MitigationState.OVERDUE if now.date() > self.due else MitigationState.OPEN

    def as_json(self, now: datetime) -> dict[str, Json]:
        """Return the documented record."""
        found, closing = self.finding, self.closing
        return {
            "mitigation": self.id,
            "workflow": self.workflow,
            "state": self.state(now).value,
            "finding": found.text,
            "metric": found.metric,
            "attribute": found.attribute,
            "release_before": self.release_before,
            "run_before": self.run_before,
            "value_before": found.value,
            "action": self.action,
            "owner": self.owner,
            "due": self.due.isoformat(),
            "opened_by": self.opened_by,
            "opened_at": to_text(self.opened_at),
            "decision": None if closing is None else closing.decision.value,
            "approver": None if closing is None else closing.approver,
            "closed_at": None if closing is None else to_text(closing.at),
            "release_after": None if closing is None else closing.release_after,
            "run_after": None if closing is None else closing.run_after,
            "value_after": None if closing is None else closing.value_after,
            "acceptance": None if closing is None else closing.acceptance,
            "accepted_until": None if closing is None or closing.until is None else to_text(closing.until),
        }


def findings_of(result: Mapping[str, Json]) -> tuple[Finding, ...]:
    """Return what a fairness run's result says is not inside its range; too few cases are no finding."""
    return tuple(
        Finding(
            attribute=str(one.get("attribute")),
            metric=metric,
            text=str(reason.get("text", "")),
            value=_number(reason.get("observed")),
        )
        for one in _parts(result)
        for reason in _records(one.get("reasons"))
        if (metric := _metric(str(reason.get("code", "")))) is not None
    )


def _metric(code: str) -> str | None:
    if code.startswith(_PREFIX):
        return code.removeprefix(_PREFIX).lower()
    return code.lower() if code == "MUST_PASS_FLIP" or code.startswith("BIAS_") else None


def _parts(result: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    return [*_records(result.get("attributes")), *_records(result.get("bias"))]


def _records(value: Json) -> list[Mapping[str, Json]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []


def _number(value: Json) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def value_of(result: Mapping[str, Json], finding: Finding) -> float | None:
    """Return the same figure in another run's result; None where it was not measured."""
    for one in _parts(result):
        if one.get("attribute") != finding.attribute:
            continue
        value: Json = None
        if finding.metric == "must_pass_flip":
            flipped = one.get("flipped")
            value = len(flipped) if isinstance(flipped, Sequence) else None
        elif finding.metric.startswith("bias_"):
            percent = _number(one.get(finding.metric.removeprefix("bias_")))
            value = None if percent is None else percent / 100.0
        else:
            figure = one.get(_FIGURES.get(finding.metric, ""))
            value = figure.get("value") if isinstance(figure, Mapping) else None
        if value is not None:
            return _number(value)
    return None


def opening_problems(
    run: EvaluationRun, found: Iterable[Finding], wanted: tuple[str, str], *, action: str, due: date, today: date
) -> tuple[Reason, ...]:
    """Return why no mitigation of `wanted` (attribute, metric) is opened for a run."""
    reasons: list[Reason] = []
    if run.kind is not RunKind.FAIRNESS or run.state is not RunState.COMPLETED or run.voided_at is not None:
        text = f"{run.id} is no completed fairness run that counts. Name one: `pilotage evaluate status`."
        reasons.append(Reason(code="MITIGATION_RUN", text=text, where=run.id))
    elif wanted not in {(one.attribute, one.metric) for one in found}:
        known = ", ".join(sorted(f"{one.attribute} {one.metric}" for one in found)) or "nothing"
        text = f"Run {run.id} found nothing against {wanted[1]} of {wanted[0]}. It found: {known}."
        reasons.append(Reason(code="MITIGATION_FINDING", text=text, where=run.id))
    if len(action.strip()) < MIN_ACTION:
        text = f"Say what is done about it in at least {MIN_ACTION} characters."
        reasons.append(Reason(code="MITIGATION_ACTION", text=text))
    return (*reasons, *_day_problems(due, today=today, last=today + LONGEST))


def _day_problems(due: date, *, today: date, last: date) -> tuple[Reason, ...]:
    if due < today:
        text = f"It cannot be due on {due}, which is over. Name a day from {today} on."
        return (Reason(code="MITIGATION_DUE", text=text, observed=due.isoformat(), limit=today.isoformat()),)
    if due > last:
        text = (
            f"It cannot be due on {due}: no day is later than {LONGEST.days} days after the opening. Name one until"
            f" {last}; what takes longer is a risk to accept: `pilotage gate accept-risk`."
        )
        return (Reason(code="MITIGATION_DUE", text=text, observed=due.isoformat(), limit=last.isoformat()),)
    return ()


def twin_problem(
    found: Iterable[Mitigation], wanted: tuple[str, str], line: Iterable[Digest], now: datetime
) -> Reason | None:
    """Return why `wanted` (attribute, metric) needs no other one; `line`: the run's release and its ancestors."""
    releases = set(line)
    for one in found:
        is_same = (one.finding.attribute, one.finding.metric) == wanted and one.release_before in releases
        if is_same and one.state(now) is not MitigationState.CLOSED:
            text = (
                f"Mitigation {one.id} of {one.owner}, due {one.due}, is open for {wanted[1]} of {wanted[0]}. Change"
                f" that one: pilotage mitigation change {one.id}."
            )
            return Reason(code="MITIGATION_OPEN", text=text, where=one.id)
    return None


def change_problems(
    one: Mitigation, person: PersonId, *, owner: PersonId, due: date, reason: str, today: date
) -> tuple[Reason, ...]:
    """Return why this person does not give it this owner and day."""
    reasons: list[Reason] = []
    if (owner, due) == (one.owner, one.due):
        reasons.append(Reason(code="MITIGATION_SAME", text="Nothing changes. Name another owner or another day."))
    if len(reason.strip()) < MIN_REASON:
        text = f"Say why it changes in at least {MIN_REASON} characters."
        reasons.append(Reason(code="MITIGATION_REASON", text=text))
    if due != one.due:
        reasons += _day_problems(due, today=today, last=max(one.opened_at.date() + LONGEST, one.due))
    if person == one.owner and (owner != one.owner or due > one.due):
        text = f"{person} owns it and may only name an earlier day. Somebody else must hand it over or put it off."
        reasons.append(Reason(code="SOD_CONFLICT", text=text, where="owner"))
    elif person == owner and due > one.due:
        text = f"{person} cannot take it over and put it off at once. Somebody else must put it off."
        reasons.append(Reason(code="SOD_CONFLICT", text=text, where="owner"))
    if one.closing is not None and owner == one.closing.approver:
        text = f"{owner} closed it before, and its owner is somebody else. Name another owner."
        reasons.append(Reason(code="SOD_CONFLICT", text=text, where="approver"))
    return tuple(reasons)


def taker_problem(one: Mitigation, owner: PersonId, put_off_by: Collection[PersonId | None]) -> Reason | None:
    """Return why this person does not take it over; `put_off_by`: who named a later day, None where nobody knows."""
    if owner == one.owner:
        return None
    if owner in put_off_by:
        text = f"{owner} put it off before, which its owner does not. Name an owner who never did."
        return Reason(code="SOD_CONFLICT", text=text, where="owner")
    if None in put_off_by:
        text = f"Nobody knows any more who put it off, which its owner does not. Leave it with {one.owner}."
        return Reason(code="SOD_CONFLICT", text=text, where="owner")
    return None


def approver_problem(one: Mitigation, approver: PersonId) -> Reason | None:
    """Return why this person does not close it."""
    if approver != one.owner:
        return None
    text = f"{approver} owns this mitigation. Somebody else must close it."
    return Reason(code="SOD_CONFLICT", text=text, where="owner")


def go_problems(
    one: Mitigation,
    run: EvaluationRun,
    *,
    of_release: Iterable[EvaluationRun],
    value: float | None,
    line: Sequence[Digest],
    has_same_parts: bool,
) -> tuple[Reason, ...]:
    """Return why a run does not close it.

    `of_release` are all fairness runs of its release, `value` what it measured of the finding, `line` the release's
    ancestors; `has_same_parts`: the release is the one of the finding under another digest.
    """
    reasons: list[Reason] = []
    if run.kind is not RunKind.FAIRNESS or run.workflow != one.workflow or not run.counts:
        text = f"{run.id} is no completed fairness run of {one.workflow} that gates. Name one, without --golden."
        return (Reason(code="MITIGATION_RUN", text=text, where=run.id),)
    bad = [other.id for other in of_release if other.counts and other.verdict != Verdict.GO.value]
    if bad:
        text = f"{run.release[:19]} is not GO in {', '.join(sorted(bad)[:5])}; a later run does not raise that."
        reasons.append(Reason(code="MITIGATION_NOT_GO", text=text, where=run.id, limit=Verdict.GO.value))
    if run.release == one.release_before or has_same_parts:
        text = "That release is the one it was found in. Change what causes it, seal, and run the suite on that."
        reasons.append(Reason(code="MITIGATION_SAME_RELEASE", text=text, where=run.release))
    elif one.release_before not in line:
        text = f"{run.release[:19]} does not descend from {one.release_before[:19]}, in which it was found."
        reasons.append(Reason(code="MITIGATION_LINE", text=text, where=run.release))
    if value is None:
        text = f"Run {run.id} did not measure {one.finding.metric} of {one.finding.attribute}."
        reasons.append(Reason(code="MITIGATION_UNMEASURED", text=text, where=run.id))
    return tuple(reasons)
