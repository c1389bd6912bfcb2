"""Which tasks a person put off until when, and which they handed to whom: views of the inbox, which change no right.

Rule: what a person hands over stands with the taker, who never has it hidden by an earlier hand-over of their own.
What has ended is deleted when the person marks the next. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

HANDED_FOR: Final = timedelta(days=7)
"""After that a task that still waits is back with who handed it over, beside who took it."""

_MARKS = text("""
SELECT task, 'put off' AS mark, '' AS other FROM inbox_snooze WHERE person = :person AND until > :now
UNION ALL
SELECT task, 'given', taker FROM inbox_handover WHERE giver = :person AND at > :since
UNION ALL
SELECT task, 'taken', giver FROM inbox_handover WHERE taker = :person AND at > :since
""")
_SWEEP = text("DELETE FROM inbox_snooze WHERE person = :person AND until <= :now")
_PUT = text(
    "INSERT INTO inbox_snooze (person, task, until) VALUES (:person, :task, :until)"
    " ON CONFLICT (person, task) DO UPDATE SET until = excluded.until"
)
_TAKE_BACK = text(
    "DELETE FROM inbox_handover WHERE (task = :task AND giver = :taker) OR (giver = :giver AND at <= :since)"
)
_WAKE = text("DELETE FROM inbox_snooze WHERE person = :taker AND task = :task")
_GIVE = text(
    "INSERT INTO inbox_handover (task, giver, taker, at) VALUES (:task, :giver, :taker, :now)"
    " ON CONFLICT (task, giver) DO UPDATE SET taker = excluded.taker, at = excluded.at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Keys of tasks: put off; given, with who took them; taken, with who gave them."""

    put_off: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)


def marks_of(connection: Connection, person: str, now: datetime) -> Marks:
    """Return how this person marked tasks, and which were handed to them."""
    rows = connection.execute(_MARKS, {"person": person, "now": now, "since": now - HANDED_FOR}).all()
    found = {mark: {row.task: row.other for row in rows if row.mark == mark} for mark in ("put off", "given", "taken")}
    return Marks(put_off=frozenset(found["put off"]), given=found["given"], taken=found["taken"])


def put_off_until(connection: Connection, person: str, task: str, *, until: datetime, now: datetime) -> None:
    """Put a task off until then."""
    connection.execute(_SWEEP, {"person": person, "now": now})
    connection.execute(_PUT, {"person": person, "task": task, "until": until})


def hand_over(connection: Connection, task: str, *, giver: str, taker: str, now: datetime) -> None:
    """Let a task stand with the taker; what the taker handed over or put off of it before no longer holds."""
    values = {"task": task, "giver": giver, "taker": taker, "now": now, "since": now - HANDED_FOR}
    connection.execute(_TAKE_BACK, values)
    connection.execute(_WAKE, values)
    connection.execute(_GIVE, values)
