"""A release and its ancestors, for pages: manifests in one statement.

Rule: reads only. Fail mode: a database error; a parent that is not in the store ends the line there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.release.manifest import Manifest, read_manifest
from pilotage.store.standards import CAME_BY_ITS_GATES

_LINE = text("""
WITH RECURSIVE line AS (
  SELECT digest, parent, manifest, state, note, sealed_by, sealed_at, 0 AS back FROM release WHERE digest = :digest
  UNION ALL
  SELECT r.digest, r.parent, r.manifest, r.state, r.note, r.sealed_by, r.sealed_at, line.back + 1
  FROM release r JOIN line ON r.digest = line.parent WHERE line.back < :most
)
SELECT digest, manifest, state, note, sealed_by, sealed_at FROM line ORDER BY back
""")


BEFORE: Final = (
    "WITH RECURSIVE line AS ("  # noqa: S608 - constants
    f" SELECT a.digest AS after, one.digest, one.parent, one.manifest, {CAME_BY_ITS_GATES} AS came"
    "  FROM release a JOIN release one ON one.digest = a.parent WHERE a.digest = ANY(:releases)"
    f" UNION ALL SELECT line.after, one.digest, one.parent, one.manifest, {CAME_BY_ITS_GATES}"
    "  FROM line JOIN release one ON one.digest = line.parent WHERE NOT line.came)"
    " SELECT after, digest, manifest FROM line WHERE came OR parent IS NULL"
)
"""Of each of :releases the nearest ancestor that came into :spaces by its gates, else the first of its line."""


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


def approved_before(
    connection: Connection, releases: Collection[Digest], spaces: Collection[SpaceName]
) -> Mapping[Digest, Manifest]:
    """Return of each release the nearest ancestor that came into these spaces by its gates, else the first of its line.

    A release without a parent has none.
    """
    values = {"releases": list(releases), "spaces": list(spaces)}
    return {
        Digest(row.after): read_manifest(bytes(row.manifest), digest=Digest(row.digest))
        for row in connection.execute(text(BEFORE), values)
    }
