"""The index snapshots of this process: loaded, kept current, and swapped whole while requests go on.

A notification or the one-second poll finds that a corpus moved. Permissions are followed at once, in about a
millisecond; segments are built beside the serving, and the reference is replaced when they are ready. A request keeps
the snapshot it began with; the old one closes when its last request ends. Fail mode: a corpus that could not be loaded
has no snapshot, requests for it are refused, and `/readyz` says so; a build that failed is tried again every second
while the old segments serve under current permissions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import NamedTuple

from pyroaring import BitMap
from sqlalchemy import Engine, text

from pilotage.core.errors import PilotageError, Unavailable
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import CorpusSettings
from pilotage.release.assemble import CorpusPin
from pilotage.release.content import ReleaseContent
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.space.settings import Space
from pilotage.store.embeddings import count_missing
from pilotage.store.index_build import IndexFolder, open_index
from pilotage.store.index_follow import Follower
from pilotage.store.index_retire import remove_retired

logger = logging.getLogger(__name__)

POLL_S = 1.0
FREE_S = 3600.0
IDLE_S = 900.0
"""How long an index that no loaded release names stays after somebody asked for it."""
_COUNTS = text("SELECT name, generation, confirmations FROM corpus")


class IndexName(NamedTuple):
    """One index of a corpus: of its words alone, or with vectors beside them."""

    corpus: CorpusName
    vectors: Vectors | None = None


class Indexes:
    """Snapshots by corpus and vectors. All methods belong to one event loop; the store is read in threads.

    Every declared corpus has its index of words; one with vectors is opened for the first release that needs it.
    `moved` is told the generation of every snapshot that comes into use.
    """

    def __init__(
        self,
        engine: Engine,
        corpora: Mapping[CorpusName, CorpusSettings],
        folder: IndexFolder,
        *,
        opened: Mapping[CorpusName, Snapshot] | None = None,
        moved: Callable[[CorpusName, int], object] = lambda _corpus, _generation: None,
    ) -> None:
        self._engine = engine
        self._corpora = corpora
        self._folder = folder
        self._follower = Follower(engine, corpora)
        self._snapshots = {IndexName(corpus): snapshot for corpus, snapshot in (opened or {}).items()}
        self._incomplete: set[IndexName] = set()
        self._builds: dict[IndexName, asyncio.Task[None]] = {}
        self._refused: dict[IndexName, str] = {}
        self._asked: dict[IndexName, float] = {}
        self._freed_at = monotonic()
        self._building: defaultdict[IndexName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._following: defaultdict[IndexName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._woken = asyncio.Event()
        self._heard: set[CorpusName] = set()
        self._tell = moved

    def snapshot(self, corpus: CorpusName, vectors: Vectors | None = None) -> Snapshot | None:
        """Return the current snapshot, None while there is none."""
        name = IndexName(corpus, vectors)
        self._asked[name] = monotonic()
        return self._snapshots.get(name)

    def refusal(self, corpus: CorpusName, vectors: Vectors | None = None) -> str | None:
        """Return why the newest segments could not be opened, while older ones serve; None when they were."""
        return self._refused.get(IndexName(corpus, vectors))

    def is_ready(self, corpus: CorpusName, version: int, vectors: Vectors | None = None) -> bool:
        """Tell whether a version of a corpus can be searched here."""
        found = self.snapshot(corpus, vectors)
        return found is not None and version in found.visibility.versions

    def can_search(self, content: ReleaseContent, space: Space) -> bool:
        """Tell whether a release's documents can be searched here for a space, or that it has none."""
        pin = content.corpora.get(space.data_stage)
        return pin is None or self.is_ready(pin.name, pin.version, content.retrieval.vectors_of(space.data_stage))

    async def prepare(self, content: ReleaseContent) -> None:
        """Make the documents of a release searchable, of every stage; raise Unavailable when they cannot be opened."""
        for stage, pin in content.corpora.items():
            vectors = content.retrieval.vectors_of(stage)
            if vectors is not None:
                # Also where there is an index: sealing may have added vectors of revisions it holds without.
                await self.refresh(pin.name, vectors)
                await asyncio.to_thread(self._check_vectors, pin, vectors)
            elif not self.is_ready(pin.name, pin.version):
                await self.refresh(pin.name)

    def _check_vectors(self, pin: CorpusPin, vectors: Vectors) -> None:
        snapshot = self.snapshot(pin.name, vectors)
        seen = BitMap() if snapshot is None else snapshot.visibility.versions.get(pin.version, BitMap())
        live = BitMap() if snapshot is None else seen & snapshot.visibility.live
        with self._engine.connect() as connection:
            bare = count_missing(connection, pin.name, vectors.key, live)
        if bare:
            message = f"{bare} passages of {pin.name}@{pin.version} have no vector of this release's model."
            raise Unavailable("VECTORS_MISSING", message, hint="Run `pilotage release seal`: it computes them.")

    def wake(self) -> None:
        """Look for moved corpora now: the listener reconnected, or a request met a permission that had moved."""
        self._woken.set()

    def hear(self, payload: str) -> None:
        """Take a notification, `corpus:generation`: that corpus is followed without looking at the others first."""
        self._heard.add(CorpusName(payload.partition(":")[0]))
        self._woken.set()

    async def refresh(self, corpus: CorpusName, vectors: Vectors | None = None) -> None:
        """Open an index of a corpus as it is committed now; raise Unavailable when it cannot be opened."""
        name = IndexName(corpus, vectors)
        self._asked[name] = monotonic()
        async with self._building[name]:
            try:
                opened = await asyncio.to_thread(self._open, name, self._snapshots.get(name))
            except PilotageError as error:
                self._refused[name] = f"{error.code}: {error.message}"
                raise
            self._refused.pop(name, None)
            # Permissions that moved while segments were built are applied before anybody sees them.
            await self._swap(name, opened)

    def _open(self, name: IndexName, earlier: Snapshot | None) -> Snapshot:
        settings = self._corpora[name.corpus]
        return open_index(self._engine, settings, self._folder, earlier=earlier, vectors=name.vectors)

    async def follow(self, corpus: CorpusName) -> None:
        """Apply changed or confirmed permissions and takedowns of a loaded corpus."""
        for name in self._of(corpus):
            await self._swap(name, None)

    def _of(self, corpus: CorpusName) -> list[IndexName]:
        return [name for name in self._snapshots if name.corpus == corpus]

    async def _swap(self, name: IndexName, opened: Snapshot | None) -> None:
        async with self._following[name]:
            current = opened or self._snapshots.get(name)
            if current is None:
                return  # freed meanwhile
            followed = await asyncio.to_thread(self._follower.follow, name.corpus, current)
            self._snapshots[name] = followed.snapshot
            self._tell(name.corpus, followed.snapshot.visibility.generation)
            if not followed.is_complete:
                self._incomplete.add(name)
            elif opened is not None:
                self._incomplete.discard(name)

    async def catch_up(self) -> None:
        """Follow every declared corpus that moved, and start the builds that are due."""
        moved, self._heard = self._heard & {name.corpus for name in self._snapshots} & self._corpora.keys(), set()
        for corpus in moved or await self._moved():
            await self.follow(corpus)
            if IndexName(corpus) not in self._snapshots:
                self._incomplete.add(IndexName(corpus))
        for name in self._incomplete - self._builds.keys():
            self._builds[name] = asyncio.create_task(self._build(name), name=f"index of {name.corpus}")

    async def free(self, loaded: Iterable[ReleaseContent]) -> None:
        """Let go of indexes with vectors that no loaded release names and nobody asked for lately, then of folders."""
        named = {
            IndexName(pin.name, content.retrieval.vectors_of(stage))
            for content in loaded
            for stage, pin in content.corpora.items()
        }
        old = monotonic() - IDLE_S
        for name in [one for one in self._snapshots if one.vectors is not None and one not in named]:
            async with self._following[name]:
                is_idle = self._asked.get(name, 0.0) < old and name not in self._builds
                if is_idle:
                    del self._snapshots[name]
            if is_idle:
                for kept in (self._asked, self._refused, self._building, self._following):
                    kept.pop(name, None)
                self._incomplete.discard(name)
        await asyncio.to_thread(self._remove_retired)

    def _remove_retired(self) -> None:
        with self._engine.connect() as connection:
            remove_retired(connection, self._folder, self._corpora)

    async def settle(self) -> None:
        """Wait for the builds under way."""
        await asyncio.gather(*self._builds.values())

    async def run(self, loaded: Callable[[], Iterable[ReleaseContent]] = tuple) -> None:
        """Keep up until cancelled: on every wake-up, and once a second where a notification was lost.

        `loaded` are the releases this process answers with; what none of them names is freed by the hour.
        """
        try:
            while True:
                await self._round(loaded)
        finally:
            for build in self._builds.values():
                build.cancel()
            await asyncio.gather(*self._builds.values(), return_exceptions=True)
            self.close()

    def close(self) -> None:
        """Give the store's connection back."""
        self._follower.close()

    async def _round(self, loaded: Callable[[], Iterable[ReleaseContent]]) -> None:
        try:
            await self.catch_up()
            if monotonic() - self._freed_at > FREE_S:
                self._freed_at = monotonic()
                await self.free(loaded())
        except Exception as error:  # noqa: BLE001 - a worker loop: the store is away, the next round tries again
            logger.warning("indexes: %s", error)
        try:
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with the wake-up.
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def _build(self, name: IndexName) -> None:
        try:
            await self.refresh(*name)
        except PilotageError as error:
            logger.error("index of %s: %s", name.corpus, error)  # noqa: TRY400 - the message says all there is
        except Exception as error:  # noqa: BLE001 - a worker loop: the store is away, the next round tries again
            logger.warning("index of %s: %s", name.corpus, error)
        finally:
            del self._builds[name]

    async def _moved(self) -> list[CorpusName]:
        counts = await asyncio.to_thread(self._counts)
        return [corpus for corpus in self._corpora if corpus in counts and self._is_behind(corpus, *counts[corpus])]

    def _is_behind(self, corpus: CorpusName, generation: int, confirmations: int) -> bool:
        if IndexName(corpus) not in self._snapshots:
            return True
        return any(_differs(self._snapshots[name], generation, confirmations) for name in self._of(corpus))

    def _counts(self) -> dict[str, tuple[int, int]]:
        with self._engine.connect() as connection:
            return {row.name: (row.generation, row.confirmations) for row in connection.execute(_COUNTS)}


def _differs(snapshot: Snapshot, generation: int, confirmations: int) -> bool:
    standing = snapshot.visibility.standing
    if snapshot.visibility.generation != generation:
        return True
    return standing is not None and standing.confirmations != confirmations
