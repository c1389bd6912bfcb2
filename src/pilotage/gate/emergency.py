"""Emergency change (gates.md 4.8): two persons let a release past sign-offs, soak, freeze and one named incident.

Rule: pure; criteria stay, and a given reject stays a no. It lasts 72 hours from its opening and is looked back at
within five days. Fail mode: one that is not confirmed, is over, or names another space opens nothing and says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.core.reason import Outcome, Reason
from pilotage.gate.ballots import standing_votes
from pilotage.gate.eligibility import author_problem
from pilotage.gate.records import GateInput, ReleaseFacts
from pilotage.gate.report import CriterionResult, GateReport
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role

EMERGENCY_SPAN: Final = timedelta(hours=72)
REVIEW_SPAN: Final = timedelta(days=5)
RATE_WINDOW: Final = timedelta(days=90)
RATE_LIMIT: Final = 0.10
FREEZE_FACT, INCIDENT_FACT = "fact.freeze", "fact.incident"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """One emergency change. `confirmed_*` None: the second person is still missing; `outcome` once it was settled."""

    id: str
    release: Digest
    workflow: WorkflowName
    incident: str
    spaces: tuple[SpaceName, ...]
    reason: str
    opened_by: PersonId
    opened_role: Role
    opened_at: datetime
    confirmed_by: PersonId | None = None
    confirmed_role: Role | None = None
    confirmed_at: datetime | None = None
    expires_at: datetime
    reviewed_by: PersonId | None = None
    reviewed_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None

    @property
    def review_due_at(self) -> datetime:
        """Return until when it must have been looked back at."""
        return self.opened_at + REVIEW_SPAN

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether the look back at a confirmed one is late."""
        return self.confirmed_at is not None and self.reviewed_at is None and now >= self.review_due_at

    def stands(self, now: datetime) -> bool:
        """Tell whether it opens anything at `now`."""
        return self.confirmed_at is not None and now < self.expires_at

    def state(self, now: datetime) -> str:
        """Return waiting (for the second person), open, expired, approved or rolled_back."""
        if self.outcome is not None:
            return self.outcome
        if now >= self.expires_at:
            return "expired"
        return "waiting" if self.confirmed_at is None else "open"

    def statement(self, now: datetime) -> str:
        """Return in a sentence or two what it does at `now`, and what is due."""
        spaces, until = ", ".join(self.spaces), f"{self.expires_at:%Y-%m-%d %H:%M} UTC"
        late = f" The look back was due {self.review_due_at:%Y-%m-%d}." if self.is_overdue(now) else ""
        match self.state(now):
            case "waiting":
                text = f"An emergency change for {self.incident} into {spaces} waits for its second person."
            case "open":
                text = (
                    f"An emergency change for {self.incident} lets this release into {spaces} until {until}. It "
                    "approves no gate: without full approval by then the release is rolled back."
                )
            case "approved":
                text = f"An emergency change into {spaces} ended {until}: by then every gate was approved."
            case "rolled_back":
                text = f"An emergency change into {spaces} ended {until} without full approval; it was rolled back."
            case _:
                text = f"An emergency change into {spaces} ended {until} and opens nothing any more."
        return text + late

    def as_json(self, now: datetime) -> dict[str, Json]:
        """Return what CLI, API and pages show."""
        return {
            "emergency": self.id,
            "release": self.release,
            "workflow": self.workflow,
            "incident": self.incident,
            "spaces": list(self.spaces),
            "reason": self.reason,
            "state": self.state(now),
            "opened_by": self.opened_by,
            "opened_at": to_text(self.opened_at),
            "confirmed_by": self.confirmed_by,
            "confirmed_at": None if self.confirmed_at is None else to_text(self.confirmed_at),
            "expires_at": to_text(self.expires_at),
            "review_due_at": to_text(self.review_due_at),
            "reviewed_by": self.reviewed_by,
            "review_overdue": self.is_overdue(now),
        }


def standing(emergencies: Iterable[Emergency], space: SpaceName, now: datetime) -> Emergency | None:
    """Return the emergency that opens a space at `now`."""
    return next((one for one in emergencies if space in one.spaces and one.stands(now)), None)


def why_not(emergencies: Iterable[Emergency], space: SpaceName, now: datetime) -> tuple[Reason, ...]:
    """Return why the newest emergency about a space opens nothing; nothing when there is none, or it does."""
    about = [one for one in emergencies if space in one.spaces]
    if not about or standing(about, space, now) is not None:
        return ()
    one = max(about, key=lambda found: (found.opened_at, found.id))
    if one.outcome == "approved":
        return ()
    if now >= one.expires_at:
        return (_expired(one),)
    text = f"Emergency {one.id} waits for its second person: the same command, by security-director or operations-lead."
    return (Reason(code="EMERGENCY_TWO_PERSONS", text=text, where=one.id, observed="1", limit="2"),)


