"""Rows of `console_login`: sign-ins that began and have not come back from the identity provider.

The caller owns the transaction. Rule: an attempt is taken once; what it leads to and the form it keeps are sealed.
Fail mode: an attempt that is gone, used or too old is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_ADD = text("""
INSERT INTO console_login (id, principal, sealed, holder, at) VALUES (:id, :principal, :sealed, :holder, :at)
""")
_TAKE = text("DELETE FROM console_login WHERE id = :id AND at > :after RETURNING principal, sealed, holder, at")
_REMOVE_OLD = text("DELETE FROM console_login WHERE at <= :until")
_KEPT_FORMS = text("""
SELECT count(*) FILTER (WHERE holder = :holder) AS own, count(*) FILTER (WHERE principal IS NULL) AS unknown
FROM console_login WHERE holder IS NOT NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLogin:
    """An attempt. `principal` is who must come back when a session confirms itself.

    `sealed` opens with the browser's secret; `holder` stands for who keeps a form, None when none is kept.
    """

    principal: str | None
    sealed: bytes
    holder: str | None
    at: datetime


def add_login(connection: Connection, identifier: str, login: StoredLogin) -> None:
    """Store an attempt under the SHA-256 of its secret."""
    connection.execute(_ADD, {name: getattr(login, name) for name in StoredLogin.__slots__} | {"id": identifier})


def take_login(connection: Connection, identifier: str, *, after: datetime) -> StoredLogin | None:
    """Return an attempt begun after this moment and forget it."""
    row = connection.execute(_TAKE, {"id": identifier, "after": after}).mappings().one_or_none()
    return None if row is None else StoredLogin(**{**row, "sealed": bytes(row["sealed"])})


def remove_old_logins(connection: Connection, until: datetime) -> None:
    """Forget attempts that nobody can finish."""
    connection.execute(_REMOVE_OLD, {"until": until})


def kept_forms(connection: Connection, holder: str) -> tuple[int, int]:
    """Return how many forms a holder keeps, and how many are kept for browsers without a session."""
    own, unknown = connection.execute(_KEPT_FORMS, {"holder": holder}).one()
    return own, unknown
