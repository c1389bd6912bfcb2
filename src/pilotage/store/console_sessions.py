"""Rows of `console_session`: who is signed in with a browser.

The caller owns the transaction. Fail mode: a session whose key is revoked, expired or gone is not found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.canonical import Json

_ADD = text("""
INSERT INTO console_session (id, principal, person, via, authenticated_at, seen_at, ends_at, claimed)
VALUES (:id, :principal, :person, :via, :authenticated_at, :seen_at, :ends_at, CAST(:claimed AS jsonb))
""")
# The key is looked at every time, so that revoking it ends what was signed in with it.
_FIND = text("""
WITH live AS (
  SELECT s.id, s.principal, s.person, s.via, s.authenticated_at, s.seen_at, s.ends_at, s.claimed,
    p.zone, coalesce(p.shortcuts, false) AS shortcuts
  FROM console_session s LEFT JOIN service_key k ON k.id = s.via LEFT JOIN person_setting p ON p.principal = s.principal
  WHERE s.id = :id AND s.ends_at > :now AND s.seen_at > :idle_since
    AND ((s.via = 'oidc' AND s.claimed IS NOT NULL)
      OR (k.kind = 'local' AND k.name = s.person AND k.revoked_at IS NULL AND k.expires_at > :now))
), used AS (
  UPDATE console_session SET seen_at = :now
  WHERE id IN (SELECT id FROM live WHERE seen_at < CAST(:touch_before AS timestamptz))
)
SELECT id, principal, person, via, authenticated_at, seen_at, ends_at, claimed, zone, shortcuts FROM live
""")
_REMOVE = text("DELETE FROM console_session WHERE id = :id")
_REMOVE_ENDED = text("DELETE FROM console_session WHERE ends_at <= :now")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A signed-in person. `id` is the SHA-256 of the session's token, `via` the key that proved the person, or `oidc`.

    `claimed` is what the identity provider said of them, None for local people; `zone` and `shortcuts` are what the
    account chose, read with the session and never stored with it.
    """

    id: str
    principal: str
    person: str | None
    via: str
    authenticated_at: datetime | None
    seen_at: datetime
    ends_at: datetime
    claimed: Mapping[str, Json] | None = None
    zone: str | None = None
    shortcuts: bool = False


def add_session(connection: Connection, session: StoredSession) -> None:
    """Store a new session."""
    values = {name: getattr(session, name) for name in StoredSession.__slots__}
    claimed = None if session.claimed is None else json.dumps(session.claimed)
    connection.execute(_ADD, values | {"claimed": claimed})


def live_session(
    connection: Connection, identifier: str, *, now: datetime, idle_since: datetime, touch_before: datetime | None
) -> StoredSession | None:
    """Return the session when it still holds: not ended, not idle, its key still good.

    One last used before `touch_before` is noted as used now, in the same statement; None notes nothing.
    """
    values = {"id": identifier, "now": now, "idle_since": idle_since, "touch_before": touch_before}
    row = connection.execute(_FIND, values).mappings().one_or_none()
    return None if row is None else StoredSession(**row)


def remove_session(connection: Connection, identifier: str) -> None:
    """End a session; ending one that is gone changes nothing."""
    connection.execute(_REMOVE, {"id": identifier})


def remove_ended_sessions(connection: Connection, now: datetime) -> None:
    """Forget sessions whose last moment has passed."""
    connection.execute(_REMOVE_ENDED, {"now": now})
