"""Getting bytes off the disk after rows were deleted: rewrite tables, turn the write-ahead log over, scan the files.

DELETE and plain VACUUM leave bytes in the files (measured); VACUUM FULL and a fresh log do not, once no transaction is
left that could still see the rows: a table is not rewritten before. Column statistics keep samples of text, so they are
rewritten too. Fail mode: an older transaction that does not end within 5 minutes, a lock that is not had within 30 s,
or a full disk raises Unavailable: the document stays hidden and the purge is tried again.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from pilotage.core.errors import Unavailable
from pilotage.core.ids import CorpusName

_TABLES: Final = (
    "chunk",
    "revision",
    "document",
    "embedding",
    "interaction_text",
    "idempotency",
    "feedback",
    "ledger_disclosure",
    "golden_candidate",
    "evaluation_generation",
    "evaluation_assessment",
    "rollout_pair_text",
)
_OLDER_S: Final = 300.0
_LOOK_S: Final = 0.05
_MARK: Final = text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
# What VACUUM heeds when it decides whether a deleted row may go: snapshots and writers of this database, prepared
# transactions, standbys that report theirs. `age` orders transactions across a wraparound.
_OLDER: Final = text("""
    SELECT who FROM (
      SELECT coalesce(nullif(application_name, ''), backend_type) || ', process ' || pid AS who,
             greatest(coalesce(age(backend_xid), -1), coalesce(age(backend_xmin), -1)) AS behind
      FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE 'autovacuum: VACUUM%'
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
      UNION ALL SELECT 'prepared transaction ' || gid, age(transaction) FROM pg_prepared_xacts
      WHERE database = current_database()
      UNION ALL SELECT 'replication slot ' || slot_name, age(xmin) FROM pg_replication_slots WHERE xmin IS NOT NULL
    ) one WHERE behind > age(CAST(CAST(:mark AS xid8) AS xid)) ORDER BY behind DESC, who LIMIT 1
    """)
_SESSION: Final = ("SET statement_timeout = 0", "SET lock_timeout = '30s'", "SET maintenance_work_mem = '64MB'")


def rewrite_tables(engine: Engine, corpus: CorpusName, *, is_embedded: bool) -> None:
    """Rewrite every table that held text of the corpus, and the statistics over them."""
    tables = [f'"chunk_text_{corpus}"', *_TABLES]
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in _SESSION:
                connection.execute(text(statement))
            _await_older(connection, corpus)
            for table in tables:
                connection.execute(text(f"VACUUM (FULL, ANALYZE) {table}"))
            if is_embedded:
                connection.execute(text("VACUUM FULL pg_catalog.pg_statistic"))
                _turn_log_over(connection)
    except DBAPIError as error:
        message = f"The tables of {corpus} could not be rewritten: {str(error.orig).strip().splitlines()[0]}."
        raise Unavailable(
            "PURGE_WAITS", message, hint="The document stays hidden; the purge is tried again."
        ) from error


def _await_older(connection: Connection, corpus: CorpusName) -> None:
    """Return when every transaction that began before now has ended: VACUUM copies what one of them could still see."""
    mark = connection.execute(_MARK).scalar_one()
    until = monotonic() + _OLDER_S
    while (oldest := connection.execute(_OLDER, {"mark": mark}).scalar()) is not None:
        if monotonic() > until:
            message = f"The tables of {corpus} were not rewritten: {oldest} may still read what was erased."
            hint = "End its transaction. The document stays hidden; the purge is tried again."
            raise Unavailable("PURGE_WAITS", message, hint=hint)
        sleep(_LOOK_S)


def _turn_log_over(connection: Connection) -> None:
    connection.execute(text("CHECKPOINT"))
    connection.execute(text("SELECT pg_switch_wal()"))
    connection.execute(text("CHECKPOINT"))
    connection.execute(text("SELECT pg_switch_wal()"))
    connection.execute(text("CHECKPOINT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a search of files found. `files_with_hits` are relative to the folder."""

    files: int
    bytes: int
    hits: int
    files_with_hits: tuple[str, ...]


def scan_folder(folder: Path, shingles: Sequence[bytes]) -> Scan:
    """Search every file below a folder for every shingle."""
    files = size = hits = 0
    named: list[str] = []
    for path in _files(folder):
        try:
            length, found = _scan_file(path, shingles)
        except FileNotFoundError:
            continue  # The server removes its own files while we look.
        files, size, hits = files + 1, size + length, hits + found
        if found:
            named.append(str(path.relative_to(folder)))
    return Scan(files=files, bytes=size, hits=hits, files_with_hits=tuple(named))


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _scan_file(path: Path, shingles: Sequence[bytes]) -> tuple[int, int]:
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if not length:
            return 0, 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return length, sum(data.find(shingle) >= 0 for shingle in shingles)
