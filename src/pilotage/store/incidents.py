"""Incident rows with their timeline.

Rule: one open incident per (workflow, space, release, cause), drills apart; a further trigger joins it. Lines are only
added. Fail mode: None for an id that names nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.reason import Reason
from pilotage.incident.records import PAGE_UNREACHED, UNRESOLVED, IncidentState, Severity
from pilotage.store.tables.rollouts import incident, incident_line
from pilotage.store.together import StoredRow

_MOST_TASKS: Final = 100
_VERSION = text("""
SELECT concat_ws('/', md5(i::text), (SELECT max(l.number) FROM incident_line l WHERE l.incident = i.id),
  (SELECT r.state FROM rollout r WHERE r.id = i.rollout))
FROM incident i WHERE i.id = :incident
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIncident:
    """One row. People stand in it by their person id; lines and ledger entries hold pseudonyms."""

    id: str
    workflow: str
    space: str
    spaces: tuple[str, ...]
    release: str | None
    cause: str
    severity: Severity
    state: IncidentState
    summary: str
    rollout: str | None = None
    verdict: str | None = None
    is_drill: bool = False
    commander: str | None = None
    former_commanders: tuple[str, ...] = ()
    responders: tuple[str, ...] = ()
    detected_by: str
    started_at: datetime
    detected_at: datetime
    acknowledged_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    freezes: bool = False
    freeze_lifted_at: datetime | None = None
    postmortem: Mapping[str, Any] | None = None

    @property
    def leaders(self) -> tuple[str, ...]:
        """Whoever was its commander, in order, the present one last."""
        present = () if self.commander is None else (self.commander,)
        return (*(one for one in self.former_commanders if one not in present), *present)

    @property
    def is_over(self) -> bool:
        """Whether it is resolved or closed."""
        return self.state not in UNRESOLVED

    def stands_against(self, workflow: str, space: str) -> bool:
        """Tell whether it keeps a workflow out of a space: it pages, and names the space, or none and the workflow."""
        if self.is_drill or not self.severity.pages:
            return False
        named = {*self.spaces, self.space} - {""}
        return space in named or (self.workflow == workflow and not named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a timeline; `actor` is a pseudonym or `system:<job>`."""

    number: int
    at: datetime
    actor: str
    text: str


class IncidentOrder(StrEnum):
    """How a list goes: by when they were detected, or by severity and the newest first within one."""

    NEWEST = "-detected"
    OLDEST = "detected"
    WORST = "severity"
    MILDEST = "-severity"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFilter:
    """Which incidents to list: of a workflow or severity, in these states, below the one of this key; None: all.

    A key is an incident's id, in an order by severity with the severity it had when its page was shown: `SEV2.<id>`.
    """

    workflow: str | None = None
    severity: Severity | None = None
    states: frozenset[IncidentState] | None = None
    before: str | None = None
    order: IncidentOrder = IncidentOrder.NEWEST

    def key_of(self, last: StoredIncident) -> str:
        """Return the key of what follows this one."""
        is_by_severity = self.order in {IncidentOrder.WORST, IncidentOrder.MILDEST}
        return f"{last.severity.value}.{last.id}" if is_by_severity else last.id


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentCounts:
    """How many a filter lets through; of all, drills apart, how many are open and when the last was detected."""

    total: int
    open: int
    last: datetime | None


def open_or_join(connection: Connection, wanted: StoredIncident) -> tuple[StoredIncident, bool]:
    """Insert an incident, or find the open one it belongs to; tell whether it is new."""
    row = insert(incident).values(_values(wanted)).on_conflict_do_nothing().returning(incident.c.id)
    if connection.execute(row).first() is not None:
        return wanted, True
    found = open_like(connection, wanted, lock=True)
    if found is None:  # it was resolved between the two statements: try once more
        connection.execute(incident.insert().values(_values(wanted)))
        return wanted, True
    return found, False


def open_like(connection: Connection, wanted: StoredIncident, *, lock: bool = False) -> StoredIncident | None:
    """Return the open incident about the same thing, locked when asked."""
    query = select(incident).where(
        incident.c.workflow == wanted.workflow,
        incident.c.space == wanted.space,
        func.coalesce(incident.c.release, "") == (wanted.release or ""),
        incident.c.cause == wanted.cause,
        incident.c.is_drill == wanted.is_drill,
        incident.c.state.in_([state.value for state in UNRESOLVED]),
    )
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else incident_from(row)


def find_incident(connection: Connection, identifier: str, *, lock: bool = False) -> StoredIncident | None:
    """Return an incident by its id, locked when asked."""
    query = select(incident).where(incident.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else incident_from(row)


def incident_version(connection: Connection, identifier: str) -> str | None:
    """Return a text that changes with the row, its timeline and its rollout; None for an unknown id.

    Time alone changes a page too: the minutes and requests of what is not mitigated yet.
    """
    found: str | None = connection.execute(_VERSION, {"incident": identifier}).scalar_one_or_none()
    return found


def list_incidents(
    connection: Connection, *, workflow: str | None = None, only_open: bool = False, most: int = 200
) -> tuple[StoredIncident, ...]:
    """Return incidents, newest first."""
    wanted = IncidentFilter(workflow=workflow, states=UNRESOLVED if only_open else None)
    return browse_incidents(connection, wanted, most=most)


def browse_incidents(connection: Connection, wanted: IncidentFilter, *, most: int) -> tuple[StoredIncident, ...]:
    """Return incidents in the order that is wanted; a key that names none begins with the first."""
    query = select(incident).where(*_which(wanted))
    severity, _, identifier = (wanted.before or "").rpartition(".")
    last = find_incident(connection, identifier) if identifier else None
    if last is not None and severity in {"", *Severity}:
        query = query.where(_below(wanted.order, last, severity or last.severity.value))
    query = query.order_by(*_ORDERS[wanted.order]).limit(most)
    return tuple(incident_from(row) for row in connection.execute(query).mappings())


_NEWEST: Final = (incident.c.detected_at.desc(), incident.c.id.desc())
_ORDERS: Final = {
    IncidentOrder.NEWEST: _NEWEST,
    IncidentOrder.OLDEST: (incident.c.detected_at.asc(), incident.c.id.asc()),
    IncidentOrder.WORST: (incident.c.severity.asc(), *_NEWEST),
    IncidentOrder.MILDEST: (incident.c.severity.desc(), *_NEWEST),
}


def _below(order: IncidentOrder, last: StoredIncident, severity: str) -> ColumnElement[bool]:
    """Return what stands below an incident, which had this severity when it was shown."""
    own, here = tuple_(incident.c.detected_at, incident.c.id), tuple_(last.detected_at, last.id)
    match order:
        case IncidentOrder.NEWEST:
            return own < here
        case IncidentOrder.OLDEST:
            return own > here
        case IncidentOrder.WORST:
            return (incident.c.severity > severity) | ((incident.c.severity == severity) & (own < here))
        case IncidentOrder.MILDEST:
            return (incident.c.severity < severity) | ((incident.c.severity == severity) & (own < here))


def count_incidents(connection: Connection, wanted: IncidentFilter, *, most: int) -> IncidentCounts:
    """Count what the filter lets through, up to `most`, and whatever it says what is open and when the last was."""
    counted = select(incident.c.id).where(*_which(wanted)).limit(most).subquery()
    unresolved = incident.c.state.in_([state.value for state in UNRESOLVED])
    open_ = select(func.count()).select_from(incident).where(unresolved, ~incident.c.is_drill).scalar_subquery()
    last = select(func.max(incident.c.detected_at)).where(~incident.c.is_drill).scalar_subquery()
    total, is_open, at = connection.execute(select(func.count(), open_, last).select_from(counted)).one()
    return IncidentCounts(total=total, open=is_open, last=at)


def _which(wanted: IncidentFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.workflow is not None:
        found.append(incident.c.workflow == wanted.workflow)
    if wanted.severity is not None:
        found.append(incident.c.severity == wanted.severity.value)
    if wanted.states is not None:
        found.append(incident.c.state.in_([state.value for state in wanted.states]))
    return found


def incidents_of(connection: Connection, person: str) -> tuple[StoredIncident, ...]:
    """Return the incidents that wait for this person, drills apart, oldest first.

    Of one that nobody took on everybody called for it is asked, then its commander, or all of them where it has none;
    one that is resolved waits for its post-mortem while its severity asks for one.
    """
    called = incident.c.responders.contains([person])
    query = (
        select(incident)
        .where(
            ~incident.c.is_drill,
            case(
                (incident.c.acknowledged_at.is_(None), called | (incident.c.commander == person)),
                else_=func.coalesce(incident.c.commander == person, called),
            ),
            incident.c.state.in_([state.value for state in UNRESOLVED])
            | (
                (incident.c.state == IncidentState.RESOLVED.value)
                & incident.c.postmortem.is_(None)
                & incident.c.severity.in_([Severity.SEV1.value, Severity.SEV2.value])
            ),
        )
        .order_by(incident.c.detected_at, incident.c.id)
        .limit(_MOST_TASKS)
    )
    return tuple(incident_from(row) for row in connection.execute(query).mappings())


def unacknowledged(connection: Connection) -> tuple[StoredIncident, ...]:
    """Return incidents that page and that nobody took on, drills apart, oldest first; each row is locked.

    These are SEV1, SEV2, and pages that reached nobody.

    One that the machine mitigated is among them until a person has seen it.
    """
    query = (
        select(incident)
        .where(
            incident.c.state.in_([state.value for state in UNRESOLVED]),
            incident.c.acknowledged_at.is_(None),
            incident.c.severity.in_([Severity.SEV1.value, Severity.SEV2.value]) | (incident.c.cause == PAGE_UNREACHED),
            ~incident.c.is_drill,
        )
        .order_by(incident.c.detected_at, incident.c.id)
        .with_for_update(skip_locked=True)
    )
    return tuple(incident_from(row) for row in connection.execute(query).mappings())


def save_incident(connection: Connection, stored: StoredIncident) -> None:
    """Write a row that the caller has locked."""
    connection.execute(update(incident).where(incident.c.id == stored.id).values(_values(stored)))


def add_line(connection: Connection, identifier: str, *, at: datetime, actor: str, text: str) -> int:
    """Append a line to the timeline and return its number."""
    last = connection.scalar(select(func.max(incident_line.c.number)).where(incident_line.c.incident == identifier))
    number = 1 if last is None else int(last) + 1
    connection.execute(incident_line.insert().values(incident=identifier, number=number, at=at, actor=actor, text=text))
    return number


def lines_of(connection: Connection, identifier: str) -> tuple[Line, ...]:
    """Return the timeline in order."""
    query = select(incident_line.c.number, incident_line.c.at, incident_line.c.actor, incident_line.c.text)
    query = query.where(incident_line.c.incident == identifier).order_by(incident_line.c.number)
    return tuple(Line(**row) for row in connection.execute(query).mappings())


def incident_freezes(connection: Connection, workflow: str) -> tuple[Reason, ...]:
    """Return a reason for every incident that keeps the workflow's traffic from going up, in all its spaces."""
    query = select(incident.c.id, incident.c.cause).where(
        incident.c.workflow == workflow,
        incident.c.freezes,
        incident.c.freeze_lifted_at.is_(None),
        incident.c.state.in_([state.value for state in UNRESOLVED]),
    )
    return tuple(
        Reason(code="FREEZE", text=f"Incident {row.id} ({row.cause}) freezes {workflow}.", where=row.id)
        for row in connection.execute(query)
    )


def incident_under_way(connection: Connection, workflow: str) -> str | None:
    """Return the newest incident of a workflow that is neither resolved nor a drill."""
    chosen = (
        select(incident.c.id)
        .where(incident.c.workflow == workflow, incident.c.state.in_(UNRESOLVED), ~incident.c.is_drill)
        .order_by(incident.c.detected_at.desc(), incident.c.id.desc())
        .limit(1)
    )
    return connection.execute(chosen).scalar_one_or_none()


def incidents_about(
    connection: Connection, *, workflow: str, release: str, space: str, since: datetime
) -> tuple[Reason, ...]:
    """Return open SEV1 and SEV2 incidents since then that name the release or the space; drills do not count."""
    query = select(incident.c.id, incident.c.severity, incident.c.cause).where(
        incident.c.workflow == workflow,
        incident.c.severity.in_([Severity.SEV1.value, Severity.SEV2.value]),
        incident.c.state.in_([state.value for state in UNRESOLVED]),
        incident.c.detected_at >= since,
        ~incident.c.is_drill,
        (incident.c.release == release) | incident.c.spaces.contains([space]),
    )
    return tuple(
        Reason(code="INCIDENT_OPEN", text=f"{row.severity} incident {row.id} is open: {row.cause}.", where=row.id)
        for row in connection.execute(query)
    )


def _values(stored: StoredIncident) -> dict[str, Any]:
    values = {name: getattr(stored, name) for name in StoredIncident.__dataclass_fields__}
    return {
        **values,
        "spaces": list(stored.spaces),
        "former_commanders": list(stored.former_commanders),
        "responders": list(stored.responders),
        "severity": stored.severity.value,
        "state": stored.state.value,
        "postmortem": None if stored.postmortem is None else dict(stored.postmortem),
    }


def incident_from(row: StoredRow) -> StoredIncident:
    """Return an incident from its row."""
    return StoredIncident(
        **{
            **row,
            "spaces": tuple(row["spaces"]),
            "former_commanders": tuple(row["former_commanders"]),
            "responders": tuple(row["responders"]),
            "severity": Severity(row["severity"]),
            "state": IncidentState(row["state"]),
        }
    )
