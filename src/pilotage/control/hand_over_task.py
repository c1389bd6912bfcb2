"""`pilotage inbox hand-over`: one of my tasks to somebody for whom it waits as well, in the same role.

Rule: no right moves; the taker must be able to do it already. What nobody took on stays with the giver too until
somebody does. Fail mode: a Refusal with the reason; nothing was marked.
"""

from __future__ import annotations

from pilotage.control.declared_person import person_problem
from pilotage.control.inbox import list_tasks, own_task
from pilotage.control.inbox_task import Task
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.ledger.entry import EntryKind
from pilotage.store.inbox_marks import hand_over
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.workspace.principals import local_principal


def hand_over_task(instance: Instance, *, actor: Principal, task: str, to: str) -> Task | Refusal:
    """Hand a task over; raise NotFound for what does not wait for the actor, and for an undeclared person."""
    problem = person_problem(actor, "hands a task over")
    if problem is not None or actor.person is None:
        return Refusal(reasons=() if problem is None else (problem,))
    found = own_task(instance, actor, task)
    taker = local_principal(instance.workspace, PersonId(to))
    if taker.person == actor.person:
        return _no("HANDED_TO_ONESELF", "You have this task already; name somebody else.", task)
    if all(one.key != task for one in list_tasks(instance, taker).everything):
        text = f"This does not wait for {taker.label}. It can go to {', '.join(found.others) or 'nobody else'}."
        return _no("NOT_THEIRS", text, task)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        hand_over(connection, task, giver=actor.person, taker=to, now=now)
        data: dict[str, Json] = {"to": pseudonym_of(connection, local_principal_id(PersonId(to)))}
        record(connection, EntryKind.TASK_HANDED_OVER, actor=actor, at=now, subject=task, data=data)
    return found


def _no(code: str, text: str, task: str) -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=text, where=task),))
