"""Corpus versions that wait for a person, without their bitmaps.

Rule: reads only. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName

_WAITING = text("""
SELECT corpus, number, parent, created_by, created_at, summary FROM corpus_version
WHERE state = 'proposed' ORDER BY created_at
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingVersion:
    """A proposed version. `created_by` triggered its refresh; `summary` counts what changed."""

    corpus: CorpusName
    number: int
    parent: int | None
    created_by: str
    created_at: datetime
    summary: Mapping[str, Json]


def waiting_versions(connection: Connection) -> tuple[WaitingVersion, ...]:
    """Return every proposed version, oldest first."""
    return tuple(WaitingVersion(**row) for row in connection.execute(_WAITING).mappings())
