"""What waits for a person: one list for the inbox and for the count in every page's header.

Rule: a task stands here exactly when its command would let this person act. Fail mode: a source that cannot be read is
named, the tasks of the others are shown, and the frame shows the count as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.corpus_duties import may_accept
from pilotage.control.inbox_gates import gate_tasks
from pilotage.control.inbox_task import Task
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.request_changes import change_tasks
from pilotage.control.rollout_people import deciding_role
from pilotage.control.watch_mitigations import mitigation_tasks
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound, PilotageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, grant_for
from pilotage.incident.duty import next_duty
from pilotage.incident.records import IncidentState, post_mortem_due
from pilotage.ledger.entry import EntryKind
from pilotage.store.done_deeds import Deed, deeds_of
from pilotage.store.inbox_marks import Marks, marks_of, put_off_until
from pilotage.store.incidents import StoredIncident, incidents_of
from pilotage.store.rollout_verdicts import signatures_of
from pilotage.store.rollouts import StoredRollout, deciding_rollouts
from pilotage.store.waiting_versions import WaitingVersion, waiting_versions

SNOOZED_FOR = timedelta(days=1)
_DONE_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """A person's tasks, what is due first, then the oldest; `put_off` are those of another day.

    `handed` are those that stand with somebody else now, named beside each; `unread` names sources that could not be
    read.
    """

    tasks: tuple[Task, ...]
    put_off: tuple[Task, ...] = ()
    handed: tuple[tuple[Task, str], ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def everything(self) -> tuple[Task, ...]:
        """Whatever the person may do now, also what they put off or handed over."""
        return (*self.tasks, *self.put_off, *(task for task, _ in self.handed))

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "tasks": [one.as_json() for one in self.tasks],
            "put_off": [one.as_json() for one in self.put_off],
            "handed": [one.as_json() | {"to": taker} for one, taker in self.handed],
            "unread": list(self.unread),
        }


def tasks_of(connection: Connection, instance: Instance, actor: Principal) -> Tasks:
    """Return what waits for the person; the connection only reads, so a source that fails ends its transaction."""
    found: list[Task] = []
    unread: list[str] = []
    for name, source in _SOURCES.items():
        try:
            found += source(connection, instance, actor)
        except (SQLAlchemyError, PilotageError):
            connection.rollback()
            unread.append(name)
    found.sort(key=lambda task: (task.due is None, task.due or task.since, task.since))
    now = instance.clock.now()
    marks = Marks() if actor.person is None else marks_of(connection, actor.person, now)
    given = {task.key for task in found if task.key in marks.given and not _is_due(task, now)}
    later = {task.key for task in found if task.key in marks.put_off and not task.is_urgent} - given
    return Tasks(
        tasks=tuple(_taken(instance, task, marks) for task in found if task.key not in later | given),
        put_off=tuple(task for task in found if task.key in later),
        handed=tuple((task, marks.given[task.key]) for task in found if task.key in given),
        unread=tuple(unread),
    )


def _is_due(task: Task, now: datetime) -> bool:
    return task.is_urgent or (task.due is not None and task.due <= now)


def _taken(instance: Instance, task: Task, marks: Marks) -> Task:
    """Return the task, saying who handed it to this person."""
    giver = marks.taken.get(task.key)
    if giver is None:
        return task
    known = instance.workspace.people.get(PersonId(giver))
    return replace(task, why=f"{giver if known is None else known.name} handed it to you. {task.why}")


def list_tasks(instance: Instance, actor: Principal) -> Tasks:
    """Return what waits for the person, read once."""
    with instance.engine.connect() as connection:
        return tasks_of(connection, instance, actor)


def snooze_task(instance: Instance, *, actor: Principal, task: str) -> Task | Refusal:
    """Put one of the person's tasks off for a day; raise NotFound for what does not wait for them."""
    found = own_task(instance, actor, task)
    if actor.person is None:
        return Refusal(reasons=(Reason(code="SOD_SERVICE", text="A service has no inbox.", where=task),))
    if found.is_urgent:
        text = "An incident that nobody took on is not put off; take it on, or hand it to somebody."
        return Refusal(reasons=(Reason(code="TASK_URGENT", text=text, where=task),))
    now = instance.clock.now()
    until = now + SNOOZED_FOR
    with instance.engine.begin() as connection:
        put_off_until(connection, actor.person, task, until=until, now=now)
        data: dict[str, Json] = {"until": to_text(until)}
        record(connection, EntryKind.TASK_PUT_OFF, actor=actor, at=now, subject=task, data=data)
    return found


def own_task(instance: Instance, actor: Principal, task: str) -> Task:
    """Return the task of this key that waits for the actor; raise NotFound."""
    found = next((one for one in list_tasks(instance, actor).tasks if one.key == task), None)
    if found is None:
        message = f"Nothing named {task[:80]!r} waits for you."
        raise NotFound("TASK_UNKNOWN", message, hint="See `pilotage inbox list`.")
    return found


