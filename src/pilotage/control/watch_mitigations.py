"""The look at mitigations whose day is over: their owner is told, once a week as long as it stands.

Rule: the notice names the owner and goes where the workflow's owner is told things; the owner's inbox shows it without
this. Fail mode: notice and note commit together, so a look that fails is repeated and tells nobody twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.inbox_task import Task
from pilotage.control.instance import Instance
from pilotage.control.send_messages import Notice, send
from pilotage.evaluation.mitigation import Mitigation, MitigationState
from pilotage.identity.principal import Principal
from pilotage.rollout.transitions import Notify
from pilotage.store.mitigations import note_told, owned_by, past_their_day

_AGAIN: Final = timedelta(days=7)


def watch_mitigations(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """Tell of each mitigation that is overdue; return those told of now."""
    now = instance.clock.now()
    late = [
        one
        for one in past_their_day(connection, now.date(), again=now - _AGAIN)
        if one.state(now) is MitigationState.OVERDUE
    ]
    for one in late:
        note_told(connection, one.id, now)
        notice = Notice(
            title=f"{one.workflow}: mitigation_overdue",
            text=f"{one.owner} was to mitigate it by {one.due}: {one.finding.text} {_closed_by(one)}",
            links={"release": one.release_before},
            facts={"workflow": one.workflow, "mitigation": one.id, "people": one.owner},
        )
        send(connection, instance, (Notify.OWNER,), notice, at=now)
    return tuple(one.id for one in late)


def mitigation_tasks(connection: Connection, instance: Instance, actor: Principal) -> list[Task]:
    """Return the open mitigations that this person owns."""
    if actor.person is None:
        return []
    now = instance.clock.now()
    return [
        Task(
            key=f"mitigation/{one.id}",
            sentence=f"Mitigate {one.finding.metric} of {one.finding.attribute} in {one.workflow}",
            path=f"/releases/{one.release_before}",
            since=one.opened_at,
            why=f"You own it: {one.action} {_closed_by(one)}",
            minutes=60,
            due=datetime.combine(one.due + timedelta(days=1), time(), tzinfo=UTC),
        )
        for one in owned_by(connection, actor.person)
        if one.state(now) is not MitigationState.CLOSED
    ]


def _closed_by(one: Mitigation) -> str:
    return f"Somebody else closes it: `pilotage mitigation close {one.id} --run RUN`, or `--acceptance ID`."
