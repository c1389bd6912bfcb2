"""Where a space's askers go while it is unhealthy: its declared partner, or nowhere (rollouts.md 10).

Rule: the partner is another space of the same tier and of the same documents that stands in a region the space permits;
a space of the EU has only partners of the EU. Asked at validation and again at run time. Fail mode: a reason, and
nobody leaves the space.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.space.residency import fits, is_eu, space_regions
from pilotage.space.settings import Space

FAIL_BACK_AFTER = timedelta(minutes=15)


def partner_reason(space: Space, partner: Space) -> Reason | None:
    """Return why a declared partner may not take the space's askers, or None."""
    if partner.name == space.name:
        return _reason(space, "is its own partner", "Name another space.")
    if partner.tier is not space.tier:
        what = f"is of tier {space.tier} and its partner {partner.name} of tier {partner.tier}"
        return _reason(space, what, f"Name a partner of tier {space.tier}.")
    if partner.data_stage is not space.data_stage:
        what = f"reads {space.data_stage} documents and its partner {partner.name} {partner.data_stage} ones"
        return _reason(space, what, f"Name a partner that reads {space.data_stage} documents.")
    if is_eu(space) and not _is_inside_eu(partner):
        what = f"falls under EU residency and its partner {partner.name} stands in {_where(partner)}"
        return _reason(space, what, "Name a partner in the EU, or none: askers then wait.")
    if not fits(partner.region, space) or not all(fits(region, space) for region in partner.regions):
        what = f"permits {', '.join(space_regions(space))} and its partner {partner.name} stands in {_where(partner)}"
        return _reason(space, what, "Name a partner inside the permitted regions, or add its regions.")
    return None


def failover_target(space: Space, spaces: Mapping[SpaceName, Space]) -> SpaceName | Reason:
    """Return the space that takes the askers, or why none does."""
    partner = space.availability.partner
    if not space.availability.auto_failover:
        return _reason(space, "declares no auto_failover", "Write high_availability.auto_failover: true.")
    if partner is None:
        return _reason(space, "declares no partner", "Write high_availability.partner: SPACE.")
    if partner not in spaces:
        return _reason(space, f"names the partner {partner!r}, which does not exist", "Name a declared space.")
    return partner_reason(space, spaces[partner]) or partner


def _is_inside_eu(partner: Space) -> bool:
    regions = space_regions(partner)
    return bool(regions) and all(region.casefold().startswith("eu") for region in regions)


def _where(partner: Space) -> str:
    return ", ".join(space_regions(partner)) or "an undeclared region"


def _reason(space: Space, what: str, instead: str) -> Reason:
    return Reason(code="NO_PARTNER", text=f"{space.name} {what}. {instead}", where=space.name)
