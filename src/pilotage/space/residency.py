"""Regions that fit together, and what stands in the EU (serving.md 4, rollouts.md 10).

A region is written `us`, `us-east`, `eu-west-1`; its first word is the jurisdiction, and only that must agree. A space
without regions sets no rule. Fail mode: an unknown region of a document, corpus, provider or partner does not fit a
space that has a rule.
"""

from __future__ import annotations

from pilotage.space.settings import Space

ANY_REGION = frozenset({"global", "any"})


def jurisdiction(region: str) -> str:
    """Return the first word of a region: `eu` of `eu-west`."""
    return region.strip().casefold().partition("-")[0]


def space_regions(space: Space) -> tuple[str, ...]:
    """Return the regions in which the space's data, model and logs may stand; empty means no rule."""
    if space.regions:
        return space.regions
    return (space.region,) if space.region else ()


def fits(region: str | None, space: Space) -> bool:
    """Tell whether something that stands in `region` may be used in the space."""
    rule = space_regions(space)
    if not rule:
        return True
    if region is None:
        return False
    return region in ANY_REGION or jurisdiction(region) in {jurisdiction(allowed) for allowed in rule}


def is_eu(space: Space) -> bool:
    """Tell whether personal data of this space falls under EU residency: an EU region, or the label GDPR."""
    return any(region.casefold().startswith("eu") for region in space_regions(space)) or "GDPR" in space.compliance
