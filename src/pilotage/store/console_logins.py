"""Rows of `console_login`: sign-ins that began and have not come back from the identity provider.

The caller owns the transaction. Rule: an attempt is taken once. Fail mode: an attempt that is gone, used or too old is
None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_ADD = text("""
INSERT INTO console_login (id, leads_to, principal, kept_path, kept, at)
VALUES (:id, :leads_to, :principal, :kept_path, CAST(:kept AS jsonb), :at)
""")
_TAKE = text("""
DELETE FROM console_login WHERE id = :id AND at > :after RETURNING leads_to, principal, kept_path, kept, at
""")
_REMOVE_OLD = text("DELETE FROM console_login WHERE at <= :until")
_KEPT_FORMS = text("SELECT count(*) FROM (SELECT 1 FROM console_login WHERE kept IS NOT NULL LIMIT :most) AS kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLogin:
    """An attempt. `principal` is who must come back when a session confirms itself; `kept` is a form to show again."""

    leads_to: str
    at: datetime
    principal: str | None = None
    kept_path: str | None = None
    kept: Mapping[str, str] | None = None


def add_login(connection: Connection, identifier: str, login: StoredLogin) -> None:
    """Store an attempt under the SHA-256 of its secret."""
    values = {name: getattr(login, name) for name in StoredLogin.__slots__}
    kept = None if login.kept is None else json.dumps(dict(login.kept))
    connection.execute(_ADD, values | {"id": identifier, "kept": kept})


def take_login(connection: Connection, identifier: str, *, after: datetime) -> StoredLogin | None:
    """Return an attempt begun after this moment and forget it."""
    row = connection.execute(_TAKE, {"id": identifier, "after": after}).mappings().one_or_none()
    return None if row is None else StoredLogin(**row)


def remove_old_logins(connection: Connection, until: datetime) -> None:
    """Forget attempts that nobody can finish."""
    connection.execute(_REMOVE_OLD, {"until": until})


def kept_forms(connection: Connection, *, most: int) -> int:
    """Return how many attempts carry a form, counted up to `most`."""
    return int(connection.execute(_KEPT_FORMS, {"most": most}).scalar_one())
