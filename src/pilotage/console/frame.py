"""The frame around every page: who is signed in, what waits, and how far the ledger is signed.

Fail mode: when the database does not answer, the frame shows UNKNOWN and the page inside says why.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from pilotage import __version__
from pilotage.console.guards import form_token
from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.console.words import Status
from pilotage.control.inbox import tasks_of
from pilotage.store.ledger_browse import signed_size

_FORM_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the header and footer print.

    `waiting` is None when it could not be read, `unread` UNKNOWN when the ledger could not be either; `signed` None:
    nothing is signed yet.
    """

    waiting: int | None
    signed: int | None
    unread: Status | None = None


def frame_values(visit: Visit, page: Page) -> Mapping[str, Any]:
    """Return every value a template has: the page's own and the frame's. A page may bring a visit of its own."""
    visit = page.values.get("visit", visit)
    frame = _read(visit)
    session = visit.signed_in
    values: dict[str, Any] = {
        "visit": visit,
        "person": None if session is None else session.principal,
        "token": "" if session is None else form_token(session.token),
        "form_key": secrets.token_urlsafe(_FORM_KEY_BYTES),
        "title": page.title,
        "about": page.about,
        "frame": frame,
        "pilotage_version": __version__,
        "problems": visit.problems,
        "notice": visit.notice,
    }
    taken = values.keys() & page.values.keys() - {"visit"}
    if taken:
        message = f"The page {page.template} takes names of the frame: {', '.join(sorted(taken))}."
        raise ValueError(message)
    return {**values, **page.values}


def _read(visit: Visit) -> Frame:
    if visit.signed_in is None:
        return Frame(waiting=None, signed=None)
    try:
        with visit.reading.engine.connect() as connection:
            waiting = visit.services.waiting.get(visit.actor, visit.now)
            if waiting is None:
                found = tasks_of(connection, visit.reading, visit.actor)
                if found.unread:
                    return Frame(waiting=None, signed=signed_size(connection))
                waiting = len(found.tasks)
                visit.services.waiting.put(visit.actor, waiting, visit.now)
            return Frame(waiting=waiting, signed=signed_size(connection))
    except SQLAlchemyError:
        return Frame(waiting=None, signed=None, unread=Status.UNKNOWN)
