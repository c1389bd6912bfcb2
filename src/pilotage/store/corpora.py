"""Corpora and their versions: rows, never rules. The caller owns the transaction.

A version's bitmap is a portable Roaring bitmap of revision numbers. Fail mode: an unknown corpus or version is None.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyroaring import BitMap
from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.corpus.version import VersionState
from pilotage.store.notify import Channel, notify

_ENSURE = text("INSERT INTO corpus (name) VALUES (:corpus) ON CONFLICT DO NOTHING RETURNING name")
_PARTITION = text("SELECT make_chunk_partition(:corpus)")
_LOCK = text("SELECT next_version FROM corpus WHERE name = :corpus FOR UPDATE")
_BUMP = text("UPDATE corpus SET generation = generation + 1 WHERE name = :corpus RETURNING generation")
_CONFIRMED = text("UPDATE corpus SET confirmations = confirmations + 1 WHERE name = :corpus RETURNING generation")
_LAST_CONFIRMED = text(
    "SELECT corpus, max(acl_confirmed_at) FROM document"
    " WHERE corpus = ANY(:corpora) AND tombstone IS NULL GROUP BY corpus ORDER BY corpus"
)
_VERSION_COLUMNS = (
    "number, state, parent, bitmap, digest, commitments, summary, created_by, created_at, decided_by, decided_at,"
    " decision_note"
)
_ONE = text(f"SELECT {_VERSION_COLUMNS} FROM corpus_version WHERE corpus = :corpus AND number = :number")  # noqa: S608 - a constant list of columns
_ONE_FOR_UPDATE = text(
    f"SELECT {_VERSION_COLUMNS} FROM corpus_version WHERE corpus = :corpus AND number = :number FOR UPDATE"  # noqa: S608 - a constant list of columns
)
_NAMED = text(
    f"SELECT corpus, {_VERSION_COLUMNS} FROM corpus_version WHERE (corpus, number) IN"  # noqa: S608 - as above
    " (SELECT * FROM unnest(CAST(:corpora AS text[]), CAST(:numbers AS integer[])))"
)
_PAGE = text(
    f"SELECT {_VERSION_COLUMNS} FROM corpus_version WHERE corpus = :corpus"  # noqa: S608 - a constant list of columns
    " AND (CAST(:before AS int) IS NULL OR number < CAST(:before AS int)) ORDER BY number DESC LIMIT :most"
)
_NEWEST = text(
    f"SELECT {_VERSION_COLUMNS} FROM corpus_version WHERE corpus = :corpus AND state = ANY(:states)"  # noqa: S608 - as above
    " ORDER BY number DESC LIMIT 1"
)
_INSERT = text(
    "INSERT INTO corpus_version (corpus, number, state, parent, bitmap, digest, commitments, summary, created_by,"
    " created_at) VALUES (:corpus, :number, :state, :parent, :bitmap, :digest, :commitments, :summary, :created_by,"
    " :created_at)"
).bindparams(bindparam("summary", type_=JSONB))
_NUMBERED = text("UPDATE corpus SET next_version = :number + 1 WHERE name = :corpus")
_DECIDE = text(
    "UPDATE corpus_version SET state = :state, decided_by = :by, decided_at = :at, decision_note = :note"
    " WHERE corpus = :corpus AND number = :number"
)
_SUPERSEDE = text(
    "UPDATE corpus_version SET state = 'superseded' WHERE corpus = :corpus AND number < :number AND state = 'proposed'"
    " RETURNING number"
)
_BITMAPS = text("SELECT bitmap FROM corpus_version WHERE corpus = :corpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """A row of `corpus_version`. `summary` holds counts, diff id lists, findings, `needs_review` and `blocking`."""

    corpus: CorpusName
    number: int
    state: VersionState
    parent: int | None
    bitmap: bytes
    digest: Digest
    commitments: bytes
    summary: Mapping[str, Json]
    created_by: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str | None

    @property
    def revisions(self) -> BitMap:
        """The revision numbers the version holds."""
        return BitMap.deserialize(self.bitmap)


def ensure_corpus(connection: Connection, corpus: CorpusName) -> bool:
    """Make the corpus's row and text partition when it first appears; tell whether it did."""
    if connection.execute(_ENSURE, {"corpus": corpus}).first() is None:
        return False
    connection.execute(_PARTITION, {"corpus": corpus})
    return True


def lock_corpus(connection: Connection, corpus: CorpusName) -> int:
    """Lock the corpus's row until the transaction ends; return the number the next version would get."""
    number: int = connection.execute(_LOCK, {"corpus": corpus}).scalar_one()
    return number


