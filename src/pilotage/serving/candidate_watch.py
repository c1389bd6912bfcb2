"""Asks a candidate its critical questions every 60 s while a rollout gives it users (rollouts.md 1, 8.1).

A question that the candidate fails is put to stable too. Rule: a failed round is written only as the second in a row in
which stable passed, so one slip, or a question nobody can answer, takes nothing out. Fail mode: a round in which stable
fails as well says nothing and changes nothing; the release is not judged by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pilotage.core.digest import Digest
from pilotage.serving.candidate_probes import CandidateProbes
from pilotage.serving.critical_rounds import ProbeSink, Round
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.service import Serving

SUCCESSIVE: Final = 2


class CandidateWatch(CandidateProbes):
    """Asks the release a row names as its candidate."""

    again_s = 60.0
    repeats = True

    def __init__(self, serving: Serving, sink: ProbeSink, *, table: Callable[[], RoutingTable]) -> None:
        super().__init__(serving, sink, table=table)
        self._failed: dict[tuple[str, str, Digest], int] = {}

    def wants(self, row: RoutingRow, table: RoutingTable) -> bool:
        """Tell whether candidate and stable are both loaded here."""
        return table.is_serving(row.candidate) and table.is_serving(row.stable)

    async def ask_all(self, row: RoutingRow, table: RoutingTable) -> Round | None:
        """Ask the candidate, and stable where it fails."""
        if row.candidate is None:
            return None
        place = (row.space, row.workflow, row.candidate)
        found = await self.ask_release(row, row.candidate, table)
        if found.is_passed:
            self._failed.pop(place, None)
            return found
        if not (await self.ask_release(row, row.stable, table)).is_passed:
            return None
        self._failed[place] = self._failed.get(place, 0) + 1
        return found if self._failed[place] >= SUCCESSIVE else None
