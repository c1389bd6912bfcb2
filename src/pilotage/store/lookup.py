"""What an id or the begin of a digest names, and documents by their id, for whoever may read them now.

Rule: reads only; one statement for ids, one for documents, each of at most so many rows. A document shows itself as a
passage would: live, with one of the reader's names in its ACL, confirmed in time; what nobody accepted yet does not
show itself. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName

MOST: Final = 10
"""Rows of one kind."""

_NAMED = text("""
SELECT * FROM (SELECT 'release' AS kind, digest AS name, workflow AS about FROM release
  WHERE :hex <> '' AND digest >= 'sha256:' || :hex AND digest <= 'sha256:' || :hex || 'g'
  ORDER BY digest LIMIT :most) AS releases
UNION ALL
SELECT 'rollout', id, workflow || ' in ' || state FROM rollout WHERE id = :id
UNION ALL
SELECT 'session', id, gate FROM board_session WHERE id = :id
UNION ALL
SELECT 'incident', id, coalesce(rollout, '') FROM incident WHERE id = :id
UNION ALL
SELECT 'entry', id, kind FROM ledger_entry WHERE id = :id
""")
_DOCUMENTS = text("""
SELECT d.corpus, d.id, coalesce(nullif(last.title, ''), d.title) AS title, last.rev
FROM unnest(CAST(:corpora AS text[]), CAST(:since AS timestamptz[])) AS known (corpus, since)
JOIN document d ON d.corpus = known.corpus
JOIN LATERAL (SELECT r.rev, r.title FROM revision r
  WHERE r.corpus = d.corpus AND r.document = d.id
    AND EXISTS (SELECT FROM chunk c WHERE c.corpus = r.corpus AND c.rev = r.rev AND c.ordinal = 0)
    AND EXISTS (SELECT FROM corpus_version v
      WHERE v.corpus = r.corpus AND v.state = 'accepted' AND bitmap_holds(v.bitmap, r.rev))
  ORDER BY r.rev DESC LIMIT 1) AS last ON true
WHERE d.tombstone IS NULL AND d.acl && CAST(:names AS text[])
  AND (known.since IS NULL OR d.acl_confirmed_at >= known.since) AND strpos(lower(d.id), lower(:wanted)) > 0
ORDER BY d.id, d.corpus LIMIT :most
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """`kind`: release, rollout, session, incident (`about`: its rollout) or entry of the ledger (`about`: its kind)."""

    kind: str
    name: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """A document with its newest accepted revision that has a passage."""

    corpus: str
    id: str
    title: str
    rev: int


def named(connection: Connection, *, begin: str, identifier: str) -> tuple[Named, ...]:
    """Return releases whose hex digits begin so (empty: none), and whatever else has this id."""
    values = {"hex": begin, "id": identifier, "most": MOST}
    return tuple(Named(**row) for row in connection.execute(_NAMED, values).mappings())


def documents_named(
    connection: Connection, wanted: str, *, names: Collection[str], since: Mapping[CorpusName, datetime | None]
) -> tuple[FoundDocument, ...]:
    """Return the documents whose id holds this text. `since`: corpora, and from when their ACLs must be confirmed."""
    values = {
        "corpora": list(since),
        "since": list(since.values()),
        "names": sorted(names),
        "wanted": wanted,
        "most": MOST,
    }
    return tuple(FoundDocument(**row) for row in connection.execute(_DOCUMENTS, values).mappings())
