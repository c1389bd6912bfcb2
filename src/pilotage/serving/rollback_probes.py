"""Asks this process's own path the critical questions after a rollback, and writes down how they went.

The questions go through the whole pipeline as `probe` traffic, so they count for no release's statistics. Rule: every
answer must come from the release the row names; a question is passed when it is answered, or honestly refused, as its
case expects. Fail mode: a question that fails is asked again while the rollback is being validated; without a passed
round the rollback is not verified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pilotage.core.digest import Digest
from pilotage.core.ids import InteractionId, new_ulid
from pilotage.rollout.critical import critical_cases
from pilotage.serving.context import Answer, Asked, Known, Peer, Received, Turn
from pilotage.serving.critical_rounds import CriticalRounds, ProbeSink, Round, asker_of, is_passed
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.run import Finished
from pilotage.serving.service import Serving
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow


class PathRounds(CriticalRounds):
    """Rounds that walk this process's whole path, as traffic of one kind. `answer` is the pipeline's."""

    kind = TrafficKind.PROBE

    def __init__(
        self,
        serving: Serving,
        sink: ProbeSink,
        *,
        table: Callable[[], RoutingTable],
        answer: Callable[[Received], Awaitable[Finished]],
    ) -> None:
        super().__init__(serving, sink, table=table)
        self._answer = answer

    async def ask_row(self, row: RoutingRow, *, release: Digest | None, is_right: Callable[[Finished], bool]) -> Round:
        """Ask a row's critical questions; `is_right` looks at who answered each."""
        workflow = self._serving.workspace.workflows.get(row.workflow)
        cases = () if workflow is None else critical_cases(workflow)
        passed, right = 0, True
        for case in cases:
            if workflow is None:
                break
            finished = await self._answer(self._received(row, workflow, case))
            answer = finished.result
            right = right and is_right(finished)
            passed += isinstance(answer, Answer) and is_passed(case, refused=answer.refusal is not None)
        return Round(release=release or "", asked=len(cases), passed=passed, right_release=right)

    def _received(self, row: RoutingRow, workflow: Workflow, case: GoldenCase) -> Received:
        serving = self._serving
        now = serving.clock.now()
        return Received(
            interaction=InteractionId(new_ulid(now)),
            at=now,
            started=serving.monotonic(),
            peer=Peer(address=None),
            credential=Known(principal=asker_of(serving.workspace, workflow, case), kind=self.kind),
            asked=Asked(
                workflow=row.workflow,
                messages=(Turn(role="user", text=case.question),),
                space=row.space,
                as_of=None,
            ),
        )


class RollbackProbes(PathRounds):
    """Asks the release that a row went back to."""

    def wants(self, row: RoutingRow, _table: RoutingTable) -> bool:
        """Tell whether the row is being validated."""
        return row.is_probed and row.stable is not None

    async def ask_all(self, row: RoutingRow, _table: RoutingTable) -> Round:
        """Ask the release the row went back to."""
        return await self.ask_row(row, release=row.stable, is_right=lambda finished: finished.release == row.stable)
