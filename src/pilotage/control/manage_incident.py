"""`pilotage incident open|update|close`: what people do with an incident (rollouts.md 11, operations.md 5).

Rule: every change is a line of the timeline and a ledger entry; people's words go in as commitments. Only a person
lowers a severity. Fail mode: a Refusal with everything that is missing; nothing changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident, tell, unapproved, write_line
from pilotage.control.rollout_moves import Deed, person_deed
from pilotage.control.send_messages import PageEvent, follow_page
from pilotage.control.typed_text import checked_text
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.identity.roles import Action, may
from pilotage.incident.records import (
    UNRESOLVED,
    ActionItem,
    Incident,
    IncidentState,
    PostMortem,
    Severity,
    lower,
    move,
    reopen,
)
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.states import BACKING_OUT
from pilotage.store.incidents import StoredIncident, find_incident, open_like, save_incident
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.rollouts import find_rollout
from pilotage.workspace.principals import local_principal

_AT = {
    IncidentState.ACKNOWLEDGED: "acknowledged_at",
    IncidentState.MITIGATED: "mitigated_at",
    IncidentState.RESOLVED: "resolved_at",
    IncidentState.CLOSED: "closed_at",
}

_NEEDED = ("cause", "informed", "actions")
_TOLD = ("summary", "impact", "detection", "went_well", "went_badly", "lucky", "golden_cases")
"""What a post-mortem may tell besides (rollouts.md 11): texts, and the golden cases that were added."""
_HOLDS = "A post-mortem holds cause, informed and actions: [{text, owner, due, aim}]."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What to change; None keeps it. `post_mortem` as its file says; `approve`: the actor approves the post-mortem.

    `read` is the digest of the post-mortem that the actor saw (`read_as`); None binds the change to none.
    """

    state: IncidentState | None = None
    severity: Severity | None = None
    commander: str | None = None
    lift_freeze: bool = False
    post_mortem: Mapping[str, Any] | None = None
    approve: bool = False
    note: str = ""
    read: str | None = None


def open_by_person(
    instance: Instance, *, actor: Principal, workflow: str, space: str, severity: Severity, summary: str
) -> StoredIncident | Refusal:
    """Open an incident that a person noticed; the same one again joins it."""
    checked_text(summary, "summary")
    refusal = may(actor.roles, Action.MANAGE_INCIDENT)
    if refusal is not None:
        return refusal
    known = instance.workspace.workflows
    if workflow not in known or space not in instance.workspace.spaces:
        message = f"There is no workflow {workflow!r} or no space {space!r}."
        raise NotFound("INCIDENT_PLACE", message, hint=f"Workflows: {', '.join(sorted(known))}.")
    with instance.engine.begin() as connection:
        deed = person_deed(connection, actor, at=instance.clock.now())
        trouble = Trouble(
            workflow=workflow,
            space=space,
            spaces=(space,),
            release=None,
            cause="reported by a person",
            severity=severity,
            summary=summary,
        )
        return open_incident(connection, instance, trouble, deed)


def update_incident(instance: Instance, *, actor: Principal, incident: str, change: Change) -> StoredIncident | Refusal:
    """Change an incident; a repeated command changes nothing more."""
    checked_text(change.note, "note")
    refusal = may(actor.roles, Action.MANAGE_INCIDENT)
    is_review = change == Change(approve=True, note=change.note, read=change.read)
    if refusal is not None and not is_review:
        return refusal
    if change.commander is not None:
        local_principal(instance.workspace, PersonId(change.commander))  # raises NotFound
    with _locked(instance, actor, incident) as (connection, found, deed):
        after = _applied(connection, found, change, deed)
        if isinstance(after, Refusal):
            return after
        save_incident(connection, after)
        commander = None if change.commander is None else _named(connection, change.commander)
        closed = after.state is IncidentState.CLOSED and found.state is not IncidentState.CLOSED
        kind = EntryKind.INCIDENT_CLOSED if closed else EntryKind.INCIDENT_UPDATED
        write_line(connection, after, deed, _line(change, commander), kind=kind)
        _tell_change(connection, instance, found, after, deed.at)
        return after


