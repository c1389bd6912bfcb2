"""Whether a release's model may see what a space holds (serving.md 4); which regions fit is `space/residency.py`.

Rule: asked before an answer, and of every answer afterwards. Fail mode: a model of unknown region does not fit a space
that has a rule.
"""

from __future__ import annotations

from pilotage.release.model import ModelSettings, Provider
from pilotage.space.residency import fits
from pilotage.space.settings import Space


def fits_model(model: ModelSettings, space: Space) -> bool:
    """Tell whether the release's model may see this space's data; the built-in one runs where we run."""
    return model.provider is Provider.EXTRACTIVE or fits(model.region, space)
