"""Keeps the routing table of this process fresh: swapped whole on a notification, polled every second (serving.md 4).

A release enters the table only after it was loaded and verified here, one at a time and beside the watch: an index may
take long, and a rollback waits for none. One that does not load is tried again every 5 s; meanwhile its askers stay
with stable, or get `no_release_loaded`. Fail mode: the table grows old and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import psycopg

from pilotage.core.digest import Digest, parse_digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.serving.ending import end
from pilotage.serving.routing import Release, RoutingRow, RoutingTable, read_split
from pilotage.store.serving_routes import StoredRoute

logger = logging.getLogger(__name__)

POLL_S = 1.0
_AGAIN_S = 5.0
_RETIRED_S = 660.0  # longer than the longest stream


class RouteSource(Protocol):
    """Reads the stored rows. Real: store/serving_routes.py."""

    async def read(self) -> Sequence[StoredRoute]:
        """Return every row; raise psycopg.Error or OSError when the store is down."""
        ...


class RoutingWatch:
    """The routing source of a process. `load` loads and verifies one release; `wake` is called on a notification.

    `swapped` is told after every change of the table, so that it can be acknowledged at once.
    """

    def __init__(
        self,
        source: RouteSource,
        *,
        load: Callable[[Digest], Awaitable[Release]],
        monotonic: Callable[[], float],
        swapped: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._load = load
        self._monotonic = monotonic
        self._swapped = swapped
        self._table = RoutingTable()
        self._failed: dict[Digest, tuple[float, str]] = {}
        self._loads: dict[Digest, asyncio.Task[Release | None]] = {}
        self._one_load = asyncio.Lock()
        self._retired: list[tuple[float, Release]] = []
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> RoutingTable:
        """The newest table."""
        return self._table

    def not_loaded(self, digest: Digest) -> str:
        """Return that a release is not loaded here, and why where that is known."""
        _, why = self._failed.get(digest, (0.0, ""))
        return f"Release {digest} is routed and not loaded. {why}".rstrip()

    async def start(self) -> None:
        """Read the table once, then keep it fresh. A store that is down at start is tried again."""
        await self._try_refresh(wait=True)
        self._task = asyncio.create_task(self._run(), name="routing")

    async def stop(self) -> None:
        """Stop watching and close every loaded model."""
        if self._task is not None:
            await end(self._task)
        await end(*self._loads.values())
        for task in self._loads.values():
            if not task.cancelled():
                self._retire(task.result())
        self._loads.clear()
        releases, self._table = self._table.releases, RoutingTable()
        await self._close_retired(float("inf"))
        for release in releases.values():
            await release.close()

    def wake(self) -> None:
        """Look again now."""
        self._woken.set()

    async def refresh(self, *, wait: bool = True) -> None:
        """Read the rows, load what is new, swap the table; without `wait` the load's end wakes the watch."""
        # The moment of asking: an answer may have been under way for long, and says nothing of what came after it.
        confirmed = self._monotonic()
        stored = await self._source.read()
        now = self._monotonic()
        before = self._table
        rows = {(row.space, row.workflow): row for row in map(self._row, stored) if row is not None}
        withdrawn = frozenset(Digest(digest) for route in stored for digest in route.withdrawn)
        left = _left(before, rows, now=now)
        wanted = {digest for row in rows.values() for digest in row.named}
        # At once: everything that needs only what is loaded, rollbacks and withdrawals among it. A row whose stable has
        # still to be loaded is served as before until it is.
        at_once = {place: self._meanwhile(row, before, withdrawn) for place, row in rows.items()}
        self._table = RoutingTable(
            rows=at_once, releases=before.releases, withdrawn=withdrawn, left=left, confirmed_at=confirmed
        )
        self._tell(before)
        missing = wanted - before.releases.keys() - withdrawn
        self._begin_loads(missing)
        if wait and self._loads:
            await asyncio.wait(self._loads.values())
        loaded = self._ended_loads(missing)
        rows = {place: at_once[place] if row.stable in self._loads else row for place, row in rows.items()}
        wanted |= {digest for row in rows.values() for digest in row.named}
        kept = {digest: release for digest, release in before.releases.items() if digest in wanted}
        for digest, release in before.releases.items():
            if digest not in kept:
                self._retire(release)
        releases = kept | {release.digest: release for release in loaded}
        self._table = RoutingTable(rows=rows, releases=releases, withdrawn=withdrawn, left=left, confirmed_at=confirmed)
        self._tell(before)
        await self._close_retired(now - _RETIRED_S)

    def _tell(self, before: RoutingTable) -> None:
        table = self._table
        if self._swapped is not None and (table.rows != before.rows or table.releases.keys() != before.releases.keys()):
            self._swapped()

    @staticmethod
    def _meanwhile(row: RoutingRow, before: RoutingTable, withdrawn: frozenset[Digest]) -> RoutingRow:
        known = before.rows.get((row.space, row.workflow))
        if known is None or row.stable in before.releases or known.stable not in before.releases:
            return row
        if known.stable in withdrawn | row.cut:
            return row
        # A candidate that has to go does not wait for the release that its askers go back to.
        is_named = known.candidate in {row.stable, row.candidate}
        return replace(known, candidate=known.candidate if is_named else None, cut=row.cut)

    async def _close_retired(self, until: float) -> None:
        """Close models that left the table so long ago that no request can still hold them."""
        while self._retired and self._retired[0][0] <= until:
            _, release = self._retired.pop(0)
            await release.close()

    def _row(self, stored: StoredRoute) -> RoutingRow | None:
        """Decode a row; one that does not decode keeps the stable release of the row before, and no candidate."""
        place = (SpaceName(stored.space), WorkflowName(stored.workflow))
        known = self._table.rows.get(place)
        if known is not None and known.generation > stored.generation:
            return known
        try:
            return RoutingRow(
                space=place[0],
                workflow=place[1],
                generation=stored.generation,
                stable=None if stored.stable is None else parse_digest(stored.stable),
                candidate=None if stored.candidate is None else parse_digest(stored.candidate),
                split=read_split(stored.split),
                paused=stored.paused,
                closed=stored.closed,
                is_probed=stored.is_probed,
                drill=None if stored.drill is None else parse_digest(stored.drill),
                drill_failover=None if stored.drill_failover is None else SpaceName(stored.drill_failover),
                down=stored.down,
                evicted=stored.evicted,
                cut=frozenset(parse_digest(digest) for digest in stored.cut),
                failover=None if stored.failover is None else SpaceName(stored.failover),
                shadow=None if stored.shadow is None else parse_digest(stored.shadow),
                shadow_ppm=stored.shadow_ppm,
                rollout=stored.rollout,
            )
        except (ValueError, PilotageError) as error:
            logger.error("The routing row of %s in %s does not decode: %s", place[1], place[0], error)  # noqa: TRY400
            return None if known is None else known.stable_only

    def _begin_loads(self, missing: set[Digest]) -> None:
        now = self._monotonic()
        for digest in sorted(missing - self._loads.keys()):
            failed_at, _ = self._failed.get(digest, (-_AGAIN_S, ""))
            if now >= failed_at + _AGAIN_S:
                self._loads[digest] = asyncio.create_task(self._loaded(digest), name=f"load {digest}")
                self._loads[digest].add_done_callback(lambda _: self.wake())

    def _ended_loads(self, missing: set[Digest]) -> list[Release]:
        """Return the missing releases that are loaded now; what nobody wants any more is closed."""
        found: list[Release] = []
        for digest in [digest for digest, task in self._loads.items() if task.done()]:
            release = self._loads.pop(digest).result()
            if release is not None and digest in missing:
                found.append(release)
            else:
                self._retire(release)
        return found

    def _retire(self, release: Release | None) -> None:
        if release is not None:
            self._retired.append((self._monotonic(), release))

    async def _loaded(self, digest: Digest) -> Release | None:
        try:
            async with self._one_load:
                release = await self._load(digest)
        except PilotageError as error:
            self._failed[digest] = (self._monotonic(), error.message)
            logger.error("Release %s is routed but cannot be loaded: %s", digest, error)  # noqa: TRY400
            return None
        except Exception:
            # The watch must outlive any single failure; this one's askers stay where they are until it is tried again.
            self._failed[digest] = (self._monotonic(), "")
            logger.exception("Release %s is routed but could not be loaded.", digest)
            return None
        self._failed.pop(digest, None)
        return release

    async def _try_refresh(self, *, wait: bool) -> None:
        try:
            await self.refresh(wait=wait)
        except (psycopg.Error, OSError, TimeoutError) as error:
            logger.warning("The routing table cannot be read (%s); the last one serves.", type(error).__name__)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                await self._try_refresh(wait=False)
            except Exception:
                # The watch must outlive any single failure; the table grows stale and refuses if it lasts.
                logger.exception("The routing table could not be refreshed.")


def _left(
    before: RoutingTable, rows: Mapping[tuple[SpaceName, WorkflowName], RoutingRow], *, now: float
) -> dict[tuple[SpaceName, WorkflowName, Digest], float]:
    """Return since when candidates are out of their rows, as far as a request may still hold them."""
    kept = {place: at for place, at in before.left.items() if at > now - _RETIRED_S}
    for (space, workflow), row in before.rows.items():
        if row.candidate is not None:
            kept.setdefault((space, workflow, row.candidate), now)

    def is_back(space: SpaceName, workflow: WorkflowName, release: Digest) -> bool:
        row = rows.get((space, workflow))
        return row is not None and release in {row.stable, row.candidate}

    return {place: at for place, at in kept.items() if not is_back(*place)}
