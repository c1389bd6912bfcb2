"""Documents, revisions and chunks of a corpus, and their staging: written in batches before any version names them.

A row that no version references is invisible; `remove_unreferenced` clears what a killed refresh left. The caller owns
the transaction. Fail mode: foreign keys refuse a chunk without its revision, a revision without its document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias, cast

import psycopg
from psycopg.types.json import Jsonb
from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import CorpusName
from pilotage.corpus.records import Chunk

_DOCUMENTS = text(
    "SELECT id, acl, acl_source, classification, region, acl_confirmed_at, tombstone FROM document"
    " WHERE corpus = :corpus AND id = ANY(:ids)"
)
_COPY_DOCUMENTS = (
    "COPY document (corpus, id, title, uri, acl, acl_source, classification, region, acl_confirmed_at) FROM STDIN"
)
_GOVERN = text(
    "UPDATE document SET acl = :acl, acl_source = :acl_source, classification = :classification, region = :region"
    " WHERE corpus = :corpus AND id = :id"
)
_CONFIRM = text(
    "UPDATE document d SET acl_confirmed_at = c.at"
    " FROM unnest(CAST(:ids AS text[]), CAST(:moments AS timestamptz[])) AS c (id, at)"
    " WHERE d.corpus = :corpus AND d.id = c.id"
)
_TITLES = text(
    "UPDATE document d SET title = r.title, uri = r.lineage ->> 'uri' FROM revision r"
    " WHERE d.corpus = :corpus AND r.corpus = :corpus AND r.document = d.id AND r.rev = ANY(:revs)"
    " AND (r.effective_to IS NULL OR r.effective_to > :day)"
    " AND (d.title, d.uri) IS DISTINCT FROM (r.title, r.lineage ->> 'uri')"
)
_REVISION_COLUMNS = (
    "rev, document, hash, meta_hash, commitment, title, effective_from, effective_to, retained_until,"
    " salt IS NULL AS purged, lineage"
)
_BY_DOCUMENT = text(
    f"SELECT {_REVISION_COLUMNS} FROM revision WHERE corpus = :corpus AND document = ANY(:ids) ORDER BY rev"  # noqa: S608 - a constant
)
_BY_REV = text(
    f"SELECT {_REVISION_COLUMNS} FROM revision WHERE corpus = :corpus AND rev = ANY(:revs) ORDER BY rev"  # noqa: S608 - a constant
)
_LENGTHS = text("SELECT rev, max(end_offset) FROM chunk WHERE corpus = :corpus AND rev = ANY(:revs) GROUP BY rev")
_TAKE_REVS = text("UPDATE corpus SET next_rev = next_rev + :count WHERE name = :corpus RETURNING next_rev - :count")
_KNOWN_TEXTS = text("SELECT content_hash FROM chunk_text WHERE corpus = :corpus AND content_hash = ANY(:hashes)")
_COUNT_CHUNKS = text("SELECT count(*) FROM chunk WHERE corpus = :corpus AND rev = ANY(:revs)")
_TEXTLESS = text(
    "SELECT count(*) FROM chunk c WHERE c.corpus = :corpus AND c.rev = ANY(:revs) AND NOT EXISTS"
    " (SELECT 1 FROM chunk_text t WHERE t.corpus = c.corpus AND t.content_hash = c.content_hash)"
)
_CLONE_CHUNKS = text(
    "INSERT INTO chunk SELECT corpus, :rev, ordinal, content_hash, section, tokens, start_offset, end_offset"
    " FROM chunk WHERE corpus = :corpus AND rev = :source"
)
_THERE = text("SELECT rev FROM revision WHERE corpus = :corpus AND rev = ANY(:revs)")
_ALL_REVS = text("SELECT rev FROM revision WHERE corpus = :corpus")
_DROP_CHUNKS = text("DELETE FROM chunk WHERE corpus = :corpus AND rev = ANY(:revs) RETURNING content_hash")
_DROP_REVISIONS = text("DELETE FROM revision WHERE corpus = :corpus AND rev = ANY(:revs) RETURNING document")
_DROP_DOCUMENTS = text(
    "DELETE FROM document d WHERE d.corpus = :corpus AND d.id = ANY(:ids) AND d.tombstone IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM revision r WHERE r.corpus = d.corpus AND r.document = d.id)"
)
_DROP_TEXTS = text(
    "DELETE FROM chunk_text t WHERE t.corpus = :corpus AND t.content_hash = ANY(:hashes)"
    " AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.corpus = t.corpus AND c.content_hash = t.content_hash)"
)
_BLOCKED = text("SELECT document, revision_hmac FROM block_list WHERE corpus = :corpus AND lifted_at IS NULL")
_OPEN = text(
    "SELECT DISTINCT d.id FROM document d JOIN revision r ON r.corpus = d.corpus AND r.document = d.id"
    " WHERE d.corpus = :corpus AND r.rev = ANY(:revs) AND d.classification IN ('confidential', 'restricted')"
    " AND 'group:everyone' = ANY(d.acl) AND d.tombstone IS NULL ORDER BY d.id"
)
_SECTIONS = text(
    "SELECT c.section, t.body, c.start_offset, c.end_offset FROM chunk c JOIN chunk_text t"
    " ON t.corpus = c.corpus AND t.content_hash = c.content_hash"
    " WHERE c.corpus = :corpus AND c.rev = :rev ORDER BY c.ordinal"
)
_SECTIONS_OF = text(
    "SELECT c.rev, c.section, t.body, c.start_offset, c.end_offset FROM chunk c JOIN chunk_text t"
    " ON t.corpus = c.corpus AND t.content_hash = c.content_hash"
    " WHERE c.corpus = :corpus AND c.rev = ANY(:revs) ORDER BY c.rev, c.ordinal"
)
_MANY = 5_000

Blocked: TypeAlias = tuple[frozenset[str], frozenset[str]]
"""What takedowns keep out: document ids, and HMACs of revision hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The current, unversioned facts of a document."""

    id: str
    acl: tuple[str, ...]
    acl_source: str
    classification: str
    region: str
    acl_confirmed_at: datetime
    tombstone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRevision:
    """A row of `revision`. `purged`: its salt is gone and its text with it."""

    rev: int
    document: str
    hash: Digest
    meta_hash: Digest
    commitment: Digest
    title: str
    effective_from: date | None
    effective_to: date | None
    retained_until: date | None
    purged: bool
    lineage: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A revision to write, with the chunks it has."""

    rev: int
    document: str
    hash: Digest
    meta_hash: Digest
    salt: bytes
    commitment: Digest
    title: str
    effective_from: date | None
    effective_to: date | None
    retained_until: date | None
    lineage: Mapping[str, Json]
    chunks: Sequence[Chunk] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """The current facts of a document as a refresh found them."""

    id: str
    title: str
    uri: str | None
    acl: tuple[str, ...]
    acl_source: str
    classification: str
    region: str
    acl_confirmed_at: datetime


