"""The last look before text leaves: was the release taken out by a hard event meanwhile? (rollouts.md 8.3).

A trip lets its streams finish; a breach does not. Rule: the newest routing row counts, not the one the request was
admitted with. Fail mode: `release_withdrawn`; what was held back is discarded.
"""

from __future__ import annotations

from pilotage.serving.context import Routed
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving


def cut_off(context: Routed, serving: Serving) -> Refusal | None:
    """Return why nothing of this answer may leave any more, or None."""
    row = serving.routing.row(context.place.row.space, context.place.row.workflow)
    if row is None or context.release.digest not in row.cut:
        return None
    return Refusal(
        code=Code.RELEASE_WITHDRAWN, message="The release that was answering was withdrawn. Ask again.", retry_after_s=1
    )
