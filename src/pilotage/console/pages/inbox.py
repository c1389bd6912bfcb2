"""Inbox: what waits for me, what is due first, and what I decided in the last seven days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.inbox import done_by, next_shift, snooze_task, tasks_of
from pilotage.core.digest import short
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import said
from pilotage.store.done_deeds import Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One line below the tasks."""

    at: datetime
    sentence: str
    path: str


def show_inbox(visit: Visit) -> Page:
    """Show the person's tasks, what is due first, and below them what is done."""
    with visit.reading.engine.connect() as connection:
        found = tasks_of(connection, visit.reading, visit.actor)
        done = done_by(connection, visit.reading, visit.actor)
    if not found.unread:
        visit.services.waiting.put(visit.actor.id, len(found.tasks), visit.now)
    values = {
        "tasks": found.tasks,
        "put_off": found.put_off,
        "unread": found.unread,
        "done": [_done(deed) for deed in done],
        "shift": next_shift(visit.reading, visit.actor),
    }
    return Page(template="inbox.html", title="Inbox", values=values)


def snooze(visit: Visit) -> Reply | Refusal:
    """Put one of the person's tasks off for a day."""
    done = snooze_task(visit.instance, actor=visit.actor, task=visit.typed("task"))
    return done if isinstance(done, Refusal) else Redirect(to="/")


def _done(deed: Deed) -> Done:
    match deed.kind:
        case "vote":
            digest = short(deed.subject)
            sentence = f"Gate {deed.place} of release {digest}: you {said(deed.decision)}"
            path = f"/releases/{digest}/gates/{deed.place}"
        case "signature":
            did = "overruled its verdict" if deed.decision == "overrule" else "signed its verdict"
            sentence, path = f"Step of a rollout: you {did}", f"/rollouts/{deed.subject}"
        case _:
            sentence = f"Version {deed.place} of {deed.subject}: you reviewed it, and it is {deed.decision}"
            path = f"/corpora/{deed.subject}/versions/{deed.place}"
    return Done(at=deed.at, sentence=sentence, path=path)
