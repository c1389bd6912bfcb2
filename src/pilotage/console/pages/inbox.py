"""Inbox: what waits for me, what is due first, and what I decided in the last seven days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.hand_over_task import hand_over_task
from pilotage.control.inbox import Tasks, done_by, next_shift, snooze_task, tasks_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxView:
    """What the page and its stream show. `shift`: rota and begin of the next hours on duty."""

    found: Tasks
    done: tuple[Done, ...]
    shift: tuple[str, datetime] | None
    now: datetime


def show_inbox(visit: Visit) -> Page:
    """Show the person's tasks, what is due first, and below them what is done."""
    view = view_inbox(visit)
    if not view.found.unread:
        visit.services.waiting.put(visit.actor, len(view.found.tasks), visit.now)
    return Page(template="inbox.html", title="Inbox", values={"view": view})


def view_inbox(visit: Visit) -> InboxView:
    """Return what waits for the person and what they did."""
    with visit.reading.engine.connect() as connection:
        found = tasks_of(connection, visit.reading, visit.actor)
        done = done_by(connection, visit.reading, visit.actor)
    return InboxView(
        found=found,
        done=tuple(_done(deed) for deed in done),
        shift=next_shift(visit.reading, visit.actor),
        now=visit.now,
    )


def snooze(visit: Visit) -> Reply | Refusal:
    """Put one of the person's tasks off for a day."""
    done = snooze_task(visit.instance, actor=visit.actor, task=visit.typed("task"))
    return done if isinstance(done, Refusal) else Redirect(to="/")


def hand_over(visit: Visit) -> Reply | Refusal:
    """Hand one of the person's tasks to somebody else; the button says to whom and which."""
    to, _, task = visit.typed("to").partition(" ")
    done = hand_over_task(visit.instance, actor=visit.actor, task=task, to=to)
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
