"""The streams of live pages: who may follow what, and how a region is rendered again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pilotage.console.live import Source
from pilotage.console.pages.problem import problem_page
from pilotage.console.pages.rollout import live_of
from pilotage.console.reply import Reply, Send, Stream
from pilotage.console.visit import Visit
from pilotage.control.console_session import find_session
from pilotage.control.rollout_desk import find_named
from pilotage.core.reason import Reason
from pilotage.store.live_events import LiveEvent, events_after, publish_event
from pilotage.store.rollout_history import rollout_version

_DIGITS: Final = 19


def follow_rollout(visit: Visit) -> Reply:
    """Stream a rollout's live region, from the event after the one the browser saw last."""
    name, board = visit.params["rollout"], visit.services.live
    with visit.reading.engine.connect() as connection:
        find_named(connection, name)
    if not board.has_room(visit.actor.id):
        text = "Too many live pages are open; this one is looked up again by itself."
        return problem_page(503, (Reason(code="TOO_MANY_STREAMS", text=text),))
    source = rollout_source(visit, name)

    async def run(send: Send) -> None:
        await board.follow(send, source, person=visit.actor.id, last=_last_seen(visit))

    return Stream(run=run)


def rollout_source(visit: Visit, name: str) -> Source:
    """Return a rollout as a stream: one fragment for everybody who may look, because it names no viewer."""
    key = f"rollout/{name}"

    def version() -> str | None:
        with visit.reading.engine.connect() as connection:
            return rollout_version(connection, name)

    def newest() -> LiveEvent:
        with visit.instance.engine.begin() as connection:
            state, now = lambda: version() or "", visit.instance.clock.now()
            return publish_event(connection, key, version=state, body=lambda: rollout_region(visit), now=now)

    def after(last: int) -> tuple[LiveEvent, ...] | None:
        with visit.reading.engine.connect() as connection:
            return events_after(connection, key, last)

    def is_allowed() -> bool:
        session = visit.signed_in
        return session is not None and find_session(visit.reading, session.token, touch=False) is not None

    return Source(key=key, version=version, newest=newest, after=after, is_allowed=is_allowed)


def rollout_region(visit: Visit) -> str:
    """Return the region as the whole page shows it now."""
    renderer = visit.renderer
    if renderer is None:
        message = "A stream was opened without a renderer."
        raise RuntimeError(message)
    return renderer.part("_rollout.html", "region", live_of(replace(visit, now=visit.instance.clock.now())))


def _last_seen(visit: Visit) -> int | None:
    """Return the id the browser comes back with: its own header, or what our script kept over a pause."""
    text = visit.last_event or visit.query.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None
