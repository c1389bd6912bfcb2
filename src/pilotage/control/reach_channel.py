"""`pilotage channel test`, and the way every message to a channel goes: its address is read when it is sent.

Rule: a test is marked as one, names who made it, goes to one channel and is tried once; what it alerts is over at once,
and the ledger has it. Fail mode: Unavailable with what went wrong, without the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotage.adapters.models.secret import read_secret
from pilotage.adapters.notify.channel import send_to_channel
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.send_messages import PageEvent
from pilotage.core.errors import NotFound
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.workspace.records import Channel, MessageKind


def reach_channel(instance: Instance, channel: Channel, message: Mapping[str, Any], *, key: str) -> None:
    """Send a message to a channel; return when it has it."""
    oidc = instance.workspace.identity.oidc
    signs_in = None if oidc is None else oidc.sign_in
    send_to_channel(
        read_secret(channel.url_ref, root=instance.root),
        dict(message),
        key=key,
        allow_private=channel.allow_private,
        origin=None if signs_in is None else signs_in.public_url,
    )


def try_channel(instance: Instance, *, actor: Principal, name: str) -> Channel | Refusal:
    """Send a channel a message that says it is a test; return the channel when it was taken."""
    refusal = may(actor.roles, Action.MANAGE_INCIDENT)
    if refusal is not None:
        return refusal
    channels = instance.workspace.channels
    if name not in channels:
        known = ", ".join(sorted(channels)) or "none; declare one under notifications: in pilotage.yaml"
        raise NotFound("CHANNEL_UNKNOWN", f"There is no channel {name[:80]!r}.", hint=f"There are: {known}.")
    at = instance.clock.now()
    page = new_ulid(at)
    organisation = instance.workspace.organisation
    message = {
        "kind": MessageKind.REPORT.value,
        "page": page,
        "audience": [],
        "title": f"[test] {organisation}: this channel reaches you",
        "text": f"{actor.label} tried the channel {name!r}. Nothing happened, and nothing is asked of you.",
        "links": {},
        "facts": {},
    }
    over = {"kind": message["kind"], "event": PageEvent.RESOLVE.value, "page": page, "links": {}, "facts": {}}
    taken = False
    try:
        reach_channel(instance, channels[name], message, key=new_ulid(at))
        taken = True
        reach_channel(instance, channels[name], over, key=new_ulid(at))
    finally:
        with instance.engine.begin() as connection:
            record(connection, EntryKind.CHANNEL_TESTED, actor=actor, at=at, subject=name, data={"taken": taken})
    return channels[name]
