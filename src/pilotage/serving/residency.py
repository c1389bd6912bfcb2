"""Whether asker and model may meet a space (serving.md 4); which regions fit is `space/residency.py`.

Fail mode: an asker without a declared region is bound by nothing but the documents' ACLs; a model of unknown region
does not fit a space that has a rule.
"""

from __future__ import annotations

from pilotage.release.model import ModelSettings, Provider
from pilotage.space.residency import fits
from pilotage.space.settings import Space


def fits_asker(region: str | None, space: Space) -> bool:
    """Tell whether an asker of this region may be served by the space."""
    return region is None or fits(region, space)


def fits_model(model: ModelSettings, space: Space) -> bool:
    """Tell whether the release's model may see this space's data; the built-in one runs where we run."""
    return model.provider is Provider.EXTRACTIVE or fits(model.region, space)
