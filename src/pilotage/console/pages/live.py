"""The streams of live pages: who may follow what, and how a region is rendered again."""

from __future__ import annotations

from dataclasses import replace

from pilotage.console.pages.problem import problem_page
from pilotage.console.pages.rollout import live_of
from pilotage.console.reply import Reply, Send, Stream
from pilotage.console.visit import Visit
from pilotage.control.console_session import find_session
from pilotage.control.rollout_desk import find_named
from pilotage.core.reason import Reason
from pilotage.store.rollout_history import rollout_version


def follow_rollout(visit: Visit) -> Reply:
    """Stream a rollout's live region."""
    name, board = visit.params["rollout"], visit.services.live
    with visit.reading.engine.connect() as connection:
        find_named(connection, name)
    if not board.has_room(visit.actor.id):
        text = "Too many live pages are open; this one is looked up again by itself."
        return problem_page(503, (Reason(code="TOO_MANY_STREAMS", text=text),))

    def version() -> str | None:
        with visit.reading.engine.connect() as connection:
            return rollout_version(connection, name)

    def render() -> str | None:
        return rollout_region(visit)

    async def run(send: Send) -> None:
        key = f"rollout/{name}"
        await board.follow(send, key=key, person=visit.actor.id, version=version, render=render)

    return Stream(run=run)


def rollout_region(visit: Visit) -> str | None:
    """Return the region as the whole page shows it to this person now; None when the session has ended."""
    session = visit.signed_in
    found = None if session is None else find_session(visit.reading, session.token, touch=False)
    if found is None or visit.renderer is None:
        return None
    now = visit.instance.clock.now()
    return visit.renderer.part("_rollout.html", "region", live_of(replace(visit, signed_in=found, now=now)))
