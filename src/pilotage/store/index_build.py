"""Opens the index of a corpus from PostgreSQL: a checked base segment on disk, and a delta in memory for what is new.

The index is never the record: it can always be built again. Rule: a base that holds a revision no longer live or
referenced is rewritten, vocabulary included, so a purge leaves nothing behind. Fail mode: an altered folder is rebuilt;
a snapshot beyond the memory limit is refused with the computed figure.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pyroaring import BitMap
from sqlalchemy import Connection, Engine

from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.core.ids import CorpusName
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.settings import CorpusSettings
from pilotage.retrieval.build import build_segment
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot
from pilotage.store.index_files import read_segment, write_segment
from pilotage.store.index_rows import (
    accepted_versions,
    count_chunks_of,
    live_revisions,
    read_chunks,
    read_visibility,
)
from pilotage.workspace.records import Workspace

_DELTA_SHARE: Final = 0.05
_DELTA_CHUNKS: Final = 20_000
# Measured on 100,000 chunks of 120 terms: mapped arrays and bitmaps, per chunk.
_BYTES_PER_CHUNK: Final = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFolder:
    """Where the segments of all corpora lie, and how many bytes of memory one snapshot may need (None: half of RAM)."""

    root: Path
    memory_limit: int | None = None

    def of(self, corpus: CorpusName) -> Path:
        """Return the folder of one corpus."""
        return self.root / corpus

    def check_memory(self, corpus: CorpusName, chunks: int) -> None:
        """Raise Unavailable when a snapshot of that many chunks would not fit."""
        limit = self.memory_limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        needed = chunks * _BYTES_PER_CHUNK
        if needed > limit:
            figures = f"about {needed:,} bytes for {chunks:,} chunks; the limit is {limit:,}"
            message = f"The index of {corpus} needs {figures}."
            hint = "Raise `index: memory_limit` in pilotage.yaml, add memory, or split the corpus."
            raise Unavailable("INDEX_MEMORY", message, hint=hint)


def open_index(engine: Engine, settings: CorpusSettings, folder: IndexFolder, *, earlier: Snapshot | None) -> Snapshot:
    """Return the index as it is committed now; segments of `earlier` are used again where they still fit."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        versions = accepted_versions(connection, settings.name)
        wanted = (BitMap.union(*versions.values()) if versions else BitMap()) & live_revisions(
            connection, settings.name
        )
        visibility = read_visibility(connection, settings.name, versions, acl_max_age=settings.acl_max_age)
        if earlier is not None and _revisions(earlier.segments) == wanted:
            return earlier.under(visibility)
        segments = _segments(connection, settings, folder, wanted)
    return Snapshot(segments=segments, visibility=visibility)


def _revisions(segments: tuple[Segment, ...]) -> BitMap:
    return BitMap.union(BitMap(), *(BitMap(segment.revs.tolist()) for segment in segments))


def _segments(
    connection: Connection, settings: CorpusSettings, folder: IndexFolder, wanted: BitMap
) -> tuple[Segment, ...]:
    corpus = settings.name
    folder.check_memory(corpus, count_chunks_of(connection, corpus, wanted))
    with _building(folder.of(corpus)):
        base = _newest_base(folder.of(corpus), settings)
        if base is not None:
            held = BitMap(base.revs.tolist())
            fresh = wanted - held
            if not held - wanted and _is_small(count_chunks_of(connection, corpus, fresh), base.chunks):
                return (base, _build(connection, settings, fresh)) if fresh else (base,)
        return (_rebuild(connection, settings, folder.of(corpus), wanted),)


def _is_small(delta: int, base: int) -> bool:
    return delta <= min(max(base * _DELTA_SHARE, 1), _DELTA_CHUNKS)


def _build(connection: Connection, settings: CorpusSettings, revs: BitMap) -> Segment:
    return build_segment(read_chunks(connection, settings.name, list(revs), language=settings.language))


def _rebuild(connection: Connection, settings: CorpusSettings, folder: Path, wanted: BitMap) -> Segment:
    segment = _build(connection, settings, wanted)
    names = _bases(folder)
    number = int(names[-1].name.removeprefix("base-")) + 1 if names else 1
    target = folder / f"base-{number:08d}"
    write_segment(segment, target, corpus=settings.name, analyser=_rule(settings))
    for old in names:
        # Processes that map the old files keep them until they close; the names are gone at once.
        shutil.rmtree(old, ignore_errors=True)
    return read_segment(target, corpus=settings.name, analyser=_rule(settings))


def _bases(folder: Path) -> list[Path]:
    return sorted(folder.glob("base-*"))


def _rule(settings: CorpusSettings) -> str:
    """Name the rule that cut a corpus into terms: under another language the same analyser gives other terms."""
    return f"{ANALYSER_ID} {settings.language}"


def _newest_base(folder: Path, settings: CorpusSettings) -> Segment | None:
    for path in reversed(_bases(folder)):
        try:
            segment = read_segment(path, corpus=settings.name, analyser=_rule(settings))
        except IntegrityError:
            shutil.rmtree(path, ignore_errors=True)
        else:
            for old in _bases(folder):  # a process that was killed after it wrote this one left them
                if old.name < path.name:
                    shutil.rmtree(old, ignore_errors=True)
            return segment if np.all(np.diff(segment.revs.astype(np.int64)) > 0) else None
    return None


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Let one process at a time write the folder; the others wait and then read what it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in folder.glob(".base-*"):  # half written by a process that was killed: it may hold purged words
            shutil.rmtree(left, ignore_errors=True)
        yield


def index_folder(workspace: Workspace, home: Path, *, root: Path | None = None) -> IndexFolder:
    """Return where the segments of an instance lie (`root` for a copy elsewhere), and what one may need."""
    return IndexFolder(root=root or home / "indexes", memory_limit=workspace.index.memory_limit)
