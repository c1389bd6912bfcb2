"""An incident as its page shows it: what is told to everybody, and what one person may do about it now.

Rule: reads only; each command is held against the rules that carry it out. Whoever wrote a line is told by name where
they are a declared person. Fail mode: NotFound for an unknown id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.incident_reports import detail_of, named_incident
from pilotage.control.instance import Instance
from pilotage.control.manage_incident import against_lifting, against_move, facts_of, may_approve, read_as
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.identity.roles import Action, may
from pilotage.incident.records import IncidentState
from pilotage.store.incidents import StoredIncident
from pilotage.store.pseudonyms import principals_of
from pilotage.workspace.principals import linked_accounts, roles_of
from pilotage.workspace.records import Workspace

LIFT: Final = "lift"
CHANGE: Final = "change"
APPROVE: Final = "approve"
PSEUDONYM: Final = re.compile(r"\bp_[a-z2-7]{26}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """What everybody sees. `told` as `incident show` gives it; `people`: the person behind each pseudonym in it.

    `read` is the digest of its post-mortem, `is_verified` as moves are decided from it.
    """

    stored: StoredIncident
    told: Mapping[str, Any]
    people: Mapping[str, PersonId]
    read: str
    is_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What one person may do: why not each state but the present one, `lift`, `change` and `approve`; () may be done.

    `leaders` are the people who may be named its commander.
    """

    against: Mapping[str, Sequence[Reason]]
    leaders: tuple[PersonId, ...]


def view_desk(instance: Instance, identifier: str, *, actor: Principal) -> tuple[IncidentView, Desk]:
    """Return what everybody sees, and what this person may do."""
    with instance.engine.connect() as connection:
        view = view_incident(connection, instance, identifier)
        against = _against(connection, view.stored, actor, instance.clock.now())
        return view, Desk(against=against, leaders=_leaders(instance.workspace, view.stored))


def view_incident(connection: Connection, instance: Instance, identifier: str) -> IncidentView:
    """Return what everybody sees of an incident; raise NotFound."""
    stored = named_incident(connection, identifier)
    told: dict[str, Any] = detail_of(connection, stored, instance.clock.now())
    return IncidentView(
        stored=stored,
        told=told,
        people=_people(connection, instance.workspace, stored, told["timeline"]),
        read=read_as(stored.postmortem),
        is_verified=facts_of(connection, stored).is_verified,
    )


def _people(
    connection: Connection, workspace: Workspace, stored: StoredIncident, lines: Sequence[Mapping[str, Any]]
) -> dict[str, PersonId]:
    """Return who acted, and who leads or led it: a pseudonym that somebody typed into a line names nobody else."""
    acted = {str(line["actor"]) for line in lines}
    leads = tuple(local_principal_id(PersonId(one)) for one in stored.leaders)
    linked = linked_accounts(workspace)
    found: dict[str, PersonId] = {}
    for pseudonym, principal in principals_of(connection, acted, also=leads).items():
        account = linked.get(principal)
        person = PersonId(principal.removeprefix("local|")) if account is None else account.person
        if person in workspace.people:
            found[pseudonym] = person
    return found


def _against(
    connection: Connection, stored: StoredIncident, actor: Principal, now: datetime
) -> Mapping[str, Sequence[Reason]]:
    refusal = may(actor.roles, Action.MANAGE_INCIDENT)
    person = str(actor.person or actor.id)
    facts = facts_of(connection, stored)
    moves = {
        state.value: refusal or against_move(connection, stored, facts, state, now=now)
        for state in IncidentState
        if state is not stored.state
    }
    written = stored.postmortem
    review = None if written is None else may_approve(written["author"], stored.leaders, person)
    found: dict[str, Refusal | None] = {
        **moves,
        LIFT: refusal or against_lifting(stored, person),
        CHANGE: refusal,
        APPROVE: review,
    }
    return {name: () if why is None else why.reasons for name, why in found.items()}


def _leaders(workspace: Workspace, stored: StoredIncident) -> tuple[PersonId, ...]:
    """Return who may be named, declared roles first: where none of them manages incidents, everybody declared."""
    people = sorted(workspace.people, key=lambda person: workspace.people[person].name)
    able = [one for one in people if may(roles_of(workspace, one), Action.MANAGE_INCIDENT) is None]
    return tuple(one for one in able or people if one != stored.commander)
