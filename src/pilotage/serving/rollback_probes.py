"""Asks this process's own path the critical questions after a rollback, and writes down how they went.

The questions go through the whole pipeline as `probe` traffic, so they count for no release's statistics. Rule: every
answer must come from the release the row names; a question is passed when it is answered, or honestly refused, as its
case expects. Fail mode: a question that fails is asked again while the rollback is being validated; without a passed
round the rollback is not verified.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.core.ids import InteractionId, PersonId, new_ulid
from pilotage.identity.principal import Principal
from pilotage.rollout.critical import critical_cases
from pilotage.serving.context import Answer, Asked, Known, Peer, Received, Turn
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.run import Finished
from pilotage.serving.service import Serving
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.principals import local_principal, persona_principal
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

logger = logging.getLogger(__name__)

EVERY_S = 1.0
AGAIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How one round went in this process."""

    asked: int
    passed: int
    right_release: bool


class ProbeSink(Protocol):
    """Where rounds are written. Real: store/serving_probes.py."""

    async def write(self, row: RoutingRow, found: Round) -> None:
        """Write the newest round of a row's generation."""
        ...


class RollbackProbes:
    """Runs beside the routing watch. `answer` is the pipeline's."""

    def __init__(
        self,
        serving: Serving,
        sink: ProbeSink,
        *,
        table: Callable[[], RoutingTable],
        answer: Callable[[Received], Awaitable[Finished]],
    ) -> None:
        self._serving = serving
        self._sink = sink
        self._table = table
        self._answer = answer
        self._done: dict[tuple[str, str], int] = {}
        self._again: dict[tuple[str, str], float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="rollback-probes")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def probe_once(self) -> None:
        """Ask for every row that is being validated and has not passed here yet."""
        for row in self._table().rows.values():
            place = (row.space, row.workflow)
            if not row.is_probed or row.stable is None or self._done.get(place) == row.generation:
                continue
            if self._serving.monotonic() < self._again.get(place, float("-inf")):
                continue
            found = await self._ask_all(row)
            await self._sink.write(row, found)
            if found.passed == found.asked and found.right_release:
                self._done[place] = row.generation
            self._again[place] = self._serving.monotonic() + AGAIN_S

    async def _ask_all(self, row: RoutingRow) -> Round:
        workflow = self._serving.workspace.workflows.get(row.workflow)
        cases = () if workflow is None else critical_cases(workflow)
        passed, right = 0, True
        for case in cases:
            if workflow is None:
                break
            finished = await self._answer(self._received(row, workflow, case))
            answer = finished.result
            right = right and finished.release == row.stable
            passed += isinstance(answer, Answer) and is_passed(case, refused=answer.refusal is not None)
        return Round(asked=len(cases), passed=passed, right_release=right)

    def _received(self, row: RoutingRow, workflow: Workflow, case: GoldenCase) -> Received:
        serving = self._serving
        now = serving.clock.now()
        return Received(
            interaction=InteractionId(new_ulid(now)),
            at=now,
            started=serving.monotonic(),
            peer=Peer(address=None),
            credential=Known(principal=asker_of(serving.workspace, workflow, case), kind=TrafficKind.PROBE),
            asked=Asked(
                workflow=row.workflow,
                messages=(Turn(role="user", text=case.question),),
                space=row.space,
                as_of=None,
            ),
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.probe_once()
            except (psycopg.Error, OSError, TimeoutError, PilotageError) as error:
                logger.warning("The critical questions could not be asked (%s).", type(error).__name__)
            except Exception:
                # The loop must outlive any single failure; without it no rollback is ever verified.
                logger.exception("The critical questions could not be asked.")


def asker_of(workspace: Workspace, workflow: Workflow, case: GoldenCase) -> Principal:
    """Return who asks a case's question: a persona of the workflow, or a declared person."""
    try:
        return persona_principal(workflow, case.asker)
    except PilotageError:
        return local_principal(workspace, PersonId(case.asker))


def is_passed(case: GoldenCase, *, refused: bool) -> bool:
    """Tell whether an answered question was answered, or honestly refused, as its case expects."""
    return case.expect.refuse is None or case.expect.refuse is refused
