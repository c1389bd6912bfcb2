"""Which documents more people may read than at some moment, from the ledger's entries about their permissions.

Rule: one statement for all spans; only documents whose permissions ever moved are looked at, each by its entries. Fail
mode: a document whose entry was not written is not found, and the entry is written with the change or neither is.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName

Span: TypeAlias = tuple[CorpusName, datetime, datetime]
"""A corpus, after when, and until when (included)."""

_WIDENED: Final = text(
    "SELECT DISTINCT s.corpus, s.since, s.until, d.id"
    " FROM unnest(CAST(:corpora AS text[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]))"
    " AS s (corpus, since, until)"
    " JOIN document d ON d.corpus = s.corpus AND d.changed > 0 AND d.tombstone IS NULL"
    " JOIN ledger_entry e ON e.subject = d.corpus || '/' || d.id AND e.kind = 'document.acl_changed',"
    " LATERAL (SELECT CAST(convert_from(e.bytes, 'UTF8') AS jsonb) AS body) b"
    " WHERE CAST(b.body ->> 'at' AS timestamptz) > s.since AND CAST(b.body ->> 'at' AS timestamptz) <= s.until"
    " AND (CAST(b.body #>> '{data,added,groups_total}' AS integer) > 0"
    " OR CAST(b.body #>> '{data,added,users}' AS integer) > 0)"
    " ORDER BY s.corpus, d.id"
)


def widened(connection: Connection, spans: Collection[Span]) -> dict[Span, tuple[str, ...]]:
    """Return the documents of each span that somebody may read who could not before."""
    found: dict[Span, tuple[str, ...]] = dict.fromkeys(spans, ())
    if not found:
        return found
    values = {
        "corpora": [corpus for corpus, _, _ in found],
        "since": [since for _, since, _ in found],
        "until": [until for _, _, until in found],
    }
    for row in connection.execute(_WIDENED, values):
        span = (CorpusName(row.corpus), row.since, row.until)
        found[span] = (*found[span], row.id)
    return found