def documents_of(connection: Connection, corpus: CorpusName, ids: Sequence[str]) -> dict[str, StoredDocument]:
    """Return the documents of these ids that exist."""
    rows = connection.execute(_DOCUMENTS, {"corpus": corpus, "ids": list(ids)}).mappings()
    return {row["id"]: StoredDocument(**{**row, "acl": tuple(row["acl"])}) for row in rows}


def add_documents(connection: Connection, corpus: CorpusName, documents: Iterable[Governed]) -> None:
    """Insert documents that do not exist and that no version names yet, by COPY."""
    with _driver(connection).cursor() as cursor, cursor.copy(_COPY_DOCUMENTS) as copy:
        for one in documents:
            facts = (one.id, one.title, one.uri, _array(one.acl), one.acl_source, one.classification, one.region)
            copy.write_row((corpus, *facts, one.acl_confirmed_at))


def govern_documents(connection: Connection, corpus: CorpusName, documents: Iterable[Governed]) -> None:
    """Apply changed ACLs, classifications and regions: from commit on they hold for every version."""
    rows = [_governed(corpus, document) for document in documents]
    if rows:
        connection.execute(_GOVERN, rows)


def confirm_acls(connection: Connection, corpus: CorpusName, documents: Sequence[Governed]) -> None:
    """Note when the source confirmed these documents' ACLs."""
    for start in range(0, len(documents), _MANY):
        part = documents[start : start + _MANY]
        moments = [one.acl_confirmed_at for one in part]
        connection.execute(_CONFIRM, {"corpus": corpus, "ids": [one.id for one in part], "moments": moments})


