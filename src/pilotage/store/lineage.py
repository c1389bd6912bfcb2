"""A release and its ancestors, for pages: manifests in one statement.

Rule: reads only. Fail mode: a database error; a parent that is not in the store ends the line there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

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
    " SELECT one.digest, one.parent, true AS is_asked, false AS came FROM release one WHERE one.digest = ANY(:releases)"
    f" UNION SELECT one.digest, one.parent, false, {CAME_BY_ITS_GATES}"
    "  FROM line JOIN release one ON one.digest = line.parent WHERE NOT line.came)"
    " SELECT line.*, CASE WHEN came OR line.parent IS NULL OR line.digest IN"
    " (SELECT parent FROM line WHERE is_asked) THEN encode(one.manifest, 'hex') END AS manifest"
    " FROM line JOIN release one ON one.digest = line.digest"
)
"""The lines of :releases, each back to the nearest ancestor that came into :spaces by its gates; every release once.

Of many releases in one line each ancestor is read once: `nearest` finds what belongs to whom. Parents come with their
manifest too.
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What releases follow: `parents` by their own digest, `approved` by the release that comes after them.

    `approved` is the nearest ancestor that came into the asked spaces by its gates, else the first of the line.
    """

    parents: Mapping[Digest, Manifest]
    approved: Mapping[Digest, Manifest]


def earlier_than(connection: Connection, releases: Collection[Digest], spaces: Collection[SpaceName]) -> Earlier:
    """Return what these releases are held against, in one statement; releases without a parent follow nothing."""
    values = {"releases": list(releases), "spaces": list(spaces)}
    return earlier_from([dict(row) for row in connection.execute(text(BEFORE), values).mappings()])


def earlier_from(rows: Sequence[Mapping[str, Any]]) -> Earlier:
    """Return what releases are held against, from rows of `BEFORE`."""
    asked = {row["parent"] for row in rows if row["is_asked"]}
    return Earlier(
        parents={
            Digest(row["digest"]): read_manifest(bytes.fromhex(row["manifest"]), digest=Digest(row["digest"]))
            for row in rows
            if not row["is_asked"] and row["digest"] in asked
        },
        approved={after: read_manifest(body, digest=digest) for after, (digest, body) in nearest(rows).items()},
    )


def approved_before(connection: Connection, release: Digest, spaces: Collection[SpaceName]) -> Manifest | None:
    """Return the nearest ancestor that came into these spaces by its gates, else the first of the line.

    None for a release without a parent.
    """
    return earlier_than(connection, [release], spaces).approved.get(release)


def nearest(rows: Sequence[Mapping[str, Any]]) -> Mapping[Digest, tuple[Digest, bytes]]:
    """Return digest and manifest of the nearest ancestor that came by its gates, from rows of `BEFORE`.

    Of a line where none did it is the first release; a release without a parent is left out.
    """
    line = {row["digest"]: row for row in rows if not row["is_asked"]}
    ends: dict[str, str] = {}  # of each ancestor: itself where it came or is the first, else what its line ends at
    found: dict[Digest, tuple[Digest, bytes]] = {}
    for row in rows:
        at = row["parent"]
        if not row["is_asked"] or at is None:
            continue
        way = []
        while at not in ends:
            way.append(at)
            if line[at]["came"] or line[at]["parent"] is None:
                ends[at] = at
            else:
                at = line[at]["parent"]
        end = ends[at]
        ends.update(dict.fromkeys(way, end))
        found[Digest(row["digest"])] = (Digest(end), bytes.fromhex(line[end]["manifest"]))
    return found
