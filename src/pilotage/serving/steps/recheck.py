"""Step 8, re-check: every passage of the prompt against the permissions of this moment (serving.md 6.6).

The store is read again, never the index. A passage that was lost because permissions moved discards the answer; one
that was lost although nothing moved is a defect of the wall, and an alarm. Fail mode: no answer.
"""

from __future__ import annotations

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.serving.context import Retrieved
from pilotage.serving.ports import Recheck
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.wall import open_wall_incident


async def look_again(context: Retrieved, serving: Serving) -> Recheck | Refusal:
    """Return what the store says now of every passage, and whether permissions moved since they were decided."""
    try:
        return await serving.retriever.still_allowed(context, context.retrieval)
    except (psycopg.Error, PilotageError, OSError, TimeoutError):
        return Refusal(code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2)


async def recheck(context: Retrieved, serving: Serving) -> Refusal | None:
    """Return None when every passage is still allowed to the asker."""
    if not context.retrieval.found:
        return None
    found = await look_again(context, serving)
    if isinstance(found, Refusal):
        return found
    if not found.lost:
        return None
    if not found.has_moved:
        return open_wall_incident(context, len(found.lost), serving)
    return Refusal(code=Code.PERMISSION_CHANGED, message="Permissions changed meanwhile. Ask again.", retry_after_s=1)
