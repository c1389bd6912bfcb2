"""Workflows as a page shows them: their newest release at every gate on its way, and who answers for them now.

Rule: reads only, apart from noting a roster or policy not seen before; gates are decided now, and none behind the first
that is not approved. Fail mode: a database error; a gate that cannot be judged is blocked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_all_to_look
from pilotage.control.gate_chain import is_reached, report_of
from pilotage.control.gate_status import ordered_gates, space_for
from pilotage.control.instance import Instance
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.releases import StoredRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStop:
    """One gate on the way. `status` None: gates before it are open. `since`: when the release was brought to it."""

    gate: str
    status: GateStatus | None
    reason: Reason | None = None
    since: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the release stands here and is not through."""
        return self.status is not None and not self.status.is_approved


def gates_on_the_way(
    connection: Connection, instance: Instance, releases: Sequence[StoredRelease]
) -> Mapping[WorkflowName, Sequence[Sequence[GateStop]]]:
    """Return the gates of each release by its workflow, those that are decided side by side together."""
    declared = [one for one in releases if one.workflow in instance.workspace.workflows]
    chains = open_all_to_look(connection, instance, declared, instance.clock.now())
    return {chain.stored.workflow: _line(chain) for chain in chains}


def _line(chain: Chain) -> list[list[GateStop]]:
    gates, depths = chain.instance.workspace.gates, dict[str, int]()
    found: dict[int, list[GateStop]] = {}
    for name in ordered_gates(chain.instance):
        depths[name] = 1 + max((depths[before] for before in gates[name].after if before in depths), default=0)
        found.setdefault(depths[name], []).append(_stop(chain, name))
    return [found[depth] for depth in sorted(found)]


def _stop(chain: Chain, name: str) -> GateStop:
    space = space_for(chain.instance, name, None)
    if not is_reached(chain, name, space=space):
        return GateStop(gate=name, status=None)
    report = report_of(chain, name, space=space)
    attempt = chain.attempts.get(name)
    return GateStop(
        gate=name,
        status=report.status,
        reason=next(iter((*report.reasons, *report.missing)), None),
        since=None if attempt is None else attempt.opened_at,
    )
