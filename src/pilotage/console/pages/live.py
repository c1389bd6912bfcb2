"""The streams of live pages: who may follow what, and how a region is rendered again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from pilotage.console.live import Source
from pilotage.console.pages.inbox import view_inbox
from pilotage.console.pages.incident import shown_of
from pilotage.console.pages.problem import problem_page
from pilotage.console.pages.rollout import live_of
from pilotage.console.reply import Reply, Send, Stream
from pilotage.console.times import fragment_in_zone
from pilotage.console.visit import Visit
from pilotage.control.console_session import find_session
from pilotage.control.incident_reports import named_incident
from pilotage.control.rollout_desk import find_named
from pilotage.control.view_incident import view_incident
from pilotage.control.view_rollout import read_view
from pilotage.core.reason import Reason
from pilotage.identity.roles import Role
from pilotage.store.incidents import incident_version
from pilotage.store.last_deed import last_deed
from pilotage.store.live_events import LiveEvent, events_after, publish_event
from pilotage.store.rollout_history import rollout_version

_DIGITS: Final = 19


def follow_rollout(visit: Visit) -> Reply:
    """Stream a rollout's live region, from the event after the one the browser saw last."""
    name = visit.params["rollout"]
    with visit.reading.engine.connect() as connection:
        find_named(connection, name)
    return _follow(visit, rollout_source(visit, name))


def follow_incident(visit: Visit) -> Reply:
    """Stream an incident's live region, from the event after the one the browser saw last."""
    name = visit.params["incident"]
    with visit.reading.engine.connect() as connection:
        named_incident(connection, name)
    return _follow(visit, incident_source(visit, name))


def follow_inbox(visit: Visit) -> Reply:
    """Stream the person's own inbox; no session's token stands in it."""
    return _follow(visit, inbox_source(visit))


def _follow(visit: Visit, source: Source) -> Reply:
    board = visit.services.live
    if not board.has_room(visit.actor.id):
        text = "Too many live pages are open; this one is looked up again by itself."
        return problem_page(503, (Reason(code="TOO_MANY_STREAMS", text=text),))

    async def run(send: Send) -> None:
        async def sent(event: str, data: str, identifier: str = "") -> None:
            await send(event, fragment_in_zone(data, visit.zone), identifier)

        await board.follow(sent, source, person=visit.actor.id, last=_last_seen(visit))

    return Stream(run=run)


def rollout_source(visit: Visit, name: str) -> Source:
    """Return a rollout as a stream: one fragment for everybody who may look, because it names no viewer."""

    def version(connection: Connection) -> str | None:
        return rollout_version(connection, name)

    return _source(visit, f"rollout/{name}", version, partial(rollout_region, visit, name))


def incident_source(visit: Visit, name: str) -> Source:
    """Return an incident as a stream: one fragment for everybody who may look, because it names no viewer."""

    def version(connection: Connection) -> str | None:
        return incident_version(connection, name)

    return _source(visit, f"incident/{name}", version, partial(incident_region, visit, name))


def inbox_source(visit: Visit) -> Source:
    """Return a person's inbox, as their roles make it: looked at again whenever anything but an answer is recorded."""
    own = _source(visit, f"inbox/{visit.viewer}", last_deed, lambda _connection: inbox_region(visit))
    return replace(own, is_allowed=lambda: _roles_now(visit) == visit.actor.roles)


def _source(
    visit: Visit, key: str, read: Callable[[Connection], str | None], region: Callable[[Connection], str]
) -> Source:
    def version() -> str | None:
        with visit.reading.engine.connect() as connection:
            return read(connection.execution_options(isolation_level="AUTOCOMMIT"))  # one statement is one round trip

    def newest() -> LiveEvent:
        with visit.reading.engine.begin() as connection:
            state, body = lambda: read(connection) or "", lambda: region(connection)
            return publish_event(connection, key, version=state, body=body, now=visit.instance.clock.now())

    def after(last: int) -> tuple[LiveEvent, ...] | None:
        with visit.reading.engine.connect() as connection:
            return events_after(connection, key, last)

    def is_allowed() -> bool:
        return _roles_now(visit) is not None

    return Source(key=key, version=version, newest=newest, after=after, is_allowed=is_allowed)


def _roles_now(visit: Visit) -> frozenset[Role] | None:
    """Return the roles of the session that opened the stream; None when it has ended."""
    session = visit.signed_in
    found = None if session is None else find_session(visit.reading, session.token, touch=False)
    return None if found is None else found.principal.roles


def rollout_region(visit: Visit, name: str, connection: Connection) -> str:
    """Return the region as the whole page shows it now."""
    now = visit.instance.clock.now()
    return _rendered(visit, "_rollout.html", live_of(read_view(connection, name, now), now))


def incident_region(visit: Visit, name: str, connection: Connection) -> str:
    """Return the region as the whole page shows it now."""
    view = view_incident(connection, visit.reading, name)
    return _rendered(visit, "_incident.html", shown_of(visit.reading.workspace, view))


def inbox_region(visit: Visit) -> str:
    """Return the inbox as the whole page shows it now."""
    return _rendered(visit, "_inbox.html", view_inbox(_now(visit)))


def _now(visit: Visit) -> Visit:
    return replace(visit, now=visit.instance.clock.now())


def _rendered(visit: Visit, template: str, view: object) -> str:
    if visit.renderer is None:
        message = "A stream was opened without a renderer."
        raise RuntimeError(message)
    return visit.renderer.part(template, "region", view)


def _last_seen(visit: Visit) -> int | None:
    """Return the id the browser comes back with: its own header, or what our script kept over a pause."""
    text = visit.last_event or visit.query.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None
