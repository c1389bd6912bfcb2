"""Which documents more people may read than when a release was sealed, from the ledger's entries about permissions.

Rule: one statement for all spans; only documents whose permissions ever moved are looked at, each by its entries. Fail
mode: a document whose entry was not written is not found, and the entry is written with the change or neither is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.corpus.diff import AclChange
from pilotage.store.together import Together

Revision: TypeAlias = tuple[CorpusName, int]
Span: TypeAlias = tuple[CorpusName, Digest, Digest | None]
"""A corpus, after the seal of one release, and until that of another; None: until now."""

_MOVED: Final = text("""
SELECT CAST(json_build_object(
  'documents', (SELECT json_agg(r) FROM (SELECT corpus, rev, document FROM revision
    WHERE (corpus, rev) IN (SELECT * FROM unnest(CAST(:corpora AS text[]), CAST(:revs AS bigint[])))) r),
  'widened', (SELECT json_agg(w ORDER BY w.corpus, w.id) FROM (
    SELECT DISTINCT s.corpus, s.since, s.until, d.id
    FROM unnest(CAST(:in_corpora AS text[]), CAST(:since AS text[]), CAST(:until AS text[])) AS s (corpus, since, until)
    JOIN release a ON a.digest = s.since LEFT JOIN release b ON b.digest = s.until
    JOIN document d ON d.corpus = s.corpus AND d.changed > 0 AND d.tombstone IS NULL
    JOIN ledger_entry e ON e.subject = d.corpus || '/' || d.id AND e.kind = 'document.acl_changed',
    LATERAL (SELECT CAST(convert_from(e.bytes, 'UTF8') AS jsonb) AS body) t
    WHERE CAST(t.body ->> 'at' AS timestamptz) > a.sealed_at
      AND (s.until IS NULL OR CAST(t.body ->> 'at' AS timestamptz) <= b.sealed_at)
      AND (CAST(t.body #>> '{data,added,groups_total}' AS integer) > 0
        OR CAST(t.body #>> '{data,added,users}' AS integer) > 0)) w)
) AS text)
""")


_BETWEEN: Final = text("""
SELECT d.id, t.body -> 'data' AS data FROM document d
JOIN ledger_entry e ON e.subject = d.corpus || '/' || d.id AND e.kind = 'document.acl_changed',
LATERAL (SELECT CAST(convert_from(e.bytes, 'UTF8') AS jsonb) AS body) t
WHERE d.corpus = :corpus AND d.changed > 0 AND d.tombstone IS NULL
  AND CAST(t.body ->> 'at' AS timestamptz) >= date_trunc('milliseconds', CAST(:since AS timestamptz))
  AND (CAST(:until AS timestamptz) IS NULL
    OR CAST(t.body ->> 'at' AS timestamptz) < date_trunc('milliseconds', CAST(:until AS timestamptz)))
ORDER BY t.body ->> 'at', e.id
""")


def changes_between(
    connection: Connection, corpus: CorpusName, *, since: datetime, until: datetime | None
) -> dict[str, AclChange]:
    """Return by document who gained and lost it from a moment on, until before another (None: now).

    Groups and services by name; people are counted, as the entries count them.
    """
    groups: dict[str, Counter[str]] = {}
    users: dict[str, Counter[str]] = {}
    for document, data in connection.execute(_BETWEEN, {"corpus": corpus, "since": since, "until": until}):
        net = groups.setdefault(document, Counter())
        net.update(data["added"]["groups"])
        net.subtract(data["removed"]["groups"])
        seen = users.setdefault(document, Counter())
        seen.update({side: data[side]["users"] for side in ("added", "removed")})
    found = {
        document: AclChange(
            added=_side(users[document]["added"], (name for name, count in net.items() if count > 0)),
            removed=_side(users[document]["removed"], (name for name, count in net.items() if count < 0)),
        )
        for document, net in groups.items()
    }
    return {document: change for document, change in found.items() if change.added or change.removed}


def _side(users: int, groups: Iterable[str]) -> tuple[str, ...]:
    return (*sorted(groups), *((f"users: {users}",) if users else ()))


def moved(
    connection: Connection, revisions: Collection[Revision], spans: Collection[Span]
) -> tuple[dict[Revision, str], dict[Span, tuple[str, ...]]]:
    """Return the document of each revision, and the documents of each span that somebody may read who could not."""
    found: dict[Span, tuple[str, ...]] = dict.fromkeys(spans, ())
    if not revisions and not found:
        return {}, found
    values = {
        "corpora": [corpus for corpus, _ in revisions],
        "revs": [rev for _, rev in revisions],
        "in_corpora": [corpus for corpus, _, _ in found],
        "since": [since for _, since, _ in found],
        "until": [until for _, _, until in found],
    }
    read = Together(connection, _MOVED, values)
    for row in read.rows("widened"):
        until = None if row["until"] is None else Digest(row["until"])
        span = (CorpusName(row["corpus"]), Digest(row["since"]), until)
        found[span] = (*found[span], row["id"])
    documents = {(CorpusName(row["corpus"]), int(row["rev"])): str(row["document"]) for row in read.rows("documents")}
    return documents, found
