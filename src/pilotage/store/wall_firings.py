"""Interactions in which the last wall caught a passage, read from the records they left, and where they were told.

Fail mode: a database error; what was not marked as told is found by the next read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.incident.records import UNRESOLVED
from pilotage.store.hard_signs import Window

CAUSE: Final = "permission_wall"
_UNTOLD: Final = text(
    "SELECT i.id, i.workflow, i.space, i.release FROM interaction i WHERE i.at >= :since AND i.at < :until AND i.id IN"
    " (SELECT e.subject FROM ledger_entry e WHERE e.id >= :written AND e.kind = 'incident.opened')"
    " AND i.release IS NOT NULL AND NOT EXISTS (SELECT FROM wall_firing f WHERE f.interaction = i.id)"
    " AND (:joins OR NOT EXISTS (SELECT FROM incident n WHERE n.workflow = i.workflow AND n.space = i.space"
    "   AND n.release = i.release AND n.cause = :cause AND n.state = ANY(:unresolved))) ORDER BY i.at, i.id"
)
_TOLD: Final = text(
    "INSERT INTO wall_firing (interaction, incident) SELECT unnest(CAST(:interactions AS text[])), :incident"
    " ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One request that the wall stopped."""

    interaction: str
    workflow: str
    space: str
    release: Digest


def untold_firings(connection: Connection, window: Window, *, joins: bool) -> tuple[Firing, ...]:
    """Return what the wall stopped in that window and no incident tells of yet, oldest first.

    `joins`: those too that would only join an incident people are at already.
    """
    values = {**window.values, "cause": CAUSE, "joins": joins, "unresolved": sorted(UNRESOLVED)}
    rows = connection.execute(_UNTOLD, values).mappings()
    return tuple(
        Firing(interaction=row["id"], workflow=row["workflow"], space=row["space"], release=Digest(row["release"]))
        for row in rows
    )


def mark_told(connection: Connection, firings: Iterable[Firing], *, incident: str) -> None:
    """Note which incident tells of these firings."""
    connection.execute(_TOLD, {"interactions": [one.interaction for one in firings], "incident": incident})
