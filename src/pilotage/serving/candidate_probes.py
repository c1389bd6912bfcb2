"""Asks a shadow release the critical questions in this process, before any user meets it (rollouts.md 7.2 row 4).

The questions walk the path unseen, as `probe` traffic, and become no interaction. Rule: once per generation of the row
when all pass, else again after ten seconds. Fail mode: a release that is not loaded here is not asked, and a rollout
without a passed round in every live process does not start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.core.ids import InteractionId, new_ulid
from pilotage.identity.principal import acl_names
from pilotage.rollout.critical import critical_cases
from pilotage.serving.context import Asked, Asker, Checked, Turn
from pilotage.serving.headless import HeadlessPath
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.rollback_probes import AGAIN_S, EVERY_S, ProbeSink, Round, asker_of, is_passed
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.service import Serving
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow

logger = logging.getLogger(__name__)

_PROBER: Final = "p_probe"


class CandidateProbes:
    """Runs beside the routing watch."""

    def __init__(self, serving: Serving, sink: ProbeSink, *, table: Callable[[], RoutingTable]) -> None:
        self._serving = serving
        self._sink = sink
        self._table = table
        self._done: dict[tuple[str, str], int] = {}
        self._again: dict[tuple[str, str], float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="candidate-probes")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def probe_once(self) -> None:
        """Ask for every row with a shadow release whose generation has not passed here yet."""
        table = self._table()
        for place, row in table.rows.items():
            if not table.is_serving(row.shadow) or self._done.get(place) == row.generation:
                continue
            if self._serving.monotonic() < self._again.get(place, float("-inf")):
                continue
            found = await self._ask_all(row, table)
            await self._sink.write(row, found)
            if found.passed == found.asked:
                self._done[place] = row.generation
            self._again[place] = self._serving.monotonic() + AGAIN_S

    async def _ask_all(self, row: RoutingRow, table: RoutingTable) -> Round:
        workflow = self._serving.workspace.workflows.get(row.workflow)
        space = self._serving.workspace.spaces.get(row.space)
        cases = () if workflow is None else critical_cases(workflow)
        if row.shadow is None or workflow is None or space is None:
            return Round(asked=len(cases), passed=0, right_release=False)
        path = HeadlessPath(self._serving, table.releases[row.shadow], space)
        passed = sum([await self._passes(path, workflow, case) for case in cases])
        return Round(asked=len(cases), passed=passed, right_release=path.release.digest == row.shadow)

    async def _passes(self, path: HeadlessPath, workflow: Workflow, case: GoldenCase) -> bool:
        serving = self._serving
        principal = asker_of(serving.workspace, workflow, case)
        asker = Asker(
            principal=principal,
            acl_names=acl_names(principal),
            pseudonym=_PROBER,
            via=principal.via,
            kind=TrafficKind.PROBE,
        )
        asked = Asked(workflow=workflow.name, messages=(Turn(role="user", text=case.question),))
        now = serving.clock.now()
        walked = await path.ask_as(asker, asked, interaction=InteractionId(new_ulid(now)), at=now)
        if walked.refusal is not None or not isinstance(walked.context, Checked):
            return False
        return is_passed(case, refused=walked.context.verdict.refusal is not None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.probe_once()
            except (psycopg.Error, OSError, TimeoutError, PilotageError) as error:
                logger.warning("A candidate could not be asked its questions (%s).", type(error).__name__)
            except Exception:
                # The loop must outlive any single failure; without it no candidate is ever proven.
                logger.exception("A candidate could not be asked its questions.")
