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
from typing import IO, Final

import numpy as np
from pyroaring import BitMap
from sqlalchemy import Connection, Engine

from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.core.ids import CorpusName
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.settings import CorpusSettings
from pilotage.retrieval.build import build_segment, with_cells
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.store.embeddings import count_held, load_cells
from pilotage.store.index_files import model_of, read_segment, write_segment
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
_BYTES_PER_NUMBER: Final = 4
_VECTORS: Final = "vectors-"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFolder:
    """Where the segments of all corpora lie, and how many bytes of memory one snapshot may need (None: half of RAM)."""

    root: Path
    memory_limit: int | None = None

    def of(self, corpus: CorpusName, vectors: Vectors | None = None) -> Path:
        """Return the folder of one corpus, or of its index with these vectors."""
        folder = self.root / corpus
        return folder if vectors is None else folder / f"{_VECTORS}{digest_of(vectors.name.encode())[7:31]}"

    def with_vectors(self, corpus: CorpusName) -> list[Path]:
        """Return the folders of a corpus's indexes with vectors, whichever."""
        return sorted(self.of(corpus).glob(f"{_VECTORS}*"))

    def check_memory(self, corpus: CorpusName, chunks: int, *, dimension: int = 0) -> None:
        """Raise Unavailable when a snapshot of that many chunks would not fit."""
        limit = self.memory_limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        needed = chunks * (_BYTES_PER_CHUNK + _BYTES_PER_NUMBER * dimension)
        if needed > limit:
            figures = f"about {needed:,} bytes for {chunks:,} chunks; the limit is {limit:,}"
            message = f"The index of {corpus} needs {figures}."
            hint = "Raise `index: memory_limit` in pilotage.yaml, add memory, or split the corpus."
            raise Unavailable("INDEX_MEMORY", message, hint=hint)


