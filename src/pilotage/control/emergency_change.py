"""`pilotage gate emergency` and `emergency-review`: two persons let a release past people and calendar for 72 hours.

Rule: the first opens it for an open incident and named spaces; the second, in another role and person, gives the same
command. Neither made or sealed the release. What it skips stands in `gate/emergency.py`; the job that ends it is asked
for in the transaction that confirms it, and no second emergency of the same content ends later than the first. Fail
mode: a Refusal with every reason; nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.gate_case import open_chain
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.emergency import EMERGENCY_SPAN, Emergency, history_problems, person_problems
from pilotage.gate.records import ReleaseFacts
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, grant_for, may
from pilotage.incident.records import UNRESOLVED
from pilotage.ledger.entry import EntryKind
from pilotage.store.emergencies import (
    add_emergency,
    emergencies_in,
    emergencies_of_parts,
    find_emergency,
    lock_emergencies,
    save_emergency,
)
from pilotage.store.incidents import find_incident
from pilotage.store.releases import StoredRelease, named_release
from pilotage.store.runs import request_run

RUN_KIND: Final = "emergency"
_MIN_REASON: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyRequest:
    """What is asked: for which incident, into which spaces, and why."""

    incident: str
    spaces: tuple[str, ...]
    reason: str


def declare_emergency(
    instance: Instance, *, actor: Principal, release: str, request: EmergencyRequest
) -> Emergency | Refusal:
    """Open an emergency change, or confirm the one that another person opened with the same command."""
    spaces = _spaces(instance, request.spaces)
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        stored = named_release(connection, release)
        lock_emergencies(connection, stored.workflow)
        known = emergencies_of_parts(connection, stored.parts_digest)
        waiting = _waiting(known, stored, request.incident, spaces, actor, now)
        facts = open_chain(connection, instance, stored, now).release
        reasons = [
            *_person(actor, facts, waiting),
            *_incident(connection, stored, request.incident),
            *_words(request.reason),
            *history_problems(known, emergencies_in(connection, stored.workflow), now),
            *_taken(known, stored, spaces, now),
        ]
        if waiting is not None:
            reasons += _same(waiting, actor, spaces)
        if reasons:
            return Refusal(reasons=tuple(reasons))
        if waiting is not None:
            ends = min(one.expires_at for one in known if one is waiting or one.stands(now))
            return _confirm(connection, replace(waiting, expires_at=ends), actor, request.reason, now)
        return _open(connection, stored, actor, replace(request, spaces=spaces), now)


def _spaces(instance: Instance, names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if SpaceName(name) not in instance.workspace.spaces]
    known = ", ".join(instance.workspace.order)
    if unknown:
        raise NotFound("SPACE_UNKNOWN", f"There is no space {unknown[0]!r}.", hint=f"Declared: {known}.")
    if not names:
        raise UsageError("SPACES", "An emergency names its spaces; none is not all.", hint=f"--space, of {known}.")
    return tuple(name for name in instance.workspace.order if name in names)


def _waiting(
    known: tuple[Emergency, ...],
    stored: StoredRelease,
    incident: str,
    spaces: tuple[str, ...],
    actor: Principal,
    now: datetime,
) -> Emergency | None:
    """Return the one that waits for this person: for the same spaces first, else the newest of another person."""
    found = [
        one
        for one in known
        if one.release == stored.digest and one.incident == incident and one.state(now) == "waiting"
    ]
    same = [one for one in found if one.spaces == spaces]
    others = [one for one in found if one.opened_by != actor.person]
    fitting = same or others
    return fitting[-1] if fitting else None


def _person(actor: Principal, facts: ReleaseFacts, waiting: Emergency | None) -> tuple[Reason, ...]:
    nobody = person_problem(actor, "opens or confirms an emergency")
    if nobody is not None:
        return (nobody,)
    action = Action.START_EMERGENCY if waiting is None else Action.CONFIRM_EMERGENCY
    refusal = may(actor.roles, action)
    problems = person_problems(PersonId(str(actor.person)), facts)
    return problems if refusal is None else (*refusal.reasons, *problems)


def _incident(connection: Connection, stored: StoredRelease, name: str) -> tuple[Reason, ...]:
    found = find_incident(connection, name)
    is_open = found is not None and found.state in UNRESOLVED and not found.is_drill
    if found is not None and is_open and found.workflow == stored.workflow:
        return ()
    text = f"{name!r} is no open incident of {stored.workflow}. Open one: `pilotage incident open`; a drill is none."
    return (Reason(code="EMERGENCY_INCIDENT", text=text, where=name),)


def _words(reason: str) -> tuple[Reason, ...]:
    if len(reason.strip()) >= _MIN_REASON:
        return ()
    text = f"Say why it cannot wait, in at least {_MIN_REASON} characters: --reason."
    return (Reason(code="REASON_NEEDED", text=text),)


def _taken(known: tuple[Emergency, ...], stored: StoredRelease, spaces: tuple[str, ...], now: datetime) -> list[Reason]:
    """Return that an emergency of this release stands there already: a second one would only stretch its end."""
    return [
        Reason(
            code="EMERGENCY_OPEN",
            text=f"Emergency {one.id} of {stored.digest[:19]} lasts until {one.expires_at:%Y-%m-%d %H:%M} UTC already.",
            where=one.id,
        )
        for one in known
        if one.stands(now) and set(one.spaces) & set(spaces)
    ]


def _same(waiting: Emergency, actor: Principal, spaces: tuple[str, ...]) -> list[Reason]:
    found: list[Reason] = []
    if actor.person == waiting.opened_by:
        text = f"{actor.person} opened emergency {waiting.id}; another person confirms it, by the same command."
        found.append(Reason(code="EMERGENCY_TWO_PERSONS", text=text, where=waiting.id, observed="1", limit="2"))
    if spaces != waiting.spaces:
        text = f"Emergency {waiting.id} was opened for {', '.join(waiting.spaces)}; confirm exactly these spaces."
        observed, limit = ", ".join(spaces), ", ".join(waiting.spaces)
        found.append(Reason(code="EMERGENCY_SCOPE", text=text, where=waiting.id, observed=observed, limit=limit))
    return found


def _role(actor: Principal, action: Action) -> Role:
    """Return the role in which the person acts; the caller has seen that there is one."""
    return min(role for role in actor.roles if grant_for((role,), action) is not None)


def _open(
    connection: Connection, stored: StoredRelease, actor: Principal, request: EmergencyRequest, now: datetime
) -> Emergency:
    one = Emergency(
        id=new_ulid(now),
        release=stored.digest,
        workflow=stored.workflow,
        incident=request.incident,
        spaces=tuple(SpaceName(name) for name in request.spaces),
        reason=request.reason.strip(),
        opened_by=PersonId(str(actor.person)),
        opened_role=_role(actor, Action.START_EMERGENCY),
        opened_at=now,
        expires_at=now + EMERGENCY_SPAN,
    )
    add_emergency(connection, one)
    data: dict[str, Json] = {
        "incident": one.incident,
        "spaces": list(one.spaces),
        "role": one.opened_role.value,
        "expires_at": to_text(one.expires_at),
    }
    write_entry(connection, EntryKind.GATE_EMERGENCY_OPENED, one, actor=actor, at=now, data=data, words=one.reason)
    return one


def _confirm(connection: Connection, waiting: Emergency, actor: Principal, reason: str, now: datetime) -> Emergency:
    role = _role(actor, Action.CONFIRM_EMERGENCY)
    one = replace(waiting, confirmed_by=PersonId(str(actor.person)), confirmed_role=role, confirmed_at=now)
    save_emergency(connection, one)
    request_run(connection, kind=RUN_KIND, key=one.id, due_at=one.expires_at)
    data: dict[str, Json] = {"role": role.value, "expires_at": to_text(one.expires_at)}
    write_entry(connection, EntryKind.GATE_EMERGENCY_CONFIRMED, one, actor=actor, at=now, data=data, words=reason)
    return one


def review_emergency(instance: Instance, *, actor: Principal, name: str, notes: str) -> Emergency | Refusal:
    """Record the look back at an emergency, by a member of the board who was none of the two."""
    refusal = may(actor.roles, Action.VOTE, within="cab")
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        one = find_emergency(connection, name, lock=True)
        if one is None:
            text = f"There is no emergency {name!r}."
            raise NotFound("EMERGENCY_UNKNOWN", text, hint="See `pilotage gate emergencies`.")
        if one.reviewed_at is not None:
            return one
        reasons = [*_words(notes)]
        if one.confirmed_at is None:
            text = f"Emergency {name} was never confirmed; there is nothing to look back at."
            reasons.append(Reason(code="EMERGENCY_TWO_PERSONS", text=text, where=name, observed="1", limit="2"))
        facts = open_chain(connection, instance, named_release(connection, one.release), now).release
        if actor.person is None or actor.person in {one.opened_by, one.confirmed_by}:
            text = "Somebody other than the two who let it in looks back at an emergency."
            reasons.append(Reason(code="SOD_CONFLICT", text=text, where=name))
        else:
            reasons += person_problems(actor.person, facts)
        if reasons:
            return Refusal(reasons=tuple(reasons))
        done = replace(one, reviewed_by=PersonId(str(actor.person)), reviewed_at=now)
        save_emergency(connection, done)
        data: dict[str, Json] = {"overdue": one.is_overdue(now)}
        write_entry(connection, EntryKind.GATE_EMERGENCY_REVIEWED, done, actor=actor, at=now, data=data, words=notes)
        return done


def write_entry(  # noqa: PLR0913 - the fields of an entry
    connection: Connection,
    kind: EntryKind,
    one: Emergency,
    *,
    actor: Principal | None,
    at: datetime,
    data: dict[str, Json],
    words: str = "",
) -> None:
    """Append an entry about an emergency; what people wrote goes in as a commitment."""
    about: dict[str, Json] = {"release": one.release, "workflow": one.workflow, **data}
    record(connection, kind, actor=actor, at=at, subject=one.id, data=about, opened={"reason": words})
