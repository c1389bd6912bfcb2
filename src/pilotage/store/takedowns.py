"""Rows of a takedown: the tombstone that hides, the block list, and the deletion of every text of a document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection, RowMapping, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName
from pilotage.corpus.takedown import TakedownState
from pilotage.corpus.takedown_quotes import Quotable
from pilotage.store.tables.corpora import block_list, corpus_version, document, takedown
from pilotage.store.takedown_quotes import erase_candidates

REMOVED: Final = "[removed: takedown {}]"
_HASHES: Final = text(
    "SELECT DISTINCT hash FROM revision WHERE corpus = :corpus AND document = :document AND hash <> ''"
)
_REVS: Final = text("SELECT rev FROM revision WHERE corpus = :corpus AND document = :document")
_SAME: Final = text(
    "SELECT DISTINCT r.document FROM revision r JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND r.document <> :document AND r.hash = ANY(:hashes) AND d.tombstone IS NULL"
    " ORDER BY r.document"
)
_ALL_TEXTS: Final = text(
    "SELECT DISTINCT t.content_hash, t.heading, t.body FROM chunk_text t JOIN chunk c USING (corpus, content_hash)"
    " JOIN revision r USING (corpus, rev) WHERE t.corpus = :corpus AND r.document = :document ORDER BY t.content_hash"
)
_CITED: Final = text("SELECT interaction FROM interaction_citation WHERE corpus = :corpus AND document = :document")
_ERASE: Final = (
    # Order matters: texts go while the chunks still say whose they were.
    "UPDATE interaction_text SET question = :removed, answer = :removed, salt = '\\x' WHERE id = ANY(:interactions)",
    "UPDATE idempotency SET answer = NULL WHERE interaction = ANY(:interactions)",
    (
        "DELETE FROM ledger_disclosure WHERE entry IN (SELECT e.id FROM ledger_entry e JOIN feedback f"
        " ON f.id = e.subject AND e.kind = 'feedback.recorded' WHERE f.interaction = ANY(:interactions))"
    ),
    "UPDATE feedback SET comment = NULL, correction = NULL WHERE interaction = ANY(:interactions)",
    # Caches and assessments go with it; a run that still needs the answer asks again, without the document.
    (
        "DELETE FROM evaluation_generation"
        " WHERE documents @> ARRAY[CAST(:corpus AS text) || '/' || CAST(:document AS text)]"
    ),
    (
        "DELETE FROM rollout_pair_text WHERE interaction = ANY(:interactions)"
        " OR documents @> ARRAY[CAST(:corpus AS text) || '/' || CAST(:document AS text)]"
    ),
    (
        "DELETE FROM embedding e WHERE e.corpus = :corpus AND e.content_hash IN (SELECT content_hash FROM chunk c"
        " JOIN revision r USING (corpus, rev) WHERE c.corpus = :corpus AND r.document = :document)"
        " AND NOT EXISTS (SELECT 1 FROM chunk o JOIN revision p USING (corpus, rev)"
        "   WHERE o.corpus = e.corpus AND o.content_hash = e.content_hash AND p.document <> :document)"
    ),
    (
        "DELETE FROM chunk_text t WHERE t.corpus = :corpus AND t.content_hash IN (SELECT content_hash FROM chunk c"
        " JOIN revision r USING (corpus, rev) WHERE c.corpus = :corpus AND r.document = :document)"
        " AND NOT EXISTS (SELECT 1 FROM chunk o JOIN revision p USING (corpus, rev)"
        "   WHERE o.corpus = t.corpus AND o.content_hash = t.content_hash AND p.document <> :document)"
    ),
    (
        "DELETE FROM chunk WHERE corpus = :corpus AND rev IN"
        " (SELECT rev FROM revision WHERE corpus = :corpus AND document = :document)"
    ),
    (
        "UPDATE revision SET salt = NULL, hash = '', meta_hash = '', title = '', lineage = '{}'"
        " WHERE corpus = :corpus AND document = :document"
    ),
    "UPDATE document SET title = '', uri = NULL, acl = '{}' WHERE corpus = :corpus AND id = :document",
)


_GROUP: Final = text(
    "SELECT t.id FROM takedown t JOIN takedown me ON me.id = :id AND t.requested_at = me.requested_at"
    " AND t.requested_by = me.requested_by WHERE t.state = :state ORDER BY t.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTakedown:
    """A row of `takedown`; `step` is the last step of the purge that is done."""

    id: str
    corpus: CorpusName
    document: str
    document_commit: str
    reason: str
    state: TakedownState
    include_duplicates: bool
    step: str
    also_in: tuple[str, ...]
    versions_affected: tuple[int, ...]
    proof: Mapping[str, Json] | None
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None = None


def add_takedown(connection: Connection, stored: StoredTakedown) -> None:
    """Insert a takedown."""
    row = {name: getattr(stored, name) for name in StoredTakedown.__dataclass_fields__}
    row |= {
        "state": str(stored.state),
        "also_in": list(stored.also_in),
        "versions_affected": list(stored.versions_affected),
    }
    connection.execute(takedown.insert().values(row))


def find_takedown(connection: Connection, identifier: str) -> StoredTakedown | None:
    """Return one takedown."""
    row = connection.execute(select(takedown).where(takedown.c.id == identifier)).mappings().first()
    return None if row is None else _stored(row)


def newest_takedowns(connection: Connection, corpus: CorpusName, *, most: int) -> tuple[StoredTakedown, ...]:
    """Return takedowns of a corpus, newest first."""
    query = select(takedown).where(takedown.c.corpus == corpus)
    query = query.order_by(takedown.c.requested_at.desc(), takedown.c.id.desc()).limit(most)
    return tuple(_stored(row) for row in connection.execute(query).mappings())


def lock_takedown(connection: Connection, identifier: str) -> StoredTakedown | None:
    """Return one takedown, locked until the transaction ends."""
    row = connection.execute(select(takedown).where(takedown.c.id == identifier).with_for_update()).mappings().first()
    return None if row is None else _stored(row)


def set_state(
    connection: Connection, identifier: str, state: TakedownState, *, proof: Mapping[str, Json] | None = None
) -> None:
    """Write what a person decided about a takedown; a `proof` replaces the one that stands."""
    values: dict[str, object] = {"state": str(state)} | ({} if proof is None else {"proof": dict(proof)})
    connection.execute(update(takedown).where(takedown.c.id == identifier).values(values))


def requested_with(
    connection: Connection, identifier: str, state: TakedownState = TakedownState.HIDDEN
) -> tuple[StoredTakedown, ...]:
    """Return the takedowns of one request in a state: the document, its twins, its derived copies."""
    names = connection.execute(_GROUP, {"id": identifier, "state": str(state)}).scalars().all()
    found = (find_takedown(connection, name) for name in names)
    return tuple(one for one in found if one is not None)


def lock_document(connection: Connection, corpus: CorpusName, identifier: str) -> tuple[bool, str | None]:
    """Lock a document's row; return whether it exists, and its tombstone."""
    query = select(document.c.tombstone).where(document.c.corpus == corpus, document.c.id == identifier)
    row = connection.execute(query.with_for_update()).first()
    return row is not None, None if row is None else row.tombstone


