"""What the ledger said about some rows when they were written, to compare the rows with now.

Rule: one statement for all of them, by subject; the bytes themselves are `ledger fsck`'s matter. Fail mode: an entry
that is no JSON raises, and nothing is decided on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.core.clock import from_text
from pilotage.store.together import Rows

_SAID: Final = text(
    "SELECT e.kind, e.subject, CAST(convert_from(e.bytes, 'UTF8') AS jsonb) AS body,"
    " (SELECT jsonb_object_agg(d.field, d.value) FROM ledger_disclosure d WHERE d.entry = e.id) AS opened"
    " FROM ledger_entry e WHERE e.subject = ANY(:subjects) ORDER BY e.seq NULLS LAST, e.inserted_at, e.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One entry. `opened` holds the texts of its commitments that are still kept."""

    kind: str
    at: datetime
    space: str
    data: Mapping[str, Any]
    opened: Mapping[str, str]


def said_about(connection: Connection, subjects: Collection[str]) -> dict[str, tuple[Said, ...]]:
    """Return the entries about each subject in ledger order; a subject without any is left out."""
    return said_from(connection.execute(_SAID, {"subjects": sorted(set(subjects))}).mappings().all())


def said_from(rows: Rows) -> dict[str, tuple[Said, ...]]:
    """Return the entries about each subject from their rows, in the order of the rows."""
    found: dict[str, list[Said]] = {}
    for row in rows:
        body = row["body"]
        said = Said(
            kind=row["kind"],
            at=from_text(body["at"]),
            space=body["space"],
            data=body["data"],
            opened=row["opened"] or {},
        )
        found.setdefault(row["subject"], []).append(said)
    return {subject: tuple(entries) for subject, entries in found.items()}
