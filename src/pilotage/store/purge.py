"""Getting bytes off the disk after rows were deleted: rewrite tables, turn the write-ahead log over, scan the files.

DELETE and plain VACUUM leave bytes in the files (measured); VACUUM FULL and a fresh log do not. Column statistics keep
samples of text, so they are rewritten too. Fail mode: a lock that is not had within 30 s, or a full disk, raises
Unavailable: the document stays hidden and the purge is tried again.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
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
_SESSION: Final = ("SET statement_timeout = 0", "SET lock_timeout = '30s'", "SET maintenance_work_mem = '64MB'")


def rewrite_tables(engine: Engine, corpus: CorpusName, *, is_embedded: bool) -> None:
    """Rewrite every table that held text of the corpus, and the statistics over them."""
    tables = [f'"chunk_text_{corpus}"', *_TABLES]
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in _SESSION:
                connection.execute(text(statement))
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