def bump_generation(connection: Connection, corpus: CorpusName) -> int:
    """Count one change of what readers may see, and tell every process when the transaction commits."""
    generation: int = connection.execute(_BUMP, {"corpus": corpus}).scalar_one()
    notify(connection, Channel.CORPUS, f"{corpus}:{generation}")
    return generation


def count_confirmation(connection: Connection, corpus: CorpusName) -> None:
    """Count one confirmation of ACLs, and tell every process when the transaction commits."""
    generation = connection.execute(_CONFIRMED, {"corpus": corpus}).scalar_one()
    notify(connection, Channel.CORPUS, f"{corpus}:{generation}")


def last_confirmed(connection: Connection, corpora: Collection[CorpusName]) -> dict[CorpusName, datetime]:
    """Return when ACLs of these corpora were last confirmed; one that holds no document is left out."""
    rows = connection.execute(_LAST_CONFIRMED, {"corpora": list(corpora)})
    return {CorpusName(corpus): moment for corpus, moment in rows}


def version_of(
    connection: Connection, corpus: CorpusName, number: int, *, for_update: bool = False
) -> StoredVersion | None:
    """Return one version, or None."""
    statement = _ONE_FOR_UPDATE if for_update else _ONE
    row = connection.execute(statement, {"corpus": corpus, "number": number}).one_or_none()
    return None if row is None else _stored(corpus, row)


def versions_named(
    connection: Connection, names: Collection[tuple[CorpusName, int]]
) -> dict[tuple[CorpusName, int], StoredVersion]:
    """Return those of these versions that there are, in one statement."""
    if not names:
        return {}
    values = {"corpora": [corpus for corpus, _ in names], "numbers": [number for _, number in names]}
    rows = connection.execute(_NAMED, values).all()
    return {(CorpusName(row.corpus), row.number): _stored(CorpusName(row.corpus), row) for row in rows}


def versions_of(
    connection: Connection, corpus: CorpusName, *, most: int, before: int | None = None
) -> tuple[StoredVersion, ...]:
    """Return versions below a number, newest first."""
    values = {"corpus": corpus, "before": before, "most": most}
    return tuple(_stored(corpus, row) for row in connection.execute(_PAGE, values))


def newest_version(connection: Connection, corpus: CorpusName, *states: VersionState) -> StoredVersion | None:
    """Return the version with the highest number in one of the states, or None."""
    row = connection.execute(_NEWEST, {"corpus": corpus, "states": [state.value for state in states]}).one_or_none()
    return None if row is None else _stored(corpus, row)


def insert_version(connection: Connection, version: StoredVersion) -> None:
    """Write a new version; the caller holds `lock_corpus` and took its number from it."""
    connection.execute(
        _INSERT,
        {
            "corpus": version.corpus,
            "number": version.number,
            "state": version.state.value,
            "parent": version.parent,
            "bitmap": version.bitmap,
            "digest": version.digest,
            "commitments": version.commitments,
            "summary": version.summary,
            "created_by": version.created_by,
            "created_at": version.created_at,
        },
    )
    connection.execute(_NUMBERED, {"corpus": version.corpus, "number": version.number})


def decide_version(connection: Connection, version: StoredVersion) -> None:
    """Record the state of a version and who decided it."""
    connection.execute(
        _DECIDE,
        {
            "corpus": version.corpus,
            "number": version.number,
            "state": version.state.value,
            "by": version.decided_by,
            "at": version.decided_at,
            "note": version.decision_note,
        },
    )


def supersede_earlier(connection: Connection, corpus: CorpusName, number: int) -> tuple[int, ...]:
    """Close earlier proposals when a later version is accepted; return their numbers."""
    rows: Sequence[int] = connection.execute(_SUPERSEDE, {"corpus": corpus, "number": number}).scalars().all()
    return tuple(sorted(rows))


def referenced_revisions(connection: Connection, corpus: CorpusName) -> BitMap:
    """Return every revision some version holds, whatever its state."""
    found = BitMap()
    for body in connection.execute(_BITMAPS, {"corpus": corpus}).scalars():
        found |= BitMap.deserialize(bytes(body))
    return found


def _stored(corpus: CorpusName, row: Row[tuple[object, ...]]) -> StoredVersion:
    values = {"corpus": corpus, **row._mapping}  # noqa: SLF001 - public despite its name (SQLAlchemy 2 documents it)
    values["state"] = VersionState(values["state"])
    values["bitmap"] = bytes(values["bitmap"])
    values["commitments"] = bytes(values["commitments"])
    return StoredVersion(**values)
