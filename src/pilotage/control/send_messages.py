"""Messages to people, written with the decision they tell of and delivered by the outbox.

A message holds names, numbers and links, never the text of a question or an answer. Rule: every channel of the
workspace that takes this kind of message gets it once; where each space it is about names channels for alerts, only
those do. Without a channel it goes to the worker's log, so that it is never silent. The messages of one page share its
`page`. Fail mode: a dead channel delays nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import new_ulid
from pilotage.rollout.transitions import Notify
from pilotage.store.outbox import NOTIFICATION, add_message
from pilotage.workspace.records import MessageKind

KIND: Final = NOTIFICATION
LOG: Final = "log"

_CHANNEL_OF: Mapping[Notify, MessageKind] = {
    Notify.PAGE: MessageKind.PAGE,
    Notify.ON_CALL: MessageKind.TICKET,
    Notify.WAR_ROOM: MessageKind.TICKET,
    Notify.DECIDERS: MessageKind.APPROVAL,
    Notify.BOARD: MessageKind.APPROVAL,
    Notify.STARTER: MessageKind.TICKET,
    Notify.OWNER: MessageKind.TICKET,
    Notify.STAKEHOLDERS: MessageKind.REPORT,
}


class PageEvent(StrEnum):
    """What became of an incident that was paged; a channel that keeps alerts closes its own by it."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What people are told. `is_drill` marks it, so that nobody runs."""

    title: str
    text: str
    links: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    is_drill: bool = False


def send(connection: Connection, instance: Instance, to: Iterable[Notify], notice: Notice, *, at: datetime) -> int:
    """Write the notice for everybody in `to`; return how many messages were written."""
    audiences: dict[MessageKind, list[str]] = {}
    for who in to:
        kind = _CHANNEL_OF.get(who)
        if kind is not None:
            audiences.setdefault(kind, []).append(who.value)
    page, written = new_ulid(at), 0
    for kind, audience in audiences.items():
        for target in _targets(instance, kind, notice.facts) or [LOG]:
            payload: dict[str, Json] = {
                "kind": kind.value,
                "audience": list(audience),
                "title": f"[drill] {notice.title}" if notice.is_drill else notice.title,
                "text": notice.text,
                "links": dict(notice.links),
                "facts": dict(notice.facts),
            }
            if kind is MessageKind.PAGE:
                payload |= {"page": page, "sent_at": to_text(at)}
            add_message(connection, message_id=new_ulid(at), kind=KIND, target=target, payload=payload, now=at)
            written += 1
    return written


def follow_page(connection: Connection, instance: Instance, event: PageEvent, *, incident: str, at: datetime) -> None:
    """Write for every channel what became of an incident since; people are told nothing anew.

    Its tickets, reports and forwarded pages are alerts too, wherever they went; a pager drops what it has no alert of.
    """
    payload = {"kind": MessageKind.PAGE.value, "event": event.value, "links": {"incident": incident}, "facts": {}}
    for target in instance.workspace.channels:
        add_message(connection, message_id=new_ulid(at), kind=KIND, target=target, payload=payload, now=at)


def _targets(instance: Instance, kind: MessageKind, facts: Mapping[str, Json]) -> list[str]:
    """Return the channels of a kind that a message with these facts goes to, as the workspace lists them."""
    channels = [channel.name for channel in instance.workspace.channels.values() if kind in channel.kinds]
    wanted = {
        name for names in _named_for_alerts(instance, facts) for name in (names.intersection(channels) or channels)
    }
    return [name for name in channels if name in wanted]


def _named_for_alerts(instance: Instance, facts: Mapping[str, Json]) -> list[frozenset[str]]:
    """Return for each space of a notice the channels it names for alerts; empty for one unknown, or about no space."""
    about = facts.get("spaces")
    places = [str(one) for one in about] if isinstance(about, list) else [str(facts.get("space"))]
    spaces = {str(name): space.monitoring for name, space in instance.workspace.spaces.items()}
    found = [spaces.get(place) for place in places] or [None]
    return [frozenset() if one is None else frozenset({*one.alerting, *one.destinations}) for one in found]
