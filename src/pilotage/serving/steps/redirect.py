"""Step 2b, health of the space: who asks an unhealthy space is answered by its partner, or by nobody (rollouts.md 10).

The partner's stable release answers, under the asker's own permissions, as traffic of kind `failover`. Rule: the
partner is looked at again for every request, whatever the row says: a space of the EU sends nobody outside. Probes stay
where they are: they look at the space itself; a drill's own traffic goes where the drill says, and nobody else does.
Fail mode: `region_unavailable`, never a region that is not permitted.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.core.ids import SpaceName
from pilotage.serving.context import Located
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.residency import fits_asker
from pilotage.serving.routing import Place
from pilotage.serving.service import Serving
from pilotage.space.failover import partner_reason

RETRY_AFTER_S = 30


def redirect(context: Located, serving: Serving) -> Located | Refusal:
    """Return the request as it is, at the partner's place, or the refusal of a region that nobody stands in for."""
    row, kind = context.place.row, context.asker.kind
    target = row.failover
    if kind is TrafficKind.DRILL and row.drill_failover is not None and not row.down:
        target = row.drill_failover
    elif not row.down or kind is TrafficKind.PROBE:
        return context
    place = _partner(context, serving, target)
    if place is None:
        return Refusal(
            code=Code.REGION_UNAVAILABLE,
            message=f"{row.space} is not available, and no other permitted region answers for it. Try again.",
            retry_after_s=RETRY_AFTER_S,
        )
    kind = TrafficKind.FAILOVER if kind is TrafficKind.USER else kind
    return replace(context, place=place, asker=replace(context.asker, kind=kind))


def _partner(context: Located, serving: Serving, target: SpaceName | None) -> Place | None:
    row, space, spaces = context.place.row, context.place.space, serving.workspace.spaces
    partner = None if target is None else spaces.get(target)
    if partner is None or partner_reason(space, partner) is not None:
        return None
    answering = serving.routing.row(partner.name, row.workflow)
    if answering is None or answering.down or not fits_asker(context.asker.principal.region, partner):
        return None
    return Place(space=partner, row=answering)
