"""The last look before text leaves: was the release taken out meanwhile? (rollouts.md 8.3).

A trip or an abort lets what is under way finish within 30 s; a hard event does not. Rule: the newest routing row is
what counts, not the one the request was admitted with. Fail mode: `release_withdrawn`; what was held back is discarded.
"""

from __future__ import annotations

from typing import Final

from pilotage.serving.context import Routed
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving

FINISH_S: Final = 30.0


def cut_off(context: Routed, serving: Serving) -> Refusal | None:
    """Return why nothing of this answer may leave any more, or None."""
    table, release = serving.routing, context.release.digest
    space, workflow = context.place.row.space, context.place.row.workflow
    row, left = table.row(space, workflow), table.left.get((space, workflow, release))
    is_cut = row is not None and release in row.cut
    is_late = left is not None and serving.monotonic() - left > FINISH_S
    if not is_cut and not is_late:
        return None
    return Refusal(
        code=Code.RELEASE_WITHDRAWN, message="The release that was answering was withdrawn. Ask again.", retry_after_s=1
    )
