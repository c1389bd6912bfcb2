"""Interactions in which the last wall caught a passage, read from the records they left.

Fail mode: a database error; nothing is marked here, so the next read finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.store.hard_signs import Window

CAUSE: Final = "permission_wall"
_UNTOLD: Final = text(
    "SELECT i.id, i.workflow, i.space, i.release FROM ledger_entry e JOIN interaction i ON i.id = e.subject"
    " WHERE e.id >= :written AND e.kind = 'incident.opened' AND i.at >= :since AND i.at < :until"
    " AND i.release IS NOT NULL AND NOT EXISTS"
    " (SELECT FROM incident n JOIN incident_line l ON l.incident = n.id"
    "   WHERE n.cause = :cause AND position(i.id IN l.text) > 0) ORDER BY i.at, i.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One request that the wall stopped."""

    interaction: str
    workflow: str
    space: str
    release: Digest


def untold_firings(connection: Connection, window: Window) -> tuple[Firing, ...]:
    """Return what the wall stopped in that window and no incident names yet, oldest first."""
    rows = connection.execute(_UNTOLD, {**window.values, "cause": CAUSE}).mappings()
    return tuple(
        Firing(interaction=row["id"], workflow=row["workflow"], space=row["space"], release=Digest(row["release"]))
        for row in rows
    )
