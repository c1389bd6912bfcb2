"""A release and its ancestors, for pages: manifests in one statement.

Rule: reads only. Fail mode: a database error; a parent that is not in the store ends the line there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.release.manifest import Manifest, read_manifest

_LINE = text("""
WITH RECURSIVE line AS (
  SELECT digest, parent, manifest, state, note, sealed_by, sealed_at, 0 AS back FROM release WHERE digest = :digest
  UNION ALL
  SELECT r.digest, r.parent, r.manifest, r.state, r.note, r.sealed_by, r.sealed_at, line.back + 1
  FROM release r JOIN line ON r.digest = line.parent WHERE line.back < :most
)
SELECT digest, manifest, state, note, sealed_by, sealed_at FROM line ORDER BY back
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """One release of a line, verified against its digest."""

    digest: Digest
    manifest: Manifest
    state: str
    note: str
    sealed_by: str
    sealed_at: datetime


def lineage_of(connection: Connection, digest: Digest, *, most: int = 500) -> tuple[Ancestor, ...]:
    """Return the release first, then its ancestors, at most `most` of them."""
    rows = connection.execute(_LINE, {"digest": digest, "most": most}).mappings()
    return tuple(
        Ancestor(
            digest=Digest(row["digest"]),
            manifest=read_manifest(bytes(row["manifest"]), digest=Digest(row["digest"])),
            state=row["state"],
            note=row["note"],
            sealed_by=row["sealed_by"],
            sealed_at=row["sealed_at"],
        )
        for row in rows
    )
