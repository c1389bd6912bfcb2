"""Paging further people about a critical incident that nobody has acknowledged (rollouts.md 11, operations.md 3.3).

Rule: each level of the workflow's rota is paged once, when its minutes are over; the opening itself pages the first,
and one that is open again begins anew. That the machine mitigated an incident acknowledges nothing. The page names
people, the timeline their pseudonyms. Fail mode: a level without anybody is told to the next ones; a look that fails is
repeated and pages nobody twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import write_line
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.identity.principal import local_principal_id
from pilotage.incident.duty import DEFAULT_LADDER, levels_due, on_duty
from pilotage.incident.records import OPEN_AGAIN
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import StoredIncident, lines_of, unacknowledged
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.workspace.operations import Escalation, Rota

MACHINE: Final = "system:escalation"
NOBODY: Final = "nobody is declared there"


def escalate_incidents(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """Page whoever is due now; return the incidents that were escalated."""
    now = instance.clock.now()
    return tuple(found.id for found in unacknowledged(connection) if _escalated(connection, instance, found, now))


def _escalated(connection: Connection, instance: Instance, found: StoredIncident, now: datetime) -> bool:
    rota = _rota(instance, found.workflow)
    ladder = (rota.escalation if rota is not None else ()) or DEFAULT_LADDER
    lines = lines_of(connection, found.id)
    again = [line for line in lines if line.text.startswith(OPEN_AGAIN)]
    since = again[-1].at if again else found.detected_at
    due = levels_due(ladder, now - since)
    told = sum(line.actor == MACHINE and line.at >= since for line in lines)
    for level in due[told:]:
        there = people_at(instance, rota, level, now)
        people = ", ".join(there) or NOBODY
        why = f"Not acknowledged for {level.after_minutes} min: {level.to}"
        names = ", ".join(pseudonym_of(connection, local_principal_id(who)) for who in there) or NOBODY
        write_line(connection, found, Deed(actor=MACHINE, at=now), f"{why} ({names}) is paged.")
        notice = Notice(
            title=f"{found.severity} {found.workflow} in {found.space}: not acknowledged",
            text=f"{why} ({people}) is paged. {found.summary}",
            links={"incident": found.id},
            facts={"to": level.to, "people": people, "severity": str(found.severity), "spaces": list(found.spaces)},
        )
        send(connection, instance, (Notify.PAGE,), notice, at=now)
    return len(due) > told


def _rota(instance: Instance, workflow: str) -> Rota | None:
    declared = instance.workspace.workflows.get(WorkflowName(workflow))
    return None if declared is None else instance.workspace.operations.rotas.get(declared.on_call)


def people_at(instance: Instance, rota: Rota | None, level: Escalation, now: datetime) -> tuple[PersonId, ...]:
    """Return who stands at a level of a ladder: `layer:<n>` counts from 1, `role:<role>`, `person:<id>`."""
    kind, _, name = level.to.partition(":")
    if kind == "person":
        return (PersonId(name),)
    if kind == "role":
        return tuple(
            who for role, members in instance.workspace.roster.items() if role.value == name for who in members
        )
    duty = () if rota is None else on_duty(rota, now)
    return tuple(who for number, who in enumerate(duty, start=1) if who is not None and str(number) == name)
