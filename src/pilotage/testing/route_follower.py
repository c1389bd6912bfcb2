"""A serving process as the routing table sees it: the real watch, listener and acknowledger, with nothing to answer.

For tests and benchmarks of what happens between a commit and the last process. Releases are stood for by what the
caller gives, or by nothing. Fail mode: that of the real parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from pilotage.adapters.clock import SystemClock
from pilotage.core.digest import Digest
from pilotage.serving.acknowledge import Acknowledger
from pilotage.serving.admissions import Admissions
from pilotage.serving.ending import end
from pilotage.serving.routing import Release
from pilotage.serving.routing_watch import RoutingWatch
from pilotage.store.engine import psycopg_url
from pilotage.store.notify import Channel, Heard, Listener
from pilotage.store.serving_acks import AckWriter
from pilotage.store.serving_pool import make_pool
from pilotage.store.serving_routes import RouteReader


class _Closing:
    async def close(self) -> None:
        """Release nothing: no model was opened."""


class _Loaded:
    def __init__(self, digest: Digest) -> None:
        self.digest = digest
        self.model = _Closing()


@dataclass(frozen=True, slots=True)
class RouteFollower:
    """What a process routes by, and where it counts whom it admitted."""

    watch: RoutingWatch
    admissions: Admissions


def _nothing(digest: Digest) -> Release:
    return cast(Release, _Loaded(digest))


@asynccontextmanager
async def route_follower(
    url: str, name: str, *, admissions: Admissions | None = None, release: Callable[[Digest], Release] = _nothing
) -> AsyncIterator[RouteFollower]:
    """Follow the routing table while the block lasts, as the process `name`; `release` is what a digest loads."""
    pool = make_pool(psycopg_url(url))
    await pool.open()
    admissions = Admissions() if admissions is None else admissions

    async def load(digest: Digest) -> Release:
        return release(digest)

    acknowledger = Acknowledger(
        AckWriter(pool, process=name, now=SystemClock().now),
        table=lambda: watch.current,
        admissions=admissions,
        monotonic=time.monotonic,
    )
    watch = RoutingWatch(RouteReader(pool), load=load, monotonic=time.monotonic, swapped=acknowledger.wake)

    async def heard(_message: Heard) -> None:
        watch.wake()

    async def resync() -> None:
        watch.wake()

    listening = asyncio.create_task(Listener(url, (Channel.ROUTING,), heard, resync).run())
    await watch.start()
    acknowledger.start()
    try:
        yield RouteFollower(watch, admissions)
    finally:
        await end(listening)
        await acknowledger.stop()
        await pool.close()