def take_titles(connection: Connection, corpus: CorpusName, revisions: BitMap, *, day: date) -> None:
    """Show the titles of an accepted version as the documents' current ones."""
    connection.execute(_TITLES, {"corpus": corpus, "revs": list(revisions), "day": day})


def revisions_of_documents(
    connection: Connection, corpus: CorpusName, ids: Sequence[str]
) -> dict[str, list[StoredRevision]]:
    """Return all revisions of these documents, oldest first."""
    found: dict[str, list[StoredRevision]] = {}
    for revision in _revisions(connection, _BY_DOCUMENT, {"corpus": corpus, "ids": list(ids)}):
        found.setdefault(revision.document, []).append(revision)
    return found


def revisions_of(connection: Connection, corpus: CorpusName, revs: Iterable[int]) -> Iterator[StoredRevision]:
    """Yield these revisions in order of their numbers."""
    numbers = list(revs)
    for start in range(0, len(numbers), _MANY):
        yield from _revisions(connection, _BY_REV, {"corpus": corpus, "revs": numbers[start : start + _MANY]})


def text_lengths(connection: Connection, corpus: CorpusName, revs: Sequence[int]) -> dict[int, int]:
    """Return the text length in characters of these revisions, up to the end of the last chunk."""
    rows = connection.execute(_LENGTHS, {"corpus": corpus, "revs": list(revs)})
    return {row[0]: row[1] for row in rows}


def take_revision_numbers(connection: Connection, corpus: CorpusName, count: int) -> int:
    """Reserve `count` numbers; return the first. Numbers are never reused; 2^32 of them are all there are."""
    first: int = connection.execute(_TAKE_REVS, {"corpus": corpus, "count": count}).scalar_one()
    if first + count > 2**32:
        message = f"Corpus {corpus} has used up its 2^32 revision numbers."
        raise IntegrityError("REVISIONS_EXHAUSTED", message, hint="Start a new corpus for this source.")
    return first


def add_revisions(connection: Connection, corpus: CorpusName, revisions: Sequence[NewRevision]) -> None:
    """Write revisions with their chunks and the texts not yet stored, by COPY."""
    with _driver(connection).cursor() as cursor:
        with cursor.copy(
            "COPY revision (corpus, rev, document, hash, meta_hash, salt, commitment, title, effective_from,"
            " effective_to, retained_until, lineage) FROM STDIN"
        ) as copy:
            for one in revisions:
                copy.write_row(
                    (corpus, one.rev, one.document, one.hash, one.meta_hash, one.salt, one.commitment, one.title,
                     one.effective_from, one.effective_to, one.retained_until, Jsonb(one.lineage))
                )  # fmt: skip
        _copy_texts(connection, cursor, corpus, revisions)
        with cursor.copy(
            "COPY chunk (corpus, rev, ordinal, content_hash, section, tokens, start_offset, end_offset) FROM STDIN"
        ) as copy:
            for one in revisions:
                for chunk in one.chunks:
                    copy.write_row(
                        (corpus, one.rev, chunk.ordinal, chunk.content_hash, chunk.section, chunk.tokens, chunk.start,
                         chunk.end)
                    )  # fmt: skip


def clone_chunks(connection: Connection, corpus: CorpusName, *, source: int, rev: int) -> None:
    """Give a revision the chunks of another: same text, other dates."""
    connection.execute(_CLONE_CHUNKS, {"corpus": corpus, "source": source, "rev": rev})


def count_chunks(connection: Connection, corpus: CorpusName, revs: Iterable[int]) -> int:
    """Return how many chunks these revisions have."""
    count: int = connection.execute(_COUNT_CHUNKS, {"corpus": corpus, "revs": list(revs)}).scalar_one()
    return count


def count_textless(connection: Connection, corpus: CorpusName, revs: Iterable[int]) -> int:
    """Return how many chunks of these revisions lost their text (to a takedown that ran meanwhile)."""
    count: int = connection.execute(_TEXTLESS, {"corpus": corpus, "revs": list(revs)}).scalar_one()
    return count


