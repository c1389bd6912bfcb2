"""Asks this process the critical questions of a space whose failover is drilled, as `drill` traffic (rollouts.md 10).

Rule: the partner's stable release must answer, in the partner's space; users of the space are answered at home. Fail
mode: a partner that is not served here answers nobody, and the drill fails.
"""

from __future__ import annotations

from pilotage.serving.context import Routed
from pilotage.serving.critical_rounds import Round
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.rollback_probes import PathRounds
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.run import Finished


class FailoverProbes(PathRounds):
    """Asks the partner that a drill has answer for a row's space."""

    kind = TrafficKind.DRILL

    def wants(self, row: RoutingRow, _table: RoutingTable) -> bool:
        """Tell whether the row's failover is drilled."""
        return row.drill_failover is not None

    async def ask_all(self, row: RoutingRow, table: RoutingTable) -> Round:
        """Ask the row's space; the partner must answer."""
        partner = None if row.drill_failover is None else table.row(row.drill_failover, row.workflow)
        release = None if partner is None else partner.stable

        def is_right(finished: Finished) -> bool:
            context = finished.context
            is_there = isinstance(context, Routed) and context.place.space.name == row.drill_failover
            return is_there and release is not None and finished.release == release

        return await self.ask_row(row, release=release, is_right=is_right)
