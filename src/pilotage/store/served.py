"""What each space serves of each workflow, for pages and reports.

Rule: reads only; control writes through `store/routes.py`, the serving path has its own copy. Fail mode: a database
error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName

_ALL = text("""
SELECT space, workflow, stable, candidate, fraction_ppm, paused, reason, changed_at FROM routing
ORDER BY workflow, space
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One space and workflow. `fraction_ppm` of the cohort meets the candidate, in millionths."""

    space: SpaceName
    workflow: WorkflowName
    stable: Digest | None
    candidate: Digest | None
    fraction_ppm: int
    paused: bool
    reason: str
    changed_at: datetime


def all_served(connection: Connection) -> tuple[Served, ...]:
    """Return every routing row."""
    return tuple(Served(**row) for row in connection.execute(_ALL).mappings())
