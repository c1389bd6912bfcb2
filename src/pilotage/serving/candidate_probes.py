"""Asks a shadow release the critical questions in this process, before any user meets it (rollouts.md 7.2 row 4).

The questions walk the path unseen, as `probe` traffic, and become no interaction. Fail mode: a release that is not
loaded here is not asked, and a rollout without a passed round in every live process does not start.
"""

from __future__ import annotations

from typing import Final

from pilotage.core.digest import Digest
from pilotage.core.ids import InteractionId, new_ulid
from pilotage.identity.principal import acl_names
from pilotage.rollout.critical import critical_cases
from pilotage.serving.context import Asked, Asker, Checked, Turn
from pilotage.serving.critical_rounds import CriticalRounds, Round, asker_of, is_passed
from pilotage.serving.headless import HeadlessPath
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow

_PROBER: Final = "p_probe"


class CandidateProbes(CriticalRounds):
    """Asks the release a row names as its shadow."""

    def wants(self, row: RoutingRow, table: RoutingTable) -> bool:
        """Tell whether the row has a shadow that is loaded here."""
        return table.is_serving(row.shadow)

    async def ask_all(self, row: RoutingRow, table: RoutingTable) -> Round | None:
        """Ask the row's shadow."""
        return await self.ask_release(row, row.shadow, table)

    async def ask_release(self, row: RoutingRow, release: Digest | None, table: RoutingTable) -> Round:
        """Ask one release of a row's workflow, in the row's space."""
        workflow = self._serving.workspace.workflows.get(row.workflow)
        space = self._serving.workspace.spaces.get(row.space)
        cases = () if workflow is None else critical_cases(workflow)
        if release is None or release not in table.releases or workflow is None or space is None:
            return Round(release=release or "", asked=len(cases), passed=0, right_release=False)
        path = HeadlessPath(self._serving, table.releases[release], space)
        passed = sum([await self._passes(path, workflow, case) for case in cases])
        return Round(release=release, asked=len(cases), passed=passed, right_release=True)

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
