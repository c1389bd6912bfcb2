"""`/api/v1/inbox`: what waits for the caller."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.inbox import list_tasks, snooze_task
from pilotage.core.reason import Refusal


class PuttingOff(Body):
    """A task, as the list names it."""

    task: str


def _list(call: Call) -> Result:
    return list_tasks(call.instance, call.actor).as_json()


def _snooze(call: Call) -> Result | Refusal:
    asked: PuttingOff = call.fields
    done = snooze_task(call.instance, actor=call.actor, task=asked.task)
    return done if isinstance(done, Refusal) else done.as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/inbox",
        command="inbox list",
        summary="List what waits for the caller",
        gives="Reviews, gates, steps of rollouts and incidents, what is due first; those put off; sources not read.",
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
)
