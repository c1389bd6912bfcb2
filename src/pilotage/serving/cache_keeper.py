"""Keeps the answer cache of a process to what may still be given: at every new routing table, and each second.

A release that left its row, was withdrawn or was taken out by a hard event loses all its answers, in the moment the
table is swapped and before that is acknowledged. Rule: the table is what counts, however it came. Fail mode: a round
that raises is logged and the next one comes; what stays meanwhile is given to nobody (steps/reuse.py looks by itself).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pilotage.core.clock import Clock
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.ending import end
from pilotage.serving.routing import RoutingTable

logger = logging.getLogger(__name__)

EVERY_S: Final = 1.0


class CacheKeeper:
    """Runs beside the routing watch."""

    def __init__(self, cache: AnswerCache, *, table: Callable[[], RoutingTable], clock: Clock) -> None:
        self._cache = cache
        self._table = table
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="answer cache")

    async def stop(self) -> None:
        """End; what is kept goes with the process."""
        if self._task is not None:
            await end(self._task)

    def swapped(self) -> None:
        """Forget what releases said that do not answer by the newest table."""
        table = self._table()
        cut = {release for row in table.rows.values() for release in row.cut}
        counts = {release: count for release in cut if (count := self._cache.count(release))}
        self._cache.only({release for release in table.releases if table.may_keep(release)})
        for release, count in counts.items():
            logger.warning(
                "Release %s was taken out: %d kept answers were forgotten, %d are left.",
                release,
                count,
                self._cache.count(release),
            )

    def look(self) -> None:
        """Forget what is over."""
        if len(self._cache):
            self.swapped()
            self._cache.sweep(self._clock.now())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                self.look()
            except Exception:
                # The edge of a loop that must come again: without it ended answers would stay in memory.
                logger.exception("The answer cache could not be looked through.")
