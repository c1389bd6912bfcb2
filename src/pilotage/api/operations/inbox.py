"""`/api/v1/inbox`: what waits for the caller."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.hand_over_task import hand_over_task
from pilotage.control.inbox import list_tasks, snooze_task
from pilotage.core.reason import Refusal


class PuttingOff(Body):
    """A task, as the list names it."""

    task: str


class HandingOver(Body):
    """A task, as the list names it, and the person who is to do it."""

    task: str
    to: str


def _list(call: Call) -> Result:
    return list_tasks(call.instance, call.actor).as_json()


def _snooze(call: Call) -> Result | Refusal:
    asked: PuttingOff = call.fields
    done = snooze_task(call.instance, actor=call.actor, task=asked.task)
    return done if isinstance(done, Refusal) else done.as_json()


def _hand_over(call: Call) -> Result | Refusal:
    asked: HandingOver = call.fields
    done = hand_over_task(call.instance, actor=call.actor, task=asked.task, to=asked.to)
    return done if isinstance(done, Refusal) else done.as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/inbox",
        command="inbox list",
        summary="List what waits for the caller",
        gives="What waits, what is due first; what was put off or handed over; sources that could not be read.",
        run=_list,
    ),
    Operation(
        method="POST",
        path="/inbox/snooze",
        command="inbox snooze",
        summary="Put a task off for a day",
        gives="The task.",
        run=_snooze,
        takes=PuttingOff,
    ),
    Operation(
        method="POST",
        path="/inbox/hand-over",
        command="inbox hand-over",
        summary="Hand a task to somebody for whom it waits as well",
        gives="The task.",
        run=_hand_over,
        takes=HandingOver,
    ),
)
