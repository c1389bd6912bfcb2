"""`/api/v1/channels`: whether a notification channel reaches anybody."""

from __future__ import annotations

from pilotage.api.operation import Call, Operation, Result
from pilotage.control.reach_channel import try_channel
from pilotage.core.reason import Refusal


def _test(call: Call) -> Result | Refusal:
    done = try_channel(call.instance, actor=call.actor, name=call.params["channel"])
    return done if isinstance(done, Refusal) else {"channel": done.name, "taken": True}


OPERATIONS = (
    Operation(
        method="POST",
        path="/channels/{channel}/test",
        command="channel test",
        summary="Send a channel a message that says it is a test",
        gives="The channel, when it took the message; sent from this process, with its environment.",
        run=_test,
        is_outward=True,
    ),
)
