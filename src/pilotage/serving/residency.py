"""Whether an asker may meet a space (serving.md 4); which regions fit is `space/residency.py`.

Fail mode: an asker without a declared region is bound by nothing but the documents' ACLs.
"""

from __future__ import annotations

from pilotage.space.residency import fits
from pilotage.space.settings import Space


def fits_asker(region: str | None, space: Space) -> bool:
    """Tell whether an asker of this region may be served by the space."""
    return region is None or fits(region, space)
