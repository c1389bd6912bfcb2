"""`/api/v1/profile`: how the console looks for the caller."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.change_profile import change_profile, view_profile
from pilotage.core.reason import Refusal


class ChangingProfile(Body):
    """What is to change. `zone` is an IANA name, empty for the workspace's; what is left out stays."""

    zone: str | None = None
    shortcuts: bool | None = None


def _show(call: Call) -> Result:
    return view_profile(call.instance, actor=call.actor).as_json()


def _change(call: Call) -> Result | Refusal:
    asked: ChangingProfile = call.fields
    done = change_profile(call.instance, actor=call.actor, zone=asked.zone, shortcuts=asked.shortcuts)
    return done if isinstance(done, Refusal) else done.as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/profile",
        command="profile show",
        summary="Show the caller's profile",
        gives="The zone in which the console tells times, null for the workspace's; whether shortcuts are on.",
        run=_show,
    ),
    Operation(
        method="POST",
        path="/profile",
        command="profile set",
        summary="Change the caller's profile",
        gives="The profile as it is now.",
        run=_change,
        takes=ChangingProfile,
    ),
)
