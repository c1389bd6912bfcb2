"""Inbox: what waits for me."""

from __future__ import annotations

from pilotage.console.reply import Page
from pilotage.console.tasks import tasks_of
from pilotage.console.visit import Visit


def show_inbox(visit: Visit) -> Page:
    """Show the person's tasks, oldest first."""
    with visit.reading.engine.connect() as connection:
        tasks = tasks_of(connection, visit.reading, visit.actor)
    visit.services.waiting.put(visit.actor.id, len(tasks), visit.now)
    return Page(template="inbox.html", title="Inbox", values={"tasks": tasks})
