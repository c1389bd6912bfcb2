"""Rows of `console_form`: which decision forms were carried out, and where each led.

The caller owns the transaction. Rule: a key is claimed once per person. Fail mode: a claim whose process died stays
claimed; its form says so instead of acting twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_CLAIM = text("""
INSERT INTO console_form (principal, key, path, at) VALUES (:principal, :key, :path, :at)
ON CONFLICT DO NOTHING RETURNING key
""")
_FIND = text("SELECT path, location FROM console_form WHERE principal = :principal AND key = :key")
_DONE = text("UPDATE console_form SET location = :location WHERE principal = :principal AND key = :key")
_FREE = text("DELETE FROM console_form WHERE principal = :principal AND key = :key AND location IS NULL")
_REMOVE_OLD = text("DELETE FROM console_form WHERE at < :before")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentForm:
    """A form that was sent before. `location` is None while the first one still runs, or when its process died."""

    path: str
    location: str | None


def claim_form(connection: Connection, principal: str, key: str, *, path: str, at: datetime) -> SentForm | None:
    """Claim a form key; return None when it is ours now, else what became of the first."""
    values = {"principal": principal, "key": key, "path": path, "at": at}
    if connection.execute(_CLAIM, values).first() is not None:
        return None
    row = connection.execute(_FIND, values).mappings().one()
    return SentForm(**row)


def finish_form(connection: Connection, principal: str, key: str, location: str) -> None:
    """Note where the form led: a repeated one goes there too."""
    connection.execute(_DONE, {"principal": principal, "key": key, "location": location})


def free_form(connection: Connection, principal: str, key: str) -> None:
    """Give a key back: nothing was recorded, so the same form may be sent again."""
    connection.execute(_FREE, {"principal": principal, "key": key})


def remove_old_forms(connection: Connection, before: datetime) -> None:
    """Forget forms that nobody can send again."""
    connection.execute(_REMOVE_OLD, {"before": before})