def _expired(one: Emergency) -> Reason:
    text = f"Emergency {one.id} ended at {one.expires_at:%Y-%m-%d %H:%M} UTC. From then on every gate must be approved."
    return Reason(code="EMERGENCY_EXPIRED", text=text, where=one.id, limit=to_text(one.expires_at))


def person_problems(person: PersonId, release: ReleaseFacts) -> tuple[Reason, ...]:
    """Return why this person may be neither of the two: author or sealer, or an author nobody knows."""
    unknown = author_problem(release)
    if unknown is not None:
        return (unknown,)
    parts = sorted(part for part, people in release.authors.items() if person in people)
    if parts:
        text = f"{person} made {', '.join(parts)} of this release. Two others must open an emergency for it."
        return (Reason(code="SOD_CONFLICT", text=text, where="author"),)
    if person == release.sealer:
        text = f"{person} sealed this release. Two others must open an emergency for it."
        return (Reason(code="SOD_CONFLICT", text=text, where="sealer"),)
    return ()


def history_problems(
    same_parts: Iterable[Emergency], of_workflow: Iterable[Emergency], now: datetime
) -> tuple[Reason, ...]:
    """Return why no further emergency may begin: these parts had theirs, or the look back at an earlier one is late."""
    spent = [one for one in same_parts if one.confirmed_at is not None and now >= one.expires_at]
    late = [one for one in of_workflow if one.is_overdue(now)]
    return (
        *(_expired(one) for one in spent[:1]),
        *(
            Reason(
                code="EMERGENCY_REVIEW_OVERDUE",
                text=f"The look back at emergency {one.id} was due {one.review_due_at:%Y-%m-%d}: "
                f"`pilotage gate emergency-review {one.id}` comes first.",
                where=one.id,
                limit=to_text(one.review_due_at),
            )
            for one in late
        ),
    )


def gate_problems(
    report: GateReport, given: GateInput, emergency: Emergency, critical: Collection[str]
) -> tuple[Reason, ...]:
    """Return what a gate that is not approved still forbids in an emergency.

    Left out are the gates before it, which are asked themselves, missing sign-offs, the freeze, and the check for open
    incidents when `critical` (those open there) holds the named one alone.
    """
    if report.status.is_approved:
        return ()
    found = [one for one in _blocked(report) if one.code not in {"GATE_NOT_MET", "ROSTER_EMPTY"}]
    found += _rejects(report, given)
    only_named = set(critical) <= {emergency.incident}
    found += [_held(report.gate, one) for one in report.criteria if not (one.holds or _is_waived(one, only_named))]
    return tuple(found)


def _blocked(report: GateReport) -> tuple[Reason, ...]:
    return report.reasons if report.status is GateStatus.BLOCKED else ()


def _rejects(report: GateReport, given: GateInput) -> list[Reason]:
    """Return the noes: an emergency does without sign-offs that are missing, never against one that was given."""
    covered = {one.role for one in report.signoffs if one.covered_by is not None}
    found = [
        Reason(
            code="GATE_REJECTED",
            text=f"{vote.person} rejected at {report.gate} as {vote.role.value}; an emergency skips missing sign-offs, "
            "not a no.",
            where=vote.role.value,
        )
        for vote in standing_votes(given)
        if vote.decision is VoteDecision.REJECT and vote.role not in covered
    ]
    for where in given.facts.rejected_elsewhere:
        text = f"The same parts were rejected at {report.gate} ({where}); an emergency does not change that."
        found.append(Reason(code="REJECTED_PARTS", text=text, where=where))
    return found


def _is_waived(one: CriterionResult, only_named: bool) -> bool:  # noqa: FBT001 - one flag of one private rule
    bad = {check.kind for check in one.checks if check.outcome is not Outcome.OK}
    if bad == {FREEZE_FACT}:
        return True
    return bad <= {FREEZE_FACT, INCIDENT_FACT} and bool(bad) and only_named


def _held(gate: str, one: CriterionResult) -> Reason:
    why = next(
        (check.reason.text for check in one.checks if check.reason is not None and check.outcome is not Outcome.OK),
        f"missing: {', '.join(one.missing) or 'evidence'}",
    )
    never = one.accept == "never"
    text = f"Criterion {one.id} of {gate} {'is never skipped' if never else 'stays in an emergency too'}: {why}"
    return Reason(code="RISK_NOT_ACCEPTABLE" if never else "GATE_NOT_MET", text=text, where=f"{gate}/{one.id}")
