"""Regions that fit together: asker, space, corpus, provider (serving.md 4).

A region is written `us`, `us-east`, `eu-west`; its first word is the jurisdiction, and only that must agree. A space
without regions sets no rule. Fail mode: an unknown region of a document, corpus or provider does not fit a space that
has a rule; an asker without a declared region is bound by nothing but the documents' ACLs.
"""

from __future__ import annotations

from pilotage.release.model import ModelSettings, Provider
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


def fits_asker(region: str | None, space: Space) -> bool:
    """Tell whether an asker of this region may be served by the space."""
    return region is None or fits(region, space)


def fits_model(model: ModelSettings, space: Space) -> bool:
    """Tell whether the release's model may see this space's data; the built-in one runs where we run."""
    return model.provider is Provider.EXTRACTIVE or fits(model.region, space)
