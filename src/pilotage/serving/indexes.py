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
from collections.abc import Callable, Mapping

from sqlalchemy import Engine, text

from pilotage.core.errors import PilotageError
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import CorpusSettings
from pilotage.release.content import ReleaseContent
from pilotage.retrieval.snapshot import Snapshot
from pilotage.space.settings import Space
from pilotage.store.index_build import IndexFolder, open_index
from pilotage.store.index_follow import Follower

logger = logging.getLogger(__name__)

POLL_S = 1.0
_COUNTS = text("SELECT name, generation, confirmations FROM corpus")


class Indexes:
    """Snapshots by corpus. All methods belong to one event loop; the store is read in threads.

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
        self._snapshots = dict(opened or {})
        self._incomplete: set[CorpusName] = set()
        self._builds: dict[CorpusName, asyncio.Task[None]] = {}
        self._building = {name: asyncio.Lock() for name in corpora}
        self._following = {name: asyncio.Lock() for name in corpora}
        self._woken = asyncio.Event()
        self._heard: set[CorpusName] = set()
        self._tell = moved

    def snapshot(self, corpus: CorpusName) -> Snapshot | None:
        """Return the current snapshot, None while there is none."""
        return self._snapshots.get(corpus)

    def is_ready(self, corpus: CorpusName, version: int) -> bool:
        """Tell whether a version of a corpus can be searched here."""
        found = self._snapshots.get(corpus)
        return found is not None and version in found.visibility.versions

    def can_search(self, content: ReleaseContent, space: Space) -> bool:
        """Tell whether a release's documents can be searched here for a space, or that it has none."""
        pin = content.corpora.get(space.data_stage)
        return pin is None or self.is_ready(pin.name, pin.version)

    async def prepare(self, content: ReleaseContent) -> None:
        """Make the documents of a release searchable, of every stage; raise Unavailable when they cannot be opened."""
        for pin in content.corpora.values():
            if not self.is_ready(pin.name, pin.version):
                await self.refresh(pin.name)

    def wake(self) -> None:
        """Look for moved corpora now: the listener reconnected, or a request met a permission that had moved."""
        self._woken.set()

    def hear(self, payload: str) -> None:
        """Take a notification, `corpus:generation`: that corpus is followed without looking at the others first."""
        self._heard.add(CorpusName(payload.partition(":")[0]))
        self._woken.set()

    async def refresh(self, corpus: CorpusName) -> None:
        """Open the index of a corpus as it is committed now; raise Unavailable when it cannot be opened."""
        async with self._building[corpus]:
            earlier = self._snapshots.get(corpus)
            settings = self._corpora[corpus]
            opened = await asyncio.to_thread(open_index, self._engine, settings, self._folder, earlier=earlier)
            # Permissions that moved while segments were built are applied before anybody sees them.
            await self._swap(corpus, opened)

    async def follow(self, corpus: CorpusName) -> None:
        """Apply changed or confirmed permissions and takedowns of a loaded corpus."""
        await self._swap(corpus, None)

    async def _swap(self, corpus: CorpusName, opened: Snapshot | None) -> None:
        async with self._following[corpus]:
            current = opened or self._snapshots[corpus]
            followed = await asyncio.to_thread(self._follower.follow, corpus, current)
            self._snapshots[corpus] = followed.snapshot
            self._tell(corpus, followed.snapshot.visibility.generation)
            if not followed.is_complete:
                self._incomplete.add(corpus)
            elif opened is not None:
                self._incomplete.discard(corpus)

    async def catch_up(self) -> None:
        """Follow every declared corpus that moved, and start the builds that are due."""
        moved, self._heard = self._heard & self._snapshots.keys() & self._corpora.keys(), set()
        for corpus in moved or await self._moved():
            if corpus in self._snapshots:
                await self.follow(corpus)
            else:
                self._incomplete.add(corpus)
        for corpus in self._incomplete - self._builds.keys():
            self._builds[corpus] = asyncio.create_task(self._build(corpus), name=f"index of {corpus}")

    async def settle(self) -> None:
        """Wait for the builds under way."""
        await asyncio.gather(*self._builds.values())

    async def run(self) -> None:
        """Keep up until cancelled: on every wake-up, and once a second where a notification was lost."""
        try:
            while True:
                await self._round()
        finally:
            for build in self._builds.values():
                build.cancel()
            await asyncio.gather(*self._builds.values(), return_exceptions=True)
            self.close()

    def close(self) -> None:
        """Give the store's connection back."""
        self._follower.close()

    async def _round(self) -> None:
        try:
            await self.catch_up()
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

    async def _build(self, corpus: CorpusName) -> None:
        try:
            await self.refresh(corpus)
        except PilotageError as error:
            logger.error("index of %s: %s", corpus, error)  # noqa: TRY400 - the message says all there is
        except Exception as error:  # noqa: BLE001 - a worker loop: the store is away, the next round tries again
            logger.warning("index of %s: %s", corpus, error)
        finally:
            del self._builds[corpus]

    async def _moved(self) -> list[CorpusName]:
        counts = await asyncio.to_thread(self._counts)
        return [corpus for corpus in self._corpora if corpus in counts and self._is_behind(corpus, *counts[corpus])]

    def _is_behind(self, corpus: CorpusName, generation: int, confirmations: int) -> bool:
        snapshot = self._snapshots.get(corpus)
        if snapshot is None or snapshot.visibility.generation != generation:
            return True
        standing = snapshot.visibility.standing
        return standing is not None and standing.confirmations != confirmations

    def _counts(self) -> dict[str, tuple[int, int]]:
        with self._engine.connect() as connection:
            return {row.name: (row.generation, row.confirmations) for row in connection.execute(_COUNTS)}