def open_index(
    engine: Engine,
    settings: CorpusSettings,
    folder: IndexFolder,
    *,
    earlier: Snapshot | None,
    vectors: Vectors | None = None,
) -> Snapshot:
    """Return the index as it is committed now; segments of `earlier` are used again where they still fit."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        versions = accepted_versions(connection, settings.name)
        wanted = (BitMap.union(*versions.values()) if versions else BitMap()) & live_revisions(
            connection, settings.name
        )
        visibility = read_visibility(connection, settings.name, versions, acl_max_age=settings.acl_max_age)
        build = _Build(connection=connection, settings=settings, vectors=vectors)
        if earlier is not None and _revisions(earlier.segments) == wanted and build.has_all(earlier.segments, wanted):
            return earlier.under(visibility)
        segments = build.segments(folder, wanted)
    return Snapshot(segments=segments, visibility=visibility)


def open_every(engine: Engine, settings: CorpusSettings, folder: IndexFolder) -> None:
    """Bring every index of a corpus on disk to what is committed now; one nobody can name is removed."""
    open_index(engine, settings, folder, earlier=None)
    for path in folder.with_vectors(settings.name):
        with _building(path):  # one that another process is writing has no name before it is written
            vectors = _vectors_in(path)
            if vectors is None:
                shutil.rmtree(path, ignore_errors=True)
        if vectors is not None:
            open_index(engine, settings, folder, earlier=None, vectors=vectors)


def _revisions(segments: tuple[Segment, ...]) -> BitMap:
    return BitMap.union(BitMap(), *(BitMap(segment.revs.tolist()) for segment in segments))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """One opening: what is read, of which corpus, with which vectors."""

    connection: Connection
    settings: CorpusSettings
    vectors: Vectors | None

    def has_all(self, segments: tuple[Segment, ...], revs: BitMap) -> bool:
        """Tell whether these segments hold every vector there is by now of these revisions."""
        if self.vectors is None:
            return True
        held = sum(int(np.count_nonzero(one.has_vector)) for one in segments if one.has_vector is not None)
        return held == count_held(self.connection, self.settings.name, self.vectors.key, revs)

    def segments(self, folder: IndexFolder, wanted: BitMap) -> tuple[Segment, ...]:
        corpus = self.settings.name
        chunks = count_chunks_of(self.connection, corpus, wanted)
        folder.check_memory(corpus, chunks, dimension=0 if self.vectors is None else self.vectors.dimension)
        place = folder.of(corpus, self.vectors)
        with _building(place):
            base = self._newest_base(place)
            if base is not None:
                held = BitMap(base.revs.tolist())
                fresh = wanted - held
                is_kept = not held - wanted and _is_small(count_chunks_of(self.connection, corpus, fresh), base.chunks)
                if is_kept and self.has_all((base,), held):
                    return (base, self._made(fresh)) if fresh else (base,)
            return (self._rebuilt(place, wanted),)

    def _made(self, revs: BitMap) -> Segment:
        corpus, vectors, language = self.settings.name, self.vectors, self.settings.language
        if vectors is None:
            return build_segment(read_chunks(self.connection, corpus, list(revs), language=language))
        chunks = read_chunks(self.connection, corpus, list(revs), language=language, model=vectors.key)
        segment = build_segment(chunks, dimension=vectors.dimension)
        return segment if vectors.cells is None else with_cells(segment, load_cells(self.connection, vectors.cells))

    def _rebuilt(self, folder: Path, wanted: BitMap) -> Segment:
        segment = self._made(wanted)
        names = _bases(folder)
        number = int(names[-1].name.removeprefix("base-")) + 1 if names else 1
        target = folder / f"base-{number:08d}"
        write_segment(segment, target, corpus=self.settings.name, analyser=self._rule, model=self._model)
        for old in names:
            # Processes that map the old files keep them until they close; the names are gone at once.
            shutil.rmtree(old, ignore_errors=True)
        return self._read(target)

    def _read(self, path: Path) -> Segment:
        return read_segment(path, corpus=self.settings.name, analyser=self._rule, model=self._model)

    @property
    def _rule(self) -> str:
        """The rule that cut a corpus into terms: under another language the same analyser gives other terms."""
        return f"{ANALYSER_ID} {self.settings.language}"

    @property
    def _model(self) -> str | None:
        return None if self.vectors is None else f"{self.vectors.dimension} {self.vectors.name}"

    def _newest_base(self, folder: Path) -> Segment | None:
        for path in reversed(_bases(folder)):
            try:
                segment = self._read(path)
            except IntegrityError:
                shutil.rmtree(path, ignore_errors=True)
            else:
                for old in _bases(folder):  # a process that was killed after it wrote this one left them
                    if old.name < path.name:
                        shutil.rmtree(old, ignore_errors=True)
                return segment if np.all(np.diff(segment.revs.astype(np.int64)) > 0) else None
        return None


def _is_small(delta: int, base: int) -> bool:
    return delta <= min(max(base * _DELTA_SHARE, 1), _DELTA_CHUNKS)


def _bases(folder: Path) -> list[Path]:
    return sorted(folder.glob("base-*"))


def _vectors_in(folder: Path) -> Vectors | None:
    """Return which vectors a folder's newest index holds, None when it does not say."""
    for path in reversed(_bases(folder)):
        dimension, _, names = (model_of(path) or "").partition(" ")
        key, _, cells = names.partition(" ")
        if dimension.isdecimal() and key:
            return Vectors(key=Digest(key), dimension=int(dimension), cells=Digest(cells) if cells else None)
    return None


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Let one process at a time write the folder; the others wait and then read what it wrote."""
    with _locked(folder):
        for left in folder.glob(".base-*"):  # half written by a process that was killed: it may hold purged words
            shutil.rmtree(left, ignore_errors=True)
        yield


def remove_index(folder: Path) -> None:
    """Remove one folder of an index, once nobody writes it."""
    with _locked(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> IO[str]:
    """Return the folder's lock, held until it is closed; one that was removed with its folder meanwhile is none."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def index_folder(workspace: Workspace, home: Path, *, root: Path | None = None) -> IndexFolder:
    """Return where the segments of an instance lie (`root` for a copy elsewhere), and what one may need."""
    return IndexFolder(root=root or home / "indexes", memory_limit=workspace.index.memory_limit)
