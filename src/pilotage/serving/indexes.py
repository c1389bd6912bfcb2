"""The index snapshots of this process: loaded, kept current, and swapped whole while requests go on.

A notification or the one-second poll finds that a corpus moved; a thread opens the index again and the reference is
replaced. A request keeps the snapshot it began with; the old one closes when its last request ends. Fail mode: a corpus
that could not be loaded has no snapshot, requests for it are refused, and `/readyz` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy import Engine, text

from pilotage.core.errors import PilotageError
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import CorpusSettings
from pilotage.retrieval.snapshot import Snapshot
from pilotage.store.index_build import IndexFolder, open_index

logger = logging.getLogger(__name__)

POLL_S = 1.0
_GENERATIONS = text("SELECT name, generation FROM corpus")


class Indexes:
    """Snapshots by corpus. All methods belong to one event loop; building happens in threads."""

    def __init__(self, engine: Engine, corpora: Mapping[CorpusName, CorpusSettings], folder: IndexFolder) -> None:
        self._engine = engine
        self._corpora = corpora
        self._folder = folder
        self._snapshots: dict[CorpusName, Snapshot] = {}
        self._locks = {name: asyncio.Lock() for name in corpora}
        self._woken = asyncio.Event()

    def snapshot(self, corpus: CorpusName) -> Snapshot | None:
        """Return the current snapshot, None while there is none."""
        return self._snapshots.get(corpus)

    def is_ready(self, corpus: CorpusName, version: int) -> bool:
        """Tell whether a version of a corpus can be searched here."""
        found = self._snapshots.get(corpus)
        return found is not None and version in found.visibility.versions

    def wake(self) -> None:
        """Look for moved corpora now: a notification came, or the listener reconnected."""
        self._woken.set()

    async def refresh(self, corpus: CorpusName) -> None:
        """Open the index of a corpus as it is committed now; raise Unavailable when it cannot be opened."""
        async with self._locks[corpus]:
            earlier = self._snapshots.get(corpus)
            settings = self._corpora[corpus]
            opened = await asyncio.to_thread(open_index, self._engine, settings, self._folder, earlier=earlier)
            self._snapshots[corpus] = opened

    async def catch_up(self) -> None:
        """Refresh every declared corpus whose generation moved; one that fails is logged and tried again."""
        generations = await asyncio.to_thread(self._generations)
        for corpus in self._corpora:
            current = self._snapshots.get(corpus)
            moved = generations.get(corpus)
            if moved is None or (current is not None and current.visibility.generation == moved):
                continue
            try:
                await self.refresh(corpus)
            except PilotageError as error:
                logger.error("index of %s: %s", corpus, error)  # noqa: TRY400 - the message says all there is

    async def run(self) -> None:
        """Keep up until cancelled: on every wake-up, and once a second where a notification was lost."""
        while True:
            try:
                await self.catch_up()
            except Exception as error:  # noqa: BLE001 - a worker loop: the store is away, the next round tries again
                logger.warning("indexes: %s", error)
            try:
                await asyncio.wait_for(self._woken.wait(), POLL_S)
            except TimeoutError:
                continue
            finally:
                self._woken.clear()

    def _generations(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            return {row.name: row.generation for row in connection.execute(_GENERATIONS)}