def bury(connection: Connection, corpus: CorpusName, identifier: str, *, tombstone: str) -> None:
    """Set the tombstone: from the commit on the document is invisible everywhere."""
    where = (document.c.corpus == corpus) & (document.c.id == identifier)
    connection.execute(update(document).where(where).values(tombstone=tombstone))


def revision_hashes(connection: Connection, corpus: CorpusName, identifier: str) -> tuple[str, ...]:
    """Return the hashes of a document's revisions."""
    return tuple(connection.execute(_HASHES, {"corpus": corpus, "document": identifier}).scalars())


def same_content(connection: Connection, corpus: CorpusName, identifier: str, hashes: Sequence[str]) -> tuple[str, ...]:
    """Return other live documents that hold a revision of exactly this content."""
    values = {"corpus": corpus, "document": identifier, "hashes": list(hashes)}
    return tuple(connection.execute(_SAME, values).scalars())


def block(
    connection: Connection, corpus: CorpusName, identifier: str, hmacs: Sequence[str], *, takedown_id: str
) -> None:
    """Keep a refresh from bringing the document back, under its id or another."""
    rows = [{"corpus": corpus, "document": identifier, "revision_hmac": one, "takedown": takedown_id} for one in hmacs]
    if rows:
        kept = insert(block_list).values(rows)
        again = {"takedown": kept.excluded.takedown, "lifted_at": None}
        connection.execute(
            kept.on_conflict_do_update(index_elements=["corpus", "document", "revision_hmac"], set_=again)
        )


