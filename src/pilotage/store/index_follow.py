"""Follows what changes for readers: current permissions on the segments a process already has.

One short statement on a connection of its own, so that neither a build nor busy requests delay a revocation; after a
confirmation of ACLs that age, a second one. Fail mode: an error closes the connection and is raised; the caller tries
again, and the last wall holds meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import Final

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import Connection, Engine

from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import CorpusSettings
from pilotage.retrieval.allowed import DocumentRow, Visibility, change_documents
from pilotage.retrieval.snapshot import Snapshot
from pilotage.retrieval.standing import Standing, make_standing
from pilotage.store.index_rows import CONFIRMED, bitmaps_by_moment, document_row

# One statement, so that generation, versions and documents belong to one moment.
_CHANGES: Final = """
SELECT c.generation, c.confirmations,
       ARRAY(SELECT v.number FROM corpus_version v WHERE v.corpus = c.name AND v.state = 'accepted'),
       d.id, d.acl, d.classification, d.region, d.tombstone IS NULL
  FROM corpus c LEFT JOIN document d ON d.corpus = c.name AND d.changed > %(since)s WHERE c.name = %(corpus)s
"""
_CONFIRMED: Final = CONFIRMED.format(corpus="%(corpus)s").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed since a generation: the one now, the accepted versions, and documents with new facts.

    `confirmations` counts those of the corpus's ACLs.
    """

    generation: int
    confirmations: int
    versions: frozenset[int]
    documents: tuple[DocumentRow, ...]


def read_changes(connection: psycopg.Connection[TupleRow], corpus: CorpusName, *, since: int) -> Changes:
    """Return what changed after a generation; a corpus that is gone has no version."""
    rows = connection.execute(_CHANGES, {"corpus": corpus, "since": since}).fetchall()
    return Changes(
        generation=rows[0][0] if rows else since,
        confirmations=rows[0][1] if rows else 0,
        versions=frozenset(rows[0][2]) if rows else frozenset(),
        documents=tuple(document_row(row[3:]) for row in rows if row[3] is not None),
    )


def _standing(
    connection: psycopg.Connection[TupleRow],
    corpus: CorpusName,
    before: Standing | None,
    changes: Changes,
    max_age: timedelta,
) -> Standing:
    """Read how long ACLs stand, unless nobody confirmed any since; a confirmation meanwhile is read again next time."""
    if before is not None and before.confirmations == changes.confirmations:
        return before
    rows = connection.execute(_CONFIRMED, {"corpus": corpus})
    return make_standing(changes.confirmations, bitmaps_by_moment(rows), max_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A snapshot with the permissions of this moment. `is_complete` tells whether its segments are the wanted ones."""

    snapshot: Snapshot
    is_complete: bool


class Follower:
    """Brings snapshots to the present; may be called from several threads. `corpora` say how long ACLs stand."""

    def __init__(self, engine: Engine, corpora: Mapping[CorpusName, CorpusSettings]) -> None:
        self._engine = engine
        self._corpora = corpora
        self._opened: tuple[Connection, psycopg.Connection[TupleRow]] | None = None
        self._alone = Lock()
        self._is_closed = False

    def follow(self, corpus: CorpusName, earlier: Snapshot) -> Followed:
        """Apply what changed since `earlier`, without touching a segment; what was decided is kept where nothing did.

        Incomplete: a version was accepted, or a takedown's text is still inside a segment (and invisible).
        """
        before = earlier.visibility
        changes, standing = self._read(corpus, before)
        is_complete = changes.versions == before.versions.keys() and all(one.is_live for one in changes.documents)
        if changes.generation == before.generation and not changes.documents and standing is before.standing:
            return Followed(snapshot=earlier, is_complete=is_complete)
        visibility = replace(change_documents(before, changes.generation, changes.documents), standing=standing)
        return Followed(snapshot=earlier.under(visibility), is_complete=is_complete)

    def close(self) -> None:
        """Close the connection for good: a thread that nobody waits for any more finds it closed."""
        with self._alone:
            self._is_closed = True
            self._drop()

    def _read(self, corpus: CorpusName, before: Visibility) -> tuple[Changes, Standing | None]:
        max_age = self._corpora[corpus].acl_max_age
        with self._alone:
            try:
                driver = self._driver()
                changes = read_changes(driver, corpus, since=before.generation)
                standing = None if max_age is None else _standing(driver, corpus, before.standing, changes, max_age)
            except BaseException:
                self._drop()
                raise
        return changes, standing

    def _driver(self) -> psycopg.Connection[TupleRow]:
        """Return the driver's own connection: the statement takes a quarter of its time through SQLAlchemy."""
        if self._is_closed:
            raise psycopg.OperationalError("This process does not follow its corpora any more.")
        if self._opened is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            # It never goes back to the pool: here the one statement is planned once, for planning it outlasts its run.
            connection.detach()
            self._opened = connection, driver
            driver.prepare_threshold = 0
            driver.execute("SET plan_cache_mode = force_generic_plan")
        return self._opened[1]

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()
