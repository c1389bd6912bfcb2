"""`pilotage rollout excuse`: a window of observations counts for neither arm (rollouts.md 6.6).

Two persons other than the starter, neither an author, with an incident of the same time. Rule: sums, attempt and entry
are one transaction; the attempt rises by one, so GO takes more evidence. Fired guards stay, and so do the e-CUSUMs, the
sample ratio and the requests without a record. Fail mode: a Refusal; the first person's word alone excuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.count_observations import Counting, ladder_at
from pilotage.control.declared_person import person_problem
from pilotage.control.instance import Instance
from pilotage.control.open_incident import write_line
from pilotage.control.recorded_requests import caps_of
from pilotage.control.rollout_desk import Desk, at_desk
from pilotage.control.rollout_facts import attempt_in
from pilotage.control.rollout_moves import record_entry
from pilotage.control.rollout_people import author_conflict
from pilotage.control.second_person import STANDS
from pilotage.control.send_messages import Notice, send
from pilotage.control.typed_text import checked_text
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, grant_for
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import TRIPPING
from pilotage.rollout.machine import Place
from pilotage.rollout.observation import LatencyLimits, Observation, marks
from pilotage.rollout.states import State
from pilotage.rollout.tally import Totals, excuse
from pilotage.rollout.transitions import Notify
from pilotage.store.excuses import Excuse, excused_of, excuses_of, put_excuse
from pilotage.store.incidents import StoredIncident, find_incident
from pilotage.store.observation_rows import keep_books, read_books, read_window
from pilotage.store.rollouts import StoredRollout, StoredWave, save_wave, steps_of, waves_of
from pilotage.workspace.principals import roles_of

_OPEN: Final = frozenset({State.OBSERVING, State.HELD, State.PAUSED})
_SEVERITIES: Final = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcuseRequest:
    """Which window of which space (None: where the rollout stands), why, and the incident that says so."""

    start: datetime
    end: datetime
    incident: str
    reason: str
    space: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excused:
    """The window as it is now; `attempt` is what GO is judged by."""

    rollout: StoredRollout
    excuse: Excuse
    attempt: int

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {**excuse_json(self.rollout, self.excuse), "rollout": self.rollout.id, "attempt": self.attempt}


def excuse_json(stored: StoredRollout, found: Excuse) -> dict[str, Json]:
    """Return a window as status shows it."""
    return {
        "id": found.id,
        "space": stored.plan.waves[found.wave].space,
        "from": to_text(found.from_at),
        "to": to_text(found.to_at),
        "incident": found.incident,
        "reason": found.reason,
        "excused": found.second_by is not None,
        "removed": dict(found.removed),
    }


def excuse_window(instance: Instance, *, actor: Principal, rollout: str, request: ExcuseRequest) -> Excused | Refusal:
    """Keep the first person's word, or leave the window out with the second's."""
    reason = checked_text(request.reason, "reason")
    with at_desk(instance, rollout, actor, note=reason) as desk:
        wave = _wave(desk, request)
        incident = find_incident(desk.connection, request.incident, lock=True)
        if incident is None:
            message = f"There is no incident {request.incident!r}."
            raise NotFound("INCIDENT_UNKNOWN", message, hint="See `pilotage incident list`.")
        against = (*_state(desk.rollout), *_person(desk, actor), *_about(desk, wave, request, incident))
        if against:
            return Refusal(reasons=against)
        return _Word(desk=desk, wave=wave, request=request, incident=incident).spoken()


def _wave(desk: Desk, request: ExcuseRequest) -> StoredWave:
    """Return the space; raise NotFound for one without traffic, UsageError for a window that cannot be."""
    live = {wave.space: wave for wave in waves_of(desk.connection, desk.rollout.id) if wave.started_at is not None}
    wanted = desk.rollout.space if request.space is None else request.space
    wave = next((one for space, one in live.items() if space == wanted), None)
    if wave is None or wave.started_at is None:
        message = f"{wanted} has had no traffic of this rollout."
        raise NotFound("SPACE_UNKNOWN", message, hint=f"Its spaces with traffic: {', '.join(live) or 'none yet'}.")
    if not request.reason.strip():
        raise UsageError("REASON_NEEDED", "An excused window needs a reason, which is kept: --reason TEXT.")
    if not wave.started_at <= request.start < request.end <= desk.deed.at:
        message = f"{to_text(request.start)} to {to_text(request.end)} is no window of {wanted}."
        hint = f"Give a beginning and a later end between {to_text(wave.started_at)} and {to_text(desk.deed.at)}."
        raise UsageError("WINDOW", message, hint=hint)
    return wave


def _state(stored: StoredRollout) -> tuple[Reason, ...]:
    if stored.state in _OPEN:
        return ()
    able = ", ".join(sorted(_OPEN))
    text = f"A window is excused while a rollout is {able}; this one is {stored.state}. Extend a step under decision."
    return (Reason(code="ILLEGAL_TRANSITION", text=text, observed=stored.state.value, limit=able),)


def _person(desk: Desk, actor: Principal) -> tuple[Reason, ...]:
    nobody = person_problem(actor, "excuses a window")
    if nobody is not None:
        return (nobody,)
    found = list(author_conflict(desk.connection, desk.rollout.release, actor))
    if str(actor.person) == desk.rollout.started_by:
        text = f"{actor.label} started this rollout; two others excuse a window of it."
        found.append(Reason(code="SOD_CONFLICT", text=text, where=desk.rollout.id))
    if not _may(actor.roles):
        able = ", ".join(sorted(role.value for role in Role if _may((role,))))
        text = f"Excusing a window is not permitted to you. It takes one of the roles {able}."
        found.append(Reason(code="NOT_PERMITTED", text=text))
    return tuple(found)


def _may(roles: Iterable[Role]) -> bool:
    """Tell whether these roles decide about a step, or accept what a statistic did not clear."""
    held = tuple(roles)
    accepts = any(grant_for(held, Action.ACCEPT_RISK, within=level) is not None for level in _SEVERITIES)
    return accepts or grant_for(held, Action.DECIDE_STEP) is not None


def _about(desk: Desk, wave: StoredWave, request: ExcuseRequest, incident: StoredIncident) -> tuple[Reason, ...]:
    found: list[Reason] = []
    until = incident.resolved_at or desk.deed.at
    is_here = incident.workflow == desk.rollout.workflow and wave.space in {incident.space, *incident.spaces}
    if incident.is_drill or not is_here:
        text = f"Incident {incident.id} is not about {desk.rollout.workflow} in {wave.space}."
        found.append(Reason(code="INCIDENT_ELSEWHERE", text=text, where=incident.id))
    elif request.end <= incident.started_at or request.start > until:
        shown = f"{to_text(incident.started_at)} to {to_text(until)}"
        text = f"Incident {incident.id} lasted from {shown}; the window lies outside."
        found.append(Reason(code="INCIDENT_ELSEWHERE", text=text, where=incident.id, limit=shown))
    for one in excused_of(desk.connection, desk.rollout.id, wave.number):
        is_same = (one.from_at, one.to_at, one.incident) == (request.start, request.end, request.incident)
        if not is_same and request.start < one.to_at and one.from_at < request.end:
            text = f"{to_text(one.from_at)} to {to_text(one.to_at)} is excused already; leave it out of the window."
            found.append(Reason(code="WINDOW", text=text, where=one.id))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """One person's word, permitted."""

    desk: Desk
    wave: StoredWave
    request: ExcuseRequest
    incident: StoredIncident

    def spoken(self) -> Excused | Refusal:
        desk, request = self.desk, self.request
        wanted = (self.wave.number, request.start, request.end, request.incident)
        asked = (
            one
            for one in excuses_of(desk.connection, desk.rollout.id)
            if (one.wave, one.from_at, one.to_at, one.incident) == wanted
        )
        found = next(asked, None)
        if found is not None and (found.second_by is not None or found.first_by == desk.deed.person):
            return self._answer(found)
        if found is None or not self._stands(found):
            return self._first(found)
        return self._second(found)

    def _stands(self, found: Excuse) -> bool:
        """Tell whether the first person's word still counts: not too old, and the role still held."""
        person = PersonId(found.first_by)
        return self.desk.deed.at - found.first_at <= STANDS and _may(roles_of(self.desk.instance.workspace, person))

    def _answer(self, found: Excuse) -> Excused:
        return Excused(rollout=self.desk.rollout, excuse=found, attempt=self._attempt())

    def _attempt(self) -> int:
        place = Place(wave=self.wave.number)
        return attempt_in(self.desk.connection, replace(self.desk.rollout, place=place))

    def _first(self, earlier: Excuse | None) -> Excused:
        desk, request = self.desk, self.request
        found = Excuse(
            id=new_ulid(desk.deed.at) if earlier is None else earlier.id,
            rollout=desk.rollout.id,
            wave=self.wave.number,
            from_at=request.start,
            to_at=request.end,
            incident=request.incident,
            reason=desk.deed.note,
            first_by=desk.deed.person,
            first_at=desk.deed.at,
        )
        put_excuse(desk.connection, found)
        self._record(EntryKind.ROLLOUT_SIGNED, found, {"role": "excuse"})
        return self._answer(found)

    def _second(self, asked: Excuse) -> Excused | Refusal:
        desk = self.desk
        try:
            removed = self._take_out(desk.connection)
        except ValueError as error:
            text = f"The window cannot be taken out: {error}"
            return Refusal(reasons=(Reason(code="WINDOW", text=text, where=self.wave.space),))
        found = replace(asked, second_by=desk.deed.person, second_at=desk.deed.at, removed=removed)
        put_excuse(desk.connection, found)
        done = self._answer(found)
        self._record(EntryKind.ROLLOUT_EXCUSED, found, {"attempt": done.attempt, "removed": removed})
        self._tell(found, done.attempt)
        return done

    def _take_out(self, connection: Connection) -> dict[str, Json]:
        """Take what was counted of the window out of the sums; return how much that was."""
        stored, wave = self.desk.rollout, self.wave
        steps = tuple(step for step in steps_of(connection, stored.id) if step.wave == wave.number)
        counting = Counting(connection=connection, rollout=stored, wave=wave, steps=steps)
        window = (self.request.start, self.request.end)
        seqs = (wave.counted_from or 0, wave.cursor)
        rows = read_window(connection, wave.space, stored.workflow, window=window, seqs=seqs)
        batch = [seen for _, seen in counting.observations(rows)]
        names = list(dict.fromkeys(seen.principal for seen in batch))
        books = read_books(connection, stored.id, wave.number, names)
        totals = Totals.read(wave.totals)
        ladder = ladder_at(stored.plan, wave.number, steps[-1].step)
        excuse(totals, books, batch, caps=caps_of(stored.plan), ladder=ladder)
        keep_books(connection, stored.id, wave.number, books)
        save_wave(connection, replace(wave, totals=totals.as_json()))
        return {arm.value: _sums(batch, arm, ladder.now.latency) for arm in (Arm.STABLE, Arm.CANDIDATE)}

    def _record(self, kind: EntryKind, found: Excuse, more: dict[str, Json]) -> None:
        desk = self.desk
        data: dict[str, Json] = {
            "workflow": desk.rollout.workflow,
            "release": desk.rollout.release,
            "space": self.wave.space,
            "window": found.id,
            "from": to_text(found.from_at),
            "to": to_text(found.to_at),
            "incident": found.incident,
            **more,
        }
        record_entry(desk.connection, desk.rollout, kind, desk.deed, data=data)

    def _tell(self, found: Excuse, attempt: int) -> None:
        desk = self.desk
        text = (
            f"{to_text(found.from_at)} to {to_text(found.to_at)} in {self.wave.space} counts for neither arm of rollout"
            f" {desk.rollout.id}; GO is now judged as attempt {attempt}."
        )
        write_line(desk.connection, self.incident, desk.deed, text)
        notice = Notice(
            title=f"{desk.rollout.workflow}: a window is excused",
            text=text,
            links={"rollout": desk.rollout.id},
            facts={"incident": found.incident, "removed": dict(found.removed)},
        )
        send(desk.connection, desk.instance, (Notify.BOARD, Notify.OWNER), notice, at=desk.deed.at)


def _sums(batch: list[Observation], arm: Arm, limits: LatencyLimits) -> dict[str, Json]:
    """Return the requests of an arm, and how many failed by each metric that trips."""
    found = [marks(seen, limits) for seen in batch if seen.arm is arm]
    failed: dict[str, Json] = {metric.value: sum(one.get(metric, False) for one in found) for metric in TRIPPING}
    return {"requests": len(found), "failed": failed}