def lift(connection: Connection, stored: StoredTakedown, *, at: datetime) -> None:
    """Take a document off the block list, and its tombstone away: it has no text, and no reader but by a refresh."""
    mine = (block_list.c.corpus == stored.corpus) & (block_list.c.document == stored.document)
    connection.execute(update(block_list).where(mine, block_list.c.lifted_at.is_(None)).values(lifted_at=at))
    where = (document.c.corpus == stored.corpus) & (document.c.id == stored.document)
    connection.execute(update(document).where(where).values(tombstone=None))


def affected_versions(connection: Connection, corpus: CorpusName, identifier: str) -> tuple[int, ...]:
    """Return the versions that hold a revision of the document."""
    revs = BitMap(connection.execute(_REVS, {"corpus": corpus, "document": identifier}).scalars())
    query = select(corpus_version.c.number, corpus_version.c.bitmap).where(corpus_version.c.corpus == corpus)
    rows = connection.execute(query.order_by(corpus_version.c.number))
    return tuple(row.number for row in rows if BitMap.deserialize(row.bitmap).intersect(revs))


def all_texts(connection: Connection, corpus: CorpusName, identifier: str) -> list[str]:
    """Return every text of a document in any version: headings and bodies."""
    rows = connection.execute(_ALL_TEXTS, {"corpus": corpus, "document": identifier})
    return [piece for row in rows for piece in (row.body, row.heading) if piece]


def erase(connection: Connection, stored: StoredTakedown, quotable: Quotable, *, quoting: Collection[str]) -> int:
    """Delete every row that holds the document's text or could be tested against it; return how many rows moved.

    `quoting` are interactions whose words hold it without a citation.
    """
    values: dict[str, object] = {"corpus": stored.corpus, "document": stored.document}
    interactions = sorted({*connection.execute(_CITED, values).scalars(), *quoting})
    removed = REMOVED.format(stored.id)
    values |= {"interactions": interactions, "removed": removed}
    rows = erase_candidates(connection, quotable, interactions=interactions, removed=removed)
    for statement in _ERASE:
        given = {name: value for name, value in values.items() if f":{name}" in statement}
        rows += connection.execute(text(statement), given).rowcount
    return rows


_STEP: Final = text(
    "UPDATE takedown SET step = :step, state = :state, proof = :proof, finished_at = :at WHERE id = :id"
).bindparams(bindparam("proof", type_=JSONB(none_as_null=True)))


def mark(
    connection: Connection,
    stored: StoredTakedown,
    *,
    step: str,
    state: TakedownState | None = None,
    proof: Mapping[str, Json] | None = None,
    at: datetime | None = None,
) -> None:
    """Write how far the purge got."""
    values = {"id": stored.id, "step": step, "state": str(state or stored.state), "proof": proof, "at": at}
    connection.execute(_STEP, values)


def _stored(row: RowMapping) -> StoredTakedown:
    return StoredTakedown(
        id=row["id"],
        corpus=CorpusName(row["corpus"]),
        document=row["document"],
        document_commit=row["document_commit"],
        reason=row["reason"],
        state=TakedownState(row["state"]),
        include_duplicates=row["include_duplicates"],
        step=row["step"],
        also_in=tuple(row["also_in"]),
        versions_affected=tuple(row["versions_affected"]),
        proof=row["proof"],
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        finished_at=row["finished_at"],
    )
