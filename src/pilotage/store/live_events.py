"""What live pages were sent, kept for ten minutes, so that a browser which lost its stream gets what it missed.

Rule: events of one stream are made one after the other under its lock, whichever process makes them, so their ids rise
in the order of what they show; a state is one event. What is shown also changes by time alone, so an event stands for a
state unseen for `FRESH` only. Fail mode: an id that is no longer kept has no sequel; the viewer gets the newest event
instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, select, text, update

from pilotage.store.tables.console import live_event

KEPT: Final = timedelta(minutes=10)
FRESH: Final = timedelta(seconds=10)
"""How long an event is what is shown now without being looked at: several processes ask within it for one change."""
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('pilotage live ' || :stream))")

_LAST = text("SELECT id, version, body, at FROM live_event WHERE stream = :stream ORDER BY id DESC LIMIT 1")
_ADD = text("""
WITH forgotten AS (
  DELETE FROM live_event e WHERE e.at < :before
    AND EXISTS (SELECT FROM live_event newer WHERE newer.stream = e.stream AND newer.id > e.id)
)
INSERT INTO live_event (stream, version, body, at) VALUES (:stream, :version, :body, :at) RETURNING id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """One fragment that was sent. `id` rises within a stream; `follows` is known where the event was made just now."""

    id: int
    body: str
    follows: int | None = field(default=None, compare=False)


def publish_event(
    connection: Connection, stream: str, *, version: Callable[[], str], body: Callable[[], str], now: datetime
) -> LiveEvent:
    """Return the event that shows what is seen now: the newest while that is the same, else a new one."""
    connection.execute(_LOCK, {"stream": stream})
    table, state = live_event, version()
    last = connection.execute(_LAST, {"stream": stream}).one_or_none()
    if last is not None and last.version == state and abs(now - last.at) < FRESH:
        return _event(last)
    shown = body()
    if last is not None and last.body == shown:
        connection.execute(update(table).where(table.c.id == last.id).values(version=state, at=now))
        return _event(last)
    values = {"stream": stream, "version": state, "body": shown, "at": now, "before": now - KEPT}
    made = connection.execute(_ADD, values).scalar_one()
    return LiveEvent(id=made, body=shown, follows=None if last is None else last.id)


def events_after(connection: Connection, stream: str, last: int) -> tuple[LiveEvent, ...] | None:
    """Return what followed an event, in order; None when that event is not kept, so nobody knows what was missed."""
    table = live_event
    query = select(table.c.id, table.c.body).where(table.c.stream == stream, table.c.id >= last).order_by(table.c.id)
    found = [_event(row) for row in connection.execute(query)]
    return tuple(found[1:]) if found and found[0].id == last else None


def _event(row: Row[*tuple[Any, ...]]) -> LiveEvent:
    return LiveEvent(id=row.id, body=row.body)
