"""Incidents: severity, states, what each move needs, and the times that are reported (rollouts.md 11).

Rule: only a person lowers a severity, with a reason; `resolved` needs the rollback verified and the freeze lifted,
`closed` a reviewed post-mortem for SEV1, SEV2 and any rollback; within 7 days it may be opened again, and freezes
again. Fail mode: a Refusal with everything that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from pilotage.core.reason import Reason, Refusal


class Severity(StrEnum):
    """SEV1 is the worst."""

    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"

    @property
    def pages(self) -> bool:
        """Whether somebody is woken, and a post-mortem is due."""
        return self in {Severity.SEV1, Severity.SEV2}


class IncidentState(StrEnum):
    """From discovery to the end of the paper work."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


_ORDER = tuple(IncidentState)
UNRESOLVED = frozenset({IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.MITIGATED})
REOPEN = timedelta(days=7)
POST_MORTEM_DAYS, _SATURDAY = 5, 5
PAGE_UNREACHED = "page unreached"
"""The cause of an incident that pages on whatever its severity: nobody was told."""
OPEN_AGAIN = f"state: {IncidentState.OPEN}"
"""How the line of a timeline begins that tells that an incident is open again."""


class HardKind(StrEnum):
    """A hard event: one is enough to take the release out (rollouts.md 8.1)."""

    SECURITY_BREACH = "security-breach"
    DATA_LOSS = "data-loss"
    BUSINESS_FUNCTION = "business-function"
    COMPLIANCE_VIOLATION = "compliance-violation"

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return Severity.SEV2 if self is HardKind.BUSINESS_FUNCTION else Severity.SEV1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItem:
    """What will be done, by whom, until when. `aim`: prevent, detect or mitigate."""

    text: str
    owner: str
    due: str
    aim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMortem:
    """The written account. `approved_by` is neither its author nor ever was the commander."""

    author: str
    cause: str
    actions: tuple[ActionItem, ...] = ()
    informed: str = ""
    approved_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What a move is decided from. `is_verified`: the rollback passed its validation, or there was none.

    `is_rollback`: a release was taken out, which is looked back on whatever severity it was given later. `is_taken`:
    somebody has taken it on; what a machine mitigated at once may wait for that still.
    """

    id: str
    severity: Severity
    state: IncidentState
    commander: str | None = None
    former_commanders: tuple[str, ...] = ()
    freezes: bool = False
    freeze_lifted: bool = False
    is_verified: bool = True
    is_rollback: bool = False
    is_taken: bool = True
    post_mortem: PostMortem | None = None


def move(incident: Incident, to: IncidentState) -> Refusal | None:
    """Return None when the incident may go to that state now, else everything that is missing.

    One that a machine mitigated is taken on as it stands: it is acknowledged, and stays mitigated.
    """
    now, then = _ORDER.index(incident.state), _ORDER.index(to)
    if to is IncidentState.ACKNOWLEDGED and incident.state is IncidentState.MITIGATED and not incident.is_taken:
        return None
    if then <= now:
        text = f"Incident {incident.id} is {incident.state}; it cannot become {to}."
        return Refusal(reasons=(Reason(code="ILLEGAL_TRANSITION", text=text, observed=incident.state.value),))
    reasons: list[Reason] = []
    if to in {IncidentState.RESOLVED, IncidentState.CLOSED}:
        reasons += _resolution(incident)
    if to is IncidentState.CLOSED and (incident.severity.pages or incident.is_rollback):
        reasons += _closing(incident)
    return Refusal(reasons=tuple(reasons)) if reasons else None


def reopen(incident: Incident, *, ended_at: datetime | None, now: datetime) -> Refusal | None:
    """Return None when an incident that ended, lately enough, may be open again; its time then continues."""
    if incident.state in UNRESOLVED or ended_at is None:
        text = f"Incident {incident.id} is {incident.state}; only one that ended is opened again."
        return Refusal(reasons=(Reason(code="ILLEGAL_TRANSITION", text=text, observed=incident.state.value),))
    if now - ended_at > REOPEN:
        text = f"Incident {incident.id} ended on {ended_at:%Y-%m-%d}, more than 7 days ago. Open a new one."
        return Refusal(reasons=(Reason(code="TOO_LATE", text=text, observed=f"{ended_at:%Y-%m-%d}", limit="7 days"),))
    return None


def lower(incident: Incident, to: Severity, *, reason: str) -> Refusal | None:
    """Return None when a person may set this severity; raising needs no reason, lowering does."""
    if to > incident.severity and not reason.strip():
        text = f"Lowering {incident.severity} to {to} needs a reason, which is kept."
        return Refusal(reasons=(Reason(code="REASON_NEEDED", text=text),))
    return None


def _resolution(incident: Incident) -> list[Reason]:
    found: list[Reason] = []
    if not incident.is_verified:
        found.append(Reason(code="NOT_VERIFIED", text="The rollback has not passed its validation yet."))
    if incident.freezes and not incident.freeze_lifted:
        text = "Its freeze still holds; the commander lifts it first (`incident update ID --lift-freeze`)."
        found.append(Reason(code="FREEZE", text=text))
    return found


def _closing(incident: Incident) -> list[Reason]:
    written = incident.post_mortem
    if written is None:
        what = f"A {incident.severity} incident" if incident.severity.pages else "A rollback"
        text = f"{what} closes with a post-mortem; write one (`incident update ID --file`)."
        return [Reason(code="POST_MORTEM_MISSING", text=text)]
    found: list[Reason] = []
    if not written.cause.strip():
        found.append(Reason(code="CAUSE_MISSING", text="The post-mortem names no root cause."))
    if not written.actions and incident.severity.pages:
        found.append(Reason(code="ACTION_MISSING", text="The post-mortem names no action with owner and due date."))
    if not written.informed.strip():
        text = "Say that the affected askers were informed, or why not."
        found.append(Reason(code="ASKERS_UNINFORMED", text=text))
    involved = {None, written.author, incident.commander, *incident.former_commanders}
    if written.approved_by in involved:
        text = "Somebody other than its author and whoever was its commander has to approve the post-mortem."
        found.append(Reason(code="SECOND_PERSON_NEEDED", text=text))
    return found


def post_mortem_due(detected_at: datetime) -> datetime:
    """Return when a post-mortem is due: five days later, Saturdays and Sundays not counted."""
    due, left = detected_at, POST_MORTEM_DAYS
    while left:
        due += timedelta(days=1)
        left -= due.weekday() < _SATURDAY
    return due


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When it began, was noticed and was over."""

    started_at: datetime
    detected_at: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Mean, median and longest time to recover in minutes (None without a resolved one), and how many are open."""

    mttr_minutes: float | None
    median_minutes: float | None
    longest_minutes: float | None
    mttd_minutes: float | None
    open: int
    durations: tuple[timedelta, ...] = field(default=())


def recovery(times: Iterable[Times]) -> Recovery:
    """Return the figures over incidents; drills are left out by the caller."""
    listed = tuple(times)
    spans = tuple(one.resolved_at - one.detected_at for one in listed if one.resolved_at is not None)
    minutes = [span.total_seconds() / 60 for span in spans]
    noticed = [(one.detected_at - one.started_at).total_seconds() / 60 for one in listed]
    return Recovery(
        mttr_minutes=sum(minutes) / len(minutes) if minutes else None,
        median_minutes=median(minutes) if minutes else None,
        longest_minutes=max(minutes, default=None),
        mttd_minutes=sum(noticed) / len(noticed) if noticed else None,
        open=len(listed) - len(spans),
        durations=spans,
    )
