"""A page that reached nobody in 5 minutes: it goes to the channel `fallback`, and is an incident (operations.md 3.2).

Rule: each page is looked into once; the incident pages, and goes on by the rota's ladder until a person takes it on.
Without a channel of that name the worker's log has it. Fail mode: a look that fails is repeated, and tells nothing
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_and_tell
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import KIND, LOG, Notice, send
from pilotage.core.ids import new_ulid
from pilotage.incident.records import PAGE_UNREACHED, Severity
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import find_incident
from pilotage.store.outbox import SentPage, add_message, settle_page, unsettled_pages

MACHINE: Final = "system:pages"
FALLBACK: Final = "fallback"
WITHIN: Final = timedelta(minutes=5)


def watch_pages(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """Look into the pages that are late; return those that reached nobody."""
    now = instance.clock.now()
    late = unsettled_pages(connection, now - WITHIN)
    for one in late:
        settle_page(connection, one.page)
        if not one.reached:
            _forward(connection, instance, one, now)
            _tell(connection, instance, one, now)
    return tuple(one.page for one in late if not one.reached)


def _forward(connection: Connection, instance: Instance, one: SentPage, now: datetime) -> None:
    target = FALLBACK if FALLBACK in instance.workspace.channels and FALLBACK not in one.targets else LOG
    kept = {name: value for name, value in one.payload.items() if name not in {"page", "sent_at"}}
    add_message(connection, message_id=new_ulid(now), kind=KIND, target=target, payload=kept, now=now)


def _tell(connection: Connection, instance: Instance, one: SentPage, now: datetime) -> None:
    workflow, space = _place(connection, one.payload)
    trouble = Trouble(
        workflow=workflow,
        space=space,
        spaces=(space,) if space else (),
        release=None,
        cause=PAGE_UNREACHED,
        severity=Severity.SEV3,
        summary=f"A page reached nobody in 5 minutes by {', '.join(one.targets)}: {one.payload['title']}",
    )
    opened = open_and_tell(connection, instance, trouble, Deed(actor=MACHINE, at=now))
    if opened.is_told:
        title = f"{workflow or instance.workspace.organisation}: {PAGE_UNREACHED}"
        facts = {"severity": str(opened.incident.severity)}
        notice = Notice(title=title, text=trouble.summary, links={"incident": opened.incident.id}, facts=facts)
        send(connection, instance, (Notify.PAGE,), notice, at=now)


def _place(connection: Connection, payload: Mapping[str, Any]) -> tuple[str, str]:
    """Return the workflow and space that a page was about; empty where it said none."""
    facts, about = payload["facts"], payload["links"].get("incident")
    found = None if about is None else find_incident(connection, about)
    if found is not None:
        return found.workflow, found.space
    return facts.get("workflow") or "", facts.get("space") or ""
