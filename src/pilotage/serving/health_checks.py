"""Checks every space this process serves, each 30 s by default, and reports what it found (rollouts.md 10).

A space passes when the release of each of its rows is loaded, its model answers, its documents can be searched, and
records can be written. Rule: a check takes at most 5 s; two that fail in a row, of one workflow or of the space, make
the process unhealthy there. Fail mode: what cannot be checked has failed; a report that cannot be written is silence,
so the check does not count and is made again at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import psycopg

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.release.content import ReleaseContent
from pilotage.serving.ending import end
from pilotage.serving.holdings import CorpusHeld, holdings, nothing_held
from pilotage.serving.routing import Release, RoutingRow, RoutingTable
from pilotage.serving.service import Serving
from pilotage.space.health import FAILURES, TIMEOUT_S
from pilotage.space.settings import Space
from pilotage.store.serving_reports import ReportRow

logger = logging.getLogger(__name__)

LOOK_S = 1.0
_GONE = (psycopg.Error, OSError, TimeoutError)


class ReportSink(Protocol):
    """Where reports go. Real: store/serving_reports.py."""

    async def write(self, rows: Sequence[ReportRow]) -> None:
        """Write what was found, one row a space."""
        ...

    async def forget(self) -> None:
        """Remove what this process said: it serves nobody any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """What a space's checks came to.

    `places`: successive failures by what they are about, a workflow or "" the whole space. `rows`: workflows served.
    """

    rows: int = 0
    due: float = float("-inf")
    successes: int = 0
    places: Mapping[str, int] = field(default_factory=dict)
    found: tuple[Reason, ...] = ()

    @property
    def failures(self) -> int:
        """How many checks in a row failed of one and the same."""
        return max(self.places.values(), default=0)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What failed; once something has failed twice, without what failed for the first time."""
        needed = min(self.failures, FAILURES)
        return tuple(reason for reason in self.found if self.places[_place(reason)] >= needed)

    @property
    def is_lost(self) -> bool:
        """Whether nothing of the space can be answered here."""
        failing = {place for place, failures in self.places.items() if failures >= FAILURES}
        return "" in failing or 0 < self.rows <= len(failing)

    def after(self, found: tuple[Reason, ...], *, served: frozenset[str], due: float) -> _Count:
        """Return what it comes to with one more check: what fails the space fails each of its workflows."""
        before, space = self.places, self.places.get("", 0)
        places = {place: max(before.get(place, 0), space) + 1 for place in map(_place, found)}
        shared = [reason for reason in found if not _place(reason)]
        lasting = sorted((before.keys() & served) - places.keys()) if shared else []
        places |= {place: before[place] + 1 for place in lasting}
        found += tuple(replace(reason, where=place) for place in lasting for reason in shared)
        successes = 0 if found else self.successes + 1
        return _Count(rows=len(served), due=due, successes=successes, places=places, found=found)


def _place(reason: Reason) -> str:
    return reason.where or ""


def always_indexed(_content: ReleaseContent, _space: Space) -> bool:
    """Say that documents can be searched, where no index stands behind the retriever."""
    return True


def routed_and_not_loaded(digest: Digest) -> str:
    """Say no more than that, where nobody knows why."""
    return f"Release {digest} is routed and not loaded."


class HealthChecks:
    """Runs beside the routing watch.

    `not_loaded` says why a release is not, `indexed` tells whether its documents can be searched for a space,
    `corpus_held` what is held of them.
    """

    def __init__(
        self,
        serving: Serving,
        sink: ReportSink,
        *,
        table: Callable[[], RoutingTable],
        not_loaded: Callable[[Digest], str] = routed_and_not_loaded,
        indexed: Callable[[ReleaseContent, Space], bool] = always_indexed,
        corpus_held: CorpusHeld = nothing_held,
    ) -> None:
        self._serving = serving
        self._sink = sink
        self._table = table
        self._not_loaded = not_loaded
        self._indexed = indexed
        self._corpus_held = corpus_held
        self._counts: dict[SpaceName, _Count] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="health-checks")

    async def stop(self) -> None:
        """End, and take back what was said."""
        if self._task is None:
            return
        await end(self._task)
        try:
            await self._sink.forget()
        except _GONE as error:
            logger.warning("The health reports could not be taken back (%s).", type(error).__name__)

    def against(self) -> list[Reason]:
        """Return what stands against readiness: documents that are not loaded, or nothing left that can be answered.

        One workflow or space whose model is down does not take the process away from the others.
        """
        failing = [count for count in self._counts.values() if count.failures >= FAILURES]
        found = [reason for count in failing for reason in count.reasons]
        is_lost = bool(failing) and all(count.is_lost for count in self._counts.values())
        return [reason for reason in found if is_lost or reason.code == "INDEX_NOT_LOADED"]

    def spaces(self) -> dict[str, Json]:
        """Return each space as this process found it last: successive failures and successes, and why."""
        return {
            str(name): {
                "failures": count.failures,
                "successes": count.successes,
                "reasons": [dict(reason.as_json()) for reason in count.reasons],
            }
            for name, count in sorted(self._counts.items())
        }

    async def check_due(self) -> None:
        """Check every space whose interval has passed, and report."""
        table = self._table()
        by_space: dict[SpaceName, list[RoutingRow]] = {}
        for row in table.rows.values():
            by_space.setdefault(row.space, []).append(row)
        for gone in self._counts.keys() - by_space.keys():
            del self._counts[gone]
        now = self._serving.monotonic()
        due = [name for name in by_space if self._count(name).due <= now]
        # Side by side: one model that hangs does not make the others late.
        found = await asyncio.gather(*(self._check(name, by_space[name], table) for name in due))
        counts = {name: self._counted(by_space[name], reasons, now) for name, reasons in zip(due, found, strict=True)}
        if counts:
            await self._sink.write([self._report(name, count) for name, count in counts.items()])
            self._counts |= counts

    def _count(self, name: SpaceName) -> _Count:
        return self._counts.setdefault(name, _Count())

    def _counted(self, rows: Sequence[RoutingRow], reasons: tuple[Reason, ...], now: float) -> _Count:
        name = rows[0].space
        space = self._serving.workspace.spaces.get(name)
        interval = 30.0 if space is None else space.availability.health_check_interval_s
        served = frozenset(row.workflow for row in rows if row.stable is not None)
        return self._count(name).after(reasons, served=served, due=now + interval)

    def _report(self, name: SpaceName, count: _Count) -> ReportRow:
        space = self._serving.workspace.spaces.get(name)
        return ReportRow(
            space=name,
            failures=count.failures,
            successes=count.successes,
            reasons=[reason.as_json() for reason in count.reasons],
            holds={} if space is None else holdings(self._table(), space, self._corpus_held),
        )

    async def _check(self, name: SpaceName, rows: Sequence[RoutingRow], table: RoutingTable) -> tuple[Reason, ...]:
        space = self._serving.workspace.spaces.get(name)
        if space is None:
            return (Reason(code="SPACE_UNDECLARED", text=f"{name} is routed and not declared. Declare it."),)
        found: list[Reason] = []
        recorder = self._serving.recorder
        if recorder.failing_since is not None or recorder.is_saturated:
            found.append(Reason(code="LEDGER_UNWRITABLE", text=f"{recorder.waiting} records cannot be written."))
        # Each workflow for itself: a model that hangs or breaks is about that workflow, not about the space.
        for reasons in await asyncio.gather(*(self._row_in_time(row, space, table) for row in rows)):
            found += reasons
        return tuple(found)

    async def _row_in_time(self, row: RoutingRow, space: Space, table: RoutingTable) -> list[Reason]:
        where = f"The health check of {row.workflow} in {space.name}"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._row(row, space, table)
        except TimeoutError:
            text = f"{where} took longer than {TIMEOUT_S:g} s."
            return [Reason(code="CHECK_LATE", text=text, where=row.workflow, limit=f"{TIMEOUT_S:g} s")]
        except Exception as error:
            # A check that breaks has failed; the log gets the trace.
            logger.exception("%s broke.", where)
            text = f"{where} broke ({type(error).__name__}). See the log of the process."
            return [Reason(code="CHECK_FAILED", text=text, where=row.workflow)]

    async def _row(self, row: RoutingRow, space: Space, table: RoutingTable) -> list[Reason]:
        digest = row.stable
        if digest is None:
            return []
        if not table.is_serving(digest):
            return [Reason(code="RELEASE_NOT_LOADED", text=self._not_loaded(digest), where=row.workflow)]
        release = table.releases[digest]
        found = await self._models(release, row)
        if not self._indexed(release.content, space):
            text = f"The documents of {row.workflow} cannot be searched here yet."
            found.append(Reason(code="INDEX_NOT_LOADED", text=text, where=row.workflow))
        return found

    @staticmethod
    async def _models(release: Release, row: RoutingRow) -> list[Reason]:
        found: list[Reason] = []
        for name, model in (("model", release.model), ("embedding model", release.embedder)):
            try:
                if model is not None:
                    await model.probe()
            except PilotageError as error:
                text = f"The {name} of {row.workflow} does not answer ({error.code})."
                found.append(Reason(code="MODEL_UNREACHABLE", text=text, where=row.workflow))
        return found

    async def _run(self) -> None:
        while True:
            try:
                await self.check_due()
            except _GONE as error:
                logger.warning("The health reports could not be written (%s).", type(error).__name__)
            except Exception:
                # The loop must outlive any single failure; without it the process counts as silent, which is unhealthy.
                logger.exception("The health checks failed.")
            await asyncio.sleep(LOOK_S)