def _tell_change(
    connection: Connection, instance: Instance, before: StoredIncident, after: StoredIncident, at: datetime
) -> None:
    """Page for what pages from now on; then tell pagers, once each, that it ended or that somebody has it."""
    is_back = before.state not in UNRESOLVED and after.state in UNRESOLVED
    is_told = after.severity.pages and (is_back or not before.severity.pages)
    if is_told:
        tell(connection, instance, after, at)
    if after.state not in UNRESOLVED:
        event, is_new = PageEvent.RESOLVE, before.state in UNRESOLVED
    else:
        event, is_new = PageEvent.ACKNOWLEDGE, before.acknowledged_at is None
    if (is_new or is_told) and (event is PageEvent.RESOLVE or after.acknowledged_at is not None):
        follow_page(connection, instance, event, incident=after.id, at=at)


@contextmanager
def _locked(instance: Instance, actor: Principal, identifier: str) -> Iterator[tuple[Connection, StoredIncident, Deed]]:
    with instance.engine.begin() as connection:
        found = find_incident(connection, identifier, lock=True)
        if found is None:
            message = f"There is no incident {identifier!r}."
            raise NotFound("INCIDENT_UNKNOWN", message, hint="See `pilotage incident list`.")
        yield connection, found, person_deed(connection, actor, at=instance.clock.now())


def _applied(connection: Connection, found: StoredIncident, change: Change, deed: Deed) -> StoredIncident | Refusal:
    after = found
    if change.read is not None and change.read != read_as(found.postmortem):
        text = "The post-mortem was written anew or approved since you opened it. Read it, then decide again."
        return Refusal(reasons=(Reason(code="POST_MORTEM_CHANGED", text=text),))
    if change.severity is not None and change.severity is not found.severity:
        refusal = lower(facts_of(connection, found), change.severity, reason=change.note)
        if refusal is not None:
            return refusal
        after = replace(after, severity=change.severity)
    if change.commander is not None and change.commander != found.commander:
        after = replace(after, commander=change.commander, former_commanders=found.leaders)
    if change.lift_freeze and after.freeze_lifted_at is None:
        refusal = against_lifting(found, deed.person)  # whoever is named in the same change does not lead it yet
        if refusal is not None:
            return refusal
        after = replace(after, freeze_lifted_at=deed.at)
    if change.post_mortem is not None:
        after = replace(after, postmortem=_written(change.post_mortem, deed.person))
    if change.approve:
        approved = _approved(after, deed.person)
        if isinstance(approved, Refusal):
            return approved
        after = approved
    return _moved(connection, after, change.state, deed)


def _approved(after: StoredIncident, person: str) -> StoredIncident | Refusal:
    written = after.postmortem
    if written is None:
        return Refusal(reasons=(Reason(code="POST_MORTEM_MISSING", text="There is no post-mortem to approve."),))
    refusal = may_approve(written["author"], after.leaders, person)
    return refusal or replace(after, postmortem={**written, "approved_by": person})


def may_approve(author: str, leaders: Collection[str], person: str | None) -> Refusal | None:
    """Return None when this person may approve what the author wrote; `leaders` were ever its commander."""
    if person not in {author, *leaders}:
        return None
    text = "Somebody other than its author and whoever was its commander approves a post-mortem."
    return Refusal(reasons=(Reason(code="SECOND_PERSON_NEEDED", text=text),))


def read_as(postmortem: Mapping[str, Any] | None) -> str:
    """Return the digest of a post-mortem as it is kept; "" where there is none."""
    return "" if postmortem is None else digest_of_json(dict(postmortem))


def _moved(
    connection: Connection, after: StoredIncident, state: IncidentState | None, deed: Deed
) -> StoredIncident | Refusal:
    if state is None or state is after.state:
        return after
    refusal = against_move(connection, after, facts_of(connection, after), state, now=deed.at)
    if refusal is not None:
        return refusal
    if state is IncidentState.OPEN:
        return _reopened(after)
    times: dict[str, Any] = {_AT[state]: deed.at} if state in _AT else {}
    if state is IncidentState.CLOSED and after.resolved_at is None:
        times["resolved_at"] = deed.at
    if after.acknowledged_at is None:  # whoever moves it on has seen it
        times["acknowledged_at"] = deed.at
    commander = after.commander or (deed.person if state is IncidentState.ACKNOWLEDGED else None)
    is_taken_as_it_is = state is IncidentState.ACKNOWLEDGED and after.state is IncidentState.MITIGATED
    return replace(after, state=after.state if is_taken_as_it_is else state, commander=commander, **times)