def unreferenced_revisions(connection: Connection, corpus: CorpusName, referenced: BitMap) -> BitMap:
    """Return revisions that no version holds: what a killed refresh left."""
    return BitMap(connection.execute(_ALL_REVS, {"corpus": corpus}).scalars()) - referenced


def remove_revisions(connection: Connection, corpus: CorpusName, revs: BitMap) -> None:
    """Delete revisions with what only they use: chunks, texts, documents."""
    numbers = list(revs)
    for start in range(0, len(numbers), _MANY):
        part = {"corpus": corpus, "revs": numbers[start : start + _MANY]}
        hashes = set(connection.execute(_DROP_CHUNKS, part).scalars())
        documents = set(connection.execute(_DROP_REVISIONS, part).scalars())
        connection.execute(_DROP_TEXTS, {"corpus": corpus, "hashes": sorted(hashes)})
        connection.execute(_DROP_DOCUMENTS, {"corpus": corpus, "ids": sorted(documents)})


def blocked(connection: Connection, corpus: CorpusName) -> Blocked:
    """Return what takedowns keep out: document ids, and HMACs of revision hashes."""
    rows = connection.execute(_BLOCKED, {"corpus": corpus}).all()
    return frozenset(row[0] for row in rows), frozenset(row[1] for row in rows)


def open_documents(connection: Connection, corpus: CorpusName, revs: BitMap) -> tuple[str, ...]:
    """Return documents of these revisions that are confidential or higher and readable by everyone now."""
    return tuple(connection.execute(_OPEN, {"corpus": corpus, "revs": list(revs)}).scalars())


def missing_revisions(connection: Connection, corpus: CorpusName, revs: BitMap) -> BitMap:
    """Return those of these revisions that have no row (any more)."""
    return revs - BitMap(connection.execute(_THERE, {"corpus": corpus, "revs": list(revs)}).scalars())


def stored_passages(connection: Connection, corpus: CorpusName, rev: int) -> list[tuple[str, str, int, int]]:
    """Return `(section, text, start, end)` of a revision's chunks in order; empty once purged."""
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(_SECTIONS, {"corpus": corpus, "rev": rev})]


def passages_of_revisions(
    connection: Connection, corpus: CorpusName, revs: Iterable[int]
) -> dict[int, list[tuple[str, str, int, int]]]:
    """Return what `stored_passages` does, of several revisions in one statement."""
    found: dict[int, list[tuple[str, str, int, int]]] = {}
    for row in connection.execute(_SECTIONS_OF, {"corpus": corpus, "revs": list(revs)}):
        found.setdefault(row[0], []).append((row[1], row[2], row[3], row[4]))
    return found


def _revisions(connection: Connection, statement: object, values: Mapping[str, object]) -> Iterator[StoredRevision]:
    for row in connection.execute(statement, values).mappings():  # type: ignore[call-overload]
        yield StoredRevision(**row)


def _copy_texts(
    connection: Connection, cursor: psycopg.Cursor, corpus: CorpusName, revisions: Sequence[NewRevision]
) -> None:
    texts = {chunk.content_hash: chunk for one in revisions for chunk in one.chunks}
    known = set(connection.execute(_KNOWN_TEXTS, {"corpus": corpus, "hashes": list(texts)}).scalars())
    with cursor.copy("COPY chunk_text (corpus, content_hash, heading, body) FROM STDIN") as copy:
        for content_hash, chunk in texts.items():
            if content_hash not in known:
                copy.write_row((corpus, content_hash, chunk.section, chunk.text))


def _governed(corpus: CorpusName, document: Governed) -> dict[str, object]:
    return {
        "corpus": corpus,
        "id": document.id,
        "title": document.title,
        "uri": document.uri,
        "acl": list(document.acl),
        "acl_source": document.acl_source,
        "classification": document.classification,
        "region": document.region,
    }


def _driver(connection: Connection) -> psycopg.Connection:
    """Return psycopg's own connection, in the transaction of this one: only it speaks COPY."""
    return cast("psycopg.Connection", connection.connection.driver_connection)


def _array(names: Iterable[str]) -> str:
    """Write a text[] as PostgreSQL reads it, every element quoted."""
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"
