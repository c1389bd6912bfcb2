"""The first gate that a release has yet to pass, and for which space.

Rule: an approval counts in the space where it was decided; on the way into another the same gate is still ahead. What
a release entered through its gates is behind it, also where a gate was declared since. Spaces of a tier before that of
one it entered are left behind. Fail mode: that of deciding a gate; a gate that leads into no space is ahead until it
was approved once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage.control.decided_gates import Decided, Entered
from pilotage.control.gate_case import Chain
from pilotage.control.gate_chain import gates_before, gates_on_way, report_of
from pilotage.control.gate_status import ordered_gates
from pilotage.core.ids import SpaceName
from pilotage.gate.report import GateReport
from pilotage.space.settings import Tier

_TIERS: Final = tuple(Tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A gate that is not approved now. `space`: where it was not passed, while it was elsewhere; None: nowhere."""

    report: GateReport
    space: SpaceName | None = None


def gate_ahead(chain: Chain, decided: Mapping[str, Sequence[Decided]], entered: Sequence[Entered]) -> Ahead | None:
    """Return the first gate in the order of passing that is ahead of the release; None when none is left."""
    spaces = chain.instance.workspace.spaces
    been = {one.space for found in decided.values() for one in found} | {one.space for one in entered}
    furthest = max((_TIERS.index(spaces[space].tier) for space in been if space in spaces), default=0)
    ways = {space: gates_on_way(chain, spaces[space]) for space in chain.instance.workspace.order}
    behind = {
        one.space: ways[one.space] if one.in_traffic else frozenset(gates_before(chain, spaces[one.space]))
        for one in entered
        if one.space in ways
    }
    for name in ordered_gates(chain.instance):
        passed = {one.space for one in decided.get(name, ()) if one.status.is_approved}
        passed |= {space for space, gates in behind.items() if name in gates}
        leads = [space for space, gates in ways.items() if name in gates]
        ahead = [one for one in leads if one not in passed and _TIERS.index(spaces[one].tier) >= furthest]
        for space in ahead if leads or passed else (None,):
            report = report_of(chain, name, space=space)
            if not report.status.is_approved:
                return Ahead(report=report, space=space if passed else None)
    return None
