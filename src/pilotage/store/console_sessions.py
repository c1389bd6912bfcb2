"""Rows of `console_session`: who is signed in with a browser.

The caller owns the transaction. Fail mode: a session whose key is revoked, expired or gone is not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_ADD = text("""
INSERT INTO console_session (id, principal, person, via, authenticated_at, seen_at, ends_at)
VALUES (:id, :principal, :person, :via, :authenticated_at, :seen_at, :ends_at)
""")
# The key is looked at every time, so that revoking it ends what was signed in with it.
_FIND = text("""
SELECT s.id, s.principal, s.person, s.via, s.authenticated_at, s.seen_at, s.ends_at
FROM console_session s JOIN service_key k ON k.id = s.via
WHERE s.id = :id AND s.ends_at > :now AND s.seen_at > :idle_since
  AND k.kind = 'local' AND k.name = s.person AND k.revoked_at IS NULL AND k.expires_at > :now
""")
_SEEN = text("UPDATE console_session SET seen_at = :now WHERE id = :id")
_REMOVE = text("DELETE FROM console_session WHERE id = :id")
_REMOVE_ENDED = text("DELETE FROM console_session WHERE ends_at <= :now")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A signed-in browser. `id` is the SHA-256 of its token, `via` the key that proved the person."""

    id: str
    principal: str
    person: str
    via: str
    authenticated_at: datetime
    seen_at: datetime
    ends_at: datetime


def add_session(connection: Connection, session: StoredSession) -> None:
    """Store a new session."""
    connection.execute(_ADD, {name: getattr(session, name) for name in StoredSession.__slots__})


def live_session(
    connection: Connection, identifier: str, *, now: datetime, idle_since: datetime
) -> StoredSession | None:
    """Return the session when it still holds: not ended, not idle, its key still good."""
    values = {"id": identifier, "now": now, "idle_since": idle_since}
    row = connection.execute(_FIND, values).mappings().one_or_none()
    return None if row is None else StoredSession(**row)


def touch_session(connection: Connection, identifier: str, now: datetime) -> None:
    """Note that the session was used."""
    connection.execute(_SEEN, {"id": identifier, "now": now})


def remove_session(connection: Connection, identifier: str) -> None:
    """End a session; ending one that is gone changes nothing."""
    connection.execute(_REMOVE, {"id": identifier})


def remove_ended_sessions(connection: Connection, now: datetime) -> None:
    """Forget sessions whose last moment has passed."""
    connection.execute(_REMOVE_ENDED, {"now": now})
