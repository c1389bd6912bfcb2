"""What an explanation adds to an interaction's own row: where its passages came from, and what its release was.

Fail mode: a document that was taken down is named as removed, never by its title.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.store.interactions import StoredInteraction

_ORIGINS = text("""
SELECT r.rev, r.document, r.title, r.lineage, d.tombstone, c.ordinal, c.section
FROM revision r
JOIN document d ON d.corpus = r.corpus AND d.id = r.document
LEFT JOIN chunk c ON c.corpus = r.corpus AND c.rev = r.rev
WHERE r.corpus = :corpus AND r.rev = ANY(:revs)
""")
_RELEASE = text("SELECT state, note, sealed_by, sealed_at, key_name FROM release WHERE digest = :digest")


REMOVED: Final = "[removed]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageOrigin:
    """One passage of the prompt. `marker` is its citation in the answer, None when it was not cited.

    `lineage`: the connector and item its text was read from, when, the digest of those bytes, and who cut it up.
    """

    rank: int
    score: str
    document: str
    title: str
    section: str
    chunk: int
    rev: int
    marker: int | None
    lineage: Mapping[str, Json]


def passages_of(
    connection: Connection, found: StoredInteraction, cited: Mapping[tuple[int, int], int]
) -> list[PassageOrigin]:
    """Return the passages an interaction's prompt held, in rank order."""
    recorded = found.detail.get("passages")
    rows = [row for row in recorded if isinstance(row, Mapping)] if isinstance(recorded, list) else []
    values = {"corpus": found.corpus, "revs": [int(str(row["rev"])) for row in rows]}
    origins = {(row["rev"], row["ordinal"]): row for row in connection.execute(_ORIGINS, values).mappings()}
    return [_origin(row, origins, cited) for row in rows]


def _origin(
    row: Mapping[str, Json], origins: Mapping[tuple[int, int], object], cited: Mapping[tuple[int, int], int]
) -> PassageOrigin:
    place = (int(str(row["rev"])), int(str(row["chunk"])))
    known = origins.get(place)
    is_known = isinstance(known, Mapping) and known["tombstone"] is None
    return PassageOrigin(
        rank=int(str(row["rank"])),
        score=str(row["score"]),
        document=known["document"] if is_known and isinstance(known, Mapping) else REMOVED,
        title=known["title"] if is_known and isinstance(known, Mapping) else "",
        section=(known["section"] or "") if is_known and isinstance(known, Mapping) else "",
        chunk=place[1],
        rev=place[0],
        marker=cited.get(place),
        lineage=dict(known["lineage"]) if is_known and isinstance(known, Mapping) else {},
    )


def release_note(connection: Connection, digest: str | None) -> dict[str, Json]:
    """Return who sealed a release, when, and what became of it."""
    row = connection.execute(_RELEASE, {"digest": digest}).mappings().one_or_none()
    if row is None:
        return {}
    return {
        "state": row["state"],
        "note": row["note"],
        "sealed_by": row["sealed_by"],
        "sealed_at": to_text(row["sealed_at"]),
        "signed_with": row["key_name"],
    }
