"""What a process holds and what the store says, read when `/metrics` is asked for (operations.md 2.2).

Rule: the store is asked at most once in five seconds, however many ask. Fail mode: a store that does not answer within
two seconds leaves its series out: nobody knows them, and an old number would look like today's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from pilotage.core.digest import short
from pilotage.rollout.assignment import PPM
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.recorder import Recorder
from pilotage.serving.routing import RoutingTable
from pilotage.serving.service import Serving
from pilotage.store.serving_facts import StoreFacts

logger = logging.getLogger(__name__)

ASKED_EVERY_S: Final = 5.0
_PATIENCE_S: Final = 2.0
_PLACE: Final = ("workflow", "space")


def states_of(serving: Serving) -> list[Collector]:
    """Return everything that one process holds."""
    return [CacheState(serving.cache), RoutingState(lambda: serving.routing), RecorderState(serving.recorder)]


class CacheState(Collector):
    """What the answer cache of this process holds, and how often it had an answer."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """Return the counts of this moment."""
        looked = CounterMetricFamily("pilotage_answer_cache", "Questions looked for, by result.", labels=["result"])
        looked.add_metric(["hit"], self._cache.hits)
        looked.add_metric(["miss"], self._cache.misses)
        yield looked
        yield GaugeMetricFamily("pilotage_answer_cache_bytes", "Memory of kept answers.", value=self._cache.bytes)
        yield GaugeMetricFamily("pilotage_answer_cache_entries", "Kept answers.", value=len(self._cache))


class RoutingState(Collector):
    """Which release answers where in this process, and how much of the cohort the candidate is given."""

    def __init__(self, table: Callable[[], RoutingTable]) -> None:
        self._table = table

    def collect(self) -> Iterable[Metric]:
        """Return the routing of this moment."""
        info = GaugeMetricFamily("pilotage_release_info", "Releases that answer.", labels=[*_PLACE, "release", "arm"])
        weight = GaugeMetricFamily("pilotage_rollout_weight", "Share of a candidate.", labels=[*_PLACE, "release"])
        for (space, workflow), row in sorted(self._table().rows.items()):
            if row.stable is not None:
                info.add_metric([workflow, space, short(row.stable), "stable"], 1)
            if row.candidate is not None:
                info.add_metric([workflow, space, short(row.candidate), "candidate"], 1)
                weight.add_metric([workflow, space, short(row.candidate)], row.split.fraction_ppm / PPM)
        yield info
        yield weight


class RecorderState(Collector):
    """Records of this process that were accepted and are not yet durable."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterable[Metric]:
        """Return how many wait, and for how long the oldest does."""
        waiting = self._recorder.waiting
        yield GaugeMetricFamily("pilotage_records_waiting", "Records accepted and not yet durable.", value=waiting)
        yield GaugeMetricFamily("pilotage_writer_lag_seconds", "Of the oldest of them.", value=self._recorder.lag_s)


class StoreState(Collector):
    """What the store said last. `refresh` asks it again; nothing is said of a store that did not answer."""

    def __init__(
        self, ask: Callable[[], Awaitable[StoreFacts]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._asked = float("-inf")
        self._facts: StoreFacts | None = None

    async def refresh(self) -> None:
        """Ask the store, unless it was asked just now."""
        if self._monotonic() - self._asked < ASKED_EVERY_S:
            return
        self._asked = self._monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self._facts = await self._ask()
        except (TimeoutError, PoolTimeout, psycopg.Error, OSError) as error:
            logger.warning("Metrics go without the store's: %s", type(error).__name__)
            self._facts = None

    def collect(self) -> Iterable[Metric]:
        """Return ledger and jobs as the store said them."""
        facts = self._facts
        if facts is None:
            return
        yield GaugeMetricFamily("pilotage_ledger_entries", "Numbered entries of the ledger.", value=facts.entries)
        lag = "Seconds that the oldest unnumbered entry waits."
        yield GaugeMetricFamily("pilotage_ledger_lag_seconds", lag, value=facts.ledger_lag_s)
        yield GaugeMetricFamily("pilotage_jobs_late", "Jobs due for over a minute.", value=facts.jobs_late)