def done_by(connection: Connection, instance: Instance, actor: Principal) -> tuple[Deed, ...]:
    """Return what the person decided in the last seven days, newest first."""
    if actor.person is None:
        return ()
    return deeds_of(connection, actor.person, since=instance.clock.now() - _DONE_FOR)


def next_shift(instance: Instance, actor: Principal) -> tuple[str, datetime] | None:
    """Return the rota and the moment of the person's next hour on duty; now where it has begun."""
    if actor.person is None:
        return None
    now = instance.clock.now()
    found = [
        (begins, name)
        for name, rota in sorted(instance.workspace.operations.rotas.items())
        if (begins := next_duty(rota, actor.person, now)) is not None
    ]
    if not found:
        return None
    begins, name = min(found)
    return name, begins


def _incidents(connection: Connection, _: Instance, actor: Principal) -> list[Task]:
    person = actor.person
    return [] if person is None else [_incident(one, person) for one in incidents_of(connection, person)]


def _incident(one: StoredIncident, person: PersonId) -> Task:
    what = f"the {one.severity.value} incident of {one.workflow}: {one.cause}"
    minutes, due = 5, None
    if one.acknowledged_at is None:
        sentence, why, to = f"Take on {what}", "You are called for it. Acknowledge it", "acknowledged"
        due = one.detected_at
    elif one.state is IncidentState.RESOLVED:
        sentence, why, to = f"Write the post-mortem of {what}", "You answer for it", "closed --file FILE"
        minutes, due = 60, post_mortem_due(one.detected_at)
    else:
        sentence, why, to = f"Resolve {what}", "You answer for it", "resolved"
    return Task(
        key=f"incident/{one.id}",
        sentence=sentence,
        path=f"/incidents/{one.id}",
        since=one.detected_at,
        why=f"{why}.",
        minutes=minutes,
        due=due,
        is_urgent=one.acknowledged_at is None,
        others=_called_too(one, person),
        command=f"pilotage incident update {one.id} --state {to}",
    )


def _called_too(one: StoredIncident, person: PersonId) -> tuple[str, ...]:
    """Return for whom it waits as well: nobody once somebody leads it."""
    is_led = one.commander is not None and one.acknowledged_at is not None
    return () if is_led else tuple(who for who in one.responders if who != person)


def _decisions(connection: Connection, instance: Instance, actor: Principal) -> list[Task]:
    """Return the rollouts whose fixed verdict waits for this person's signature."""
    if actor.person is None or not grant_for(actor.roles, Action.DECIDE_STEP):
        return []
    found = [_decision(connection, instance, actor, stored) for stored in deciding_rollouts(connection)]
    return [task for task in found if task is not None]


def _decision(connection: Connection, instance: Instance, actor: Principal, stored: StoredRollout) -> Task | None:
    if stored.decision is None or stored.decision_outcome is None:
        return None
    signed = signatures_of(connection, stored.id, stored.decision, kind="go")
    taken = frozenset(Role(one.role) for one in signed)
    role = deciding_role(connection, instance.workspace, stored, actor, taken)
    if isinstance(role, Refusal) or any(one.person == actor.person for one in signed):
        return None
    step = stored.place.of(stored.plan)
    return Task(
        key=f"rollout/{stored.id}/{stored.decision}",
        sentence=f"Decide about step {step.name} of {stored.workflow} in {stored.space}",
        path=f"/rollouts/{stored.id}",
        since=stored.state_at,
        why=f"The verdict is {stored.decision_outcome.value}, and the step waits for you as {role.value}.",
        minutes=10,
        others=tuple(sorted({*instance.workspace.roster.get(role, ())} - {actor.person, stored.started_by})),
    )


def _reviews(connection: Connection, instance: Instance, actor: Principal) -> list[Task]:
    found = [_review(instance, version, actor) for version in waiting_versions(connection)]
    return [task for task in found if task is not None]


def _review(instance: Instance, version: WaitingVersion, actor: Principal) -> Task | None:
    settings = instance.workspace.corpora.get(version.corpus)
    if settings is None or may_accept(settings, actor, triggered_by=version.created_by) is not None:
        return None
    role = "steward" if actor.person == settings.steward else "owner"
    return Task(
        key=f"version/{version.corpus}/{version.number}",
        sentence=f"Review version {version.number} of {version.corpus}",
        path=f"/corpora/{version.corpus}/versions/{version.number}",
        since=version.created_at,
        why=f"You are the {role} of this corpus, and somebody else refreshed it.",
        minutes=10,
        others=tuple(sorted({settings.steward, settings.owner} - {actor.person, version.created_by})),
    )


_SOURCES: Final[Mapping[str, Callable[[Connection, Instance, Principal], list[Task]]]] = {
    "incidents": _incidents,
    "rollouts": _decisions,
    "versions of corpora": _reviews,
    "gates": gate_tasks,
    "mitigations": mitigation_tasks,
    "requests for changes": change_tasks,
}
