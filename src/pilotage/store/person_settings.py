"""Rows of `person_setting`: what an account chose for its own pages. They change no right and no decision.

The caller owns the transaction. Fail mode: a database error.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

_FIND = text("SELECT zone, shortcuts FROM person_setting WHERE principal = :principal")
_KEEP = text("""
INSERT INTO person_setting (principal, zone, shortcuts) VALUES (:principal, :zone, :shortcuts)
ON CONFLICT (principal) DO UPDATE SET zone = excluded.zone, shortcuts = excluded.shortcuts
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`zone` is an IANA name, None for the workspace's; `shortcuts` tells whether keys lead through the console."""

    zone: str | None = None
    shortcuts: bool = False


def settings_of(connection: Connection, principal: str) -> Settings:
    """Return what this account chose, or what holds for who chose nothing."""
    row = connection.execute(_FIND, {"principal": principal}).mappings().one_or_none()
    return Settings() if row is None else Settings(**row)


def keep_settings(connection: Connection, principal: str, settings: Settings) -> None:
    """Store what an account chose."""
    values = {"principal": principal, "zone": settings.zone, "shortcuts": settings.shortcuts}
    connection.execute(_KEEP, values)
