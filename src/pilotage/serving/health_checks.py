"""Checks every space this process serves, each 30 s by default, and reports what it found (rollouts.md 10).

A space passes when the release of each of its rows is loaded, its model answers, its documents can be searched, and
records can be written. Rule: a check takes at most 5 s; two that fail in a row make the process unhealthy there. Fail
mode: what cannot be checked has failed; a report that cannot be written is silence, which counts as failure too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import psycopg

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.release.content import ReleaseContent
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


@dataclass(slots=True)
class _Count:
    failures: int = 0
    successes: int = 0
    due: float = float("-inf")
    reasons: tuple[Reason, ...] = ()


def always_indexed(_content: ReleaseContent, _space: Space) -> bool:
    """Say that documents can be searched, where no index stands behind the retriever."""
    return True


class HealthChecks:
    """Runs beside the routing watch.

    `indexed` tells whether a release's documents can be searched for a space, `corpus_held` what is held of them.
    """

    def __init__(
        self,
        serving: Serving,
        sink: ReportSink,
        *,
        table: Callable[[], RoutingTable],
        indexed: Callable[[ReleaseContent, Space], bool] = always_indexed,
        corpus_held: CorpusHeld = nothing_held,
    ) -> None:
        self._serving = serving
        self._sink = sink
        self._table = table
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
        self._task.cancel()
        await asyncio.wait({self._task})
        try:
            await self._sink.forget()
        except _GONE as error:
            logger.warning("The health reports could not be taken back (%s).", type(error).__name__)

    def against(self) -> list[Reason]:
        """Return what stands against readiness: documents that are not loaded, or no space left that is healthy.

        One space whose model is down does not take the process away from the others.
        """
        failing = [count for count in self._counts.values() if count.failures >= FAILURES]
        found = [reason for count in failing for reason in count.reasons]
        is_lost = bool(failing) and len(failing) == len(self._counts)
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
        rows = [self._counted(name, reasons, now) for name, reasons in zip(due, found, strict=True)]
        if rows:
            await self._sink.write(rows)

    def _count(self, name: SpaceName) -> _Count:
        return self._counts.setdefault(name, _Count())

    def _counted(self, name: SpaceName, reasons: tuple[Reason, ...], now: float) -> ReportRow:
        space, count = self._serving.workspace.spaces.get(name), self._count(name)
        interval = 30.0 if space is None else space.availability.health_check_interval_s
        count.due, count.reasons = now + interval, reasons
        count.failures = count.failures + 1 if reasons else 0
        count.successes = 0 if reasons else count.successes + 1
        return ReportRow(
            space=name,
            failures=count.failures,
            successes=count.successes,
            reasons=[reason.as_json() for reason in reasons],
            holds={} if space is None else holdings(self._table(), space, self._corpus_held),
        )

    async def _check(self, name: SpaceName, rows: Sequence[RoutingRow], table: RoutingTable) -> tuple[Reason, ...]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._look(name, rows, table)
        except TimeoutError:
            text = f"The health check of {name} took longer than {TIMEOUT_S:g} s."
            return (Reason(code="CHECK_LATE", text=text, where=name, limit=f"{TIMEOUT_S:g} s"),)
        except Exception as error:
            # A check that breaks has failed; the log gets the trace.
            logger.exception("The health check of %s broke.", name)
            text = f"The health check of {name} broke ({type(error).__name__}). See the log of the process."
            return (Reason(code="CHECK_FAILED", text=text, where=name),)

    async def _look(self, name: SpaceName, rows: Sequence[RoutingRow], table: RoutingTable) -> tuple[Reason, ...]:
        space = self._serving.workspace.spaces.get(name)
        if space is None:
            return (
                Reason(code="SPACE_UNDECLARED", text=f"{name} is routed and not declared. Declare it.", where=name),
            )
        found: list[Reason] = []
        recorder = self._serving.recorder
        if recorder.failing_since is not None or recorder.is_saturated:
            found.append(Reason(code="LEDGER_UNWRITABLE", text=f"{recorder.waiting} records cannot be written."))
        models: dict[Digest, Reason | None] = {}
        for row in rows:
            found += await self._row(row, space, table, models)
        return tuple(found)

    async def _row(
        self, row: RoutingRow, space: Space, table: RoutingTable, models: dict[Digest, Reason | None]
    ) -> list[Reason]:
        digest = row.stable
        if digest is None:
            return []
        if not table.is_serving(digest):
            text = f"Release {digest[:19]} of {row.workflow} is routed and not loaded."
            return [Reason(code="RELEASE_NOT_LOADED", text=text, where=row.workflow)]
        release = table.releases[digest]
        if digest not in models:
            models[digest] = await self._model(release, row)
        found = [reason for reason in (models[digest],) if reason is not None]
        if not self._indexed(release.content, space):
            text = f"The documents of {row.workflow} cannot be searched here yet."
            found.append(Reason(code="INDEX_NOT_LOADED", text=text, where=row.workflow))
        return found

    @staticmethod
    async def _model(release: Release, row: RoutingRow) -> Reason | None:
        try:
            await release.model.probe()
        except PilotageError as error:
            text = f"The model of {row.workflow} does not answer ({error.code})."
            return Reason(code="MODEL_UNREACHABLE", text=text, where=row.workflow)
        return None

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
