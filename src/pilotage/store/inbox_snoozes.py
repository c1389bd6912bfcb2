"""Which tasks a person put off, and until when: a view of one's own, which changes nothing for anybody else.

Rule: what has ended is deleted when the person puts off the next. Fail mode: a database error.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

_PUT_OFF = text("SELECT task FROM inbox_snooze WHERE person = :person AND until > :now")
_SWEEP = text("DELETE FROM inbox_snooze WHERE person = :person AND until <= :now")
_PUT = text(
    "INSERT INTO inbox_snooze (person, task, until) VALUES (:person, :task, :until)"
    " ON CONFLICT (person, task) DO UPDATE SET until = excluded.until"
)


def snoozed_tasks(connection: Connection, person: str, now: datetime) -> frozenset[str]:
    """Return the keys of the tasks that the person put off."""
    return frozenset(connection.execute(_PUT_OFF, {"person": person, "now": now}).scalars())


def put_off_until(connection: Connection, person: str, task: str, *, until: datetime, now: datetime) -> None:
    """Put a task off until then."""
    connection.execute(_SWEEP, {"person": person, "now": now})
    connection.execute(_PUT, {"person": person, "task": task, "until": until})