def against_move(
    connection: Connection, stored: StoredIncident, facts: Incident, state: IncidentState, *, now: datetime
) -> Refusal | None:
    """Return why an incident does not go to another state now, back to `open` included."""
    if state is not IncidentState.OPEN:
        return move(facts, state)
    refusal = reopen(facts, ended_at=stored.closed_at or stored.resolved_at, now=now)
    other = None if refusal is not None else open_like(connection, stored)
    if other is not None:
        text = f"Incident {other.id} is open about the same thing; go on there."
        return Refusal(reasons=(Reason(code="ALREADY_OPEN", text=text, where=other.id),))
    return refusal


def against_lifting(stored: StoredIncident, person: str | None) -> Refusal | None:
    """Return why this person does not lift its freeze."""
    if stored.commander in {None, person}:
        return None
    text = f"The commander of {stored.id} lifts its freeze."
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, limit=stored.commander),))


def _reopened(after: StoredIncident) -> StoredIncident:
    """Return an ended incident as it is when it is open again: its freeze holds, its post-mortem waits for approval."""
    return replace(
        after,
        state=IncidentState.OPEN,
        acknowledged_at=None,
        mitigated_at=None,
        resolved_at=None,
        closed_at=None,
        freeze_lifted_at=None,
        postmortem=unapproved(after.postmortem),
    )


def facts_of(connection: Connection, stored: StoredIncident) -> Incident:
    """Return what moves of an incident are decided from."""
    rollout = None if stored.rollout is None else find_rollout(connection, stored.rollout)
    written = stored.postmortem
    return Incident(
        id=stored.id,
        severity=stored.severity,
        state=stored.state,
        commander=stored.commander,
        former_commanders=stored.former_commanders,
        freezes=stored.freezes,
        freeze_lifted=stored.freeze_lifted_at is not None,
        is_verified=rollout is None or rollout.state not in BACKING_OUT,
        is_rollback=stored.freezes and stored.rollout is not None,
        is_taken=stored.acknowledged_at is not None,
        post_mortem=None if written is None else read_post_mortem(written),
    )


def _written(value: Mapping[str, Any], author: str) -> dict[str, Any]:
    """Return a post-mortem as it is kept: what its file says, by its author, not approved."""
    unknown = sorted(value.keys() - {*_NEEDED, *_TOLD, "author", "approved_by"})
    if unknown:
        message = f"A post-mortem has no {', '.join(unknown)}."
        raise UsageError("POST_MORTEM", message, hint=f"It holds {', '.join((*_NEEDED, *_TOLD))}.")
    needed = {"cause": value.get("cause"), "informed": value.get("informed"), "actions": value.get("actions") or []}
    told = {name: value[name] for name in _TOLD if value.get(name)}
    written = {"author": author, "approved_by": None, **needed, **told}
    for action in read_post_mortem(written).actions:
        for name, words in asdict(action).items():
            checked_text(words, f"{name} of an action")
    for name, words in (needed | told).items():
        if isinstance(words, str):
            checked_text(words, name.replace("_", " "))
    return written


def read_post_mortem(value: Mapping[str, Any]) -> PostMortem:
    """Return a post-mortem; raise UsageError that says what its file has to hold."""
    try:
        actions = tuple(ActionItem(**action) for action in value.get("actions", ()))
    except TypeError as error:
        raise UsageError("POST_MORTEM", _HOLDS) from error
    cause, informed = value.get("cause") or "", value.get("informed") or ""
    if not all(isinstance(one, str) for one in (cause, informed, *chain(*map(astuple, actions)))):
        raise UsageError("POST_MORTEM", _HOLDS, hint="Each of these is a text; put quotes around a number.")
    return PostMortem(
        author=value["author"],
        cause=cause,
        informed=informed,
        approved_by=value.get("approved_by"),
        actions=actions,
    )


def _named(connection: Connection, person: str) -> str:
    """Return the name that a timeline holds of a person."""
    return pseudonym_of(connection, local_principal_id(PersonId(person)))


def _line(change: Change, commander: str | None) -> str:
    """Return what the timeline says: the fields that changed, never a person's free text but the note itself."""
    named = {
        "state": change.state,
        "severity": change.severity,
        "commander": commander,
        "freeze": "lifted" if change.lift_freeze else None,
        "post-mortem": "written" if change.post_mortem is not None else None,
        "approval": "given" if change.approve else None,
    }
    parts = [f"{name}: {value}" for name, value in named.items() if value is not None]
    return "; ".join([*parts, *([change.note] if change.note else [])]) or "looked at"
