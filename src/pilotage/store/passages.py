"""The last wall: passage text leaves the store only through one statement that joins the current permissions.

Rule: a passage is returned when its document is live, one of the asker's names stands in its ACL now, that ACL is not
past its age, and the version holds its revision. Fail mode: a row that does not come back was not allowed; callers
treat it as lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName

Place: TypeAlias = tuple[int, int]
"""(rev, ordinal)."""

_WALL: Final = """
SELECT c.rev, c.ordinal, d.id, d.title, r.title, d.uri, c.section, t.heading, t.body, r.effective_from::text
  FROM unnest({revs}::bigint[], {ordinals}::int[]) AS wanted (rev, ordinal)
  JOIN chunk c ON c.corpus = {corpus} AND c.rev = wanted.rev AND c.ordinal = wanted.ordinal
  JOIN revision r ON r.corpus = c.corpus AND r.rev = c.rev
  JOIN document d ON d.corpus = r.corpus AND d.id = r.document
  JOIN chunk_text t ON t.corpus = c.corpus AND t.content_hash = c.content_hash
 WHERE d.tombstone IS NULL AND d.acl && {names}::text[] AND ({also}::text[] IS NULL OR d.acl && {also}::text[])
   AND ({confirmed_since}::timestamptz IS NULL OR d.acl_confirmed_at >= {confirmed_since})
   AND ({version}::int IS NULL OR EXISTS (SELECT FROM corpus_version v
        WHERE v.corpus = c.corpus AND v.number = {version} AND v.state = 'accepted' AND bitmap_holds(v.bitmap, c.rev)))
"""
# One statement, so that texts and generation are of one moment; the corpus has a row also when the wall shows nothing.
_SHOWN: Final = """
SELECT g.generation, shown.* FROM corpus g LEFT JOIN LATERAL ({wall}) shown ON true WHERE g.name = {corpus}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassage:
    """A chunk with its text, as the asker may see it at this moment."""

    rev: int
    ordinal: int
    document: str
    title: str
    uri: str | None
    section: str
    heading: str
    text: str
    effective_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose permissions count: the asker's ACL names, and those of a service acting for them.

    ACLs confirmed before `confirmed_since` do not count; None: the corpus has no limit. `version` None leaves open
    which version the passages stand in.
    """

    names: frozenset[str]
    confirmed_since: datetime | None
    also: frozenset[str] | None = None
    version: int | None = None


_MARKS: Final = ("revs", "ordinals", "corpus", "names", "also", "confirmed_since", "version")


def _statement(statement: str, style: str) -> str:
    marks = {name: style.format(name) for name in _MARKS}
    return statement.format(**marks)


_ASYNC: Final = _statement(_SHOWN.replace("{wall}", _WALL), "%({})s").encode()
_SYNC: Final = text(_statement(_WALL, "(:{})").replace(")::", ") ::"))


def _values(corpus: CorpusName, places: Sequence[Place], reader: Reader) -> dict[str, object]:
    return {
        "corpus": corpus,
        "revs": [rev for rev, _ in places],
        "ordinals": [ordinal for _, ordinal in places],
        "names": sorted(reader.names),
        "also": None if reader.also is None else sorted(reader.also),
        "confirmed_since": reader.confirmed_since,
        "version": reader.version,
    }


def read_passages(
    connection: Connection, corpus: CorpusName, places: Sequence[Place], reader: Reader
) -> dict[Place, StoredPassage]:
    """Return the passages the reader may see now, by place; the others are missing."""
    rows = connection.execute(_SYNC, _values(corpus, places, reader))
    return {(row[0], row[1]): _passage(tuple(row)) for row in rows}


async def fetch_passages(
    connection: AsyncConnection[TupleRow], corpus: CorpusName, places: Sequence[Place], reader: Reader
) -> tuple[dict[Place, StoredPassage], int | None]:
    """Return the passages the reader may see now, by place, and the corpus's generation; others are missing."""
    cursor = await connection.execute(_ASYNC, _values(corpus, places, reader))
    rows = await cursor.fetchall()
    shown = {(row[1], row[2]): _passage(row[1:]) for row in rows if row[1] is not None}
    return shown, int(rows[0][0]) if rows else None


def _passage(row: Sequence[object]) -> StoredPassage:
    rev, ordinal, document, title, revised, uri, section, heading, body, effective = row
    return StoredPassage(
        rev=int(str(rev)),
        ordinal=int(str(ordinal)),
        document=str(document),
        title=str(revised or title),
        uri=None if uri is None else str(uri),
        section=str(section),
        heading=str(heading),
        text=str(body),
        effective_from=None if effective is None else str(effective),
    )
