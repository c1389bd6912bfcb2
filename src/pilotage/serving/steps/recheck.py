"""Step 8, re-check: every passage of the prompt against the permissions of this moment (serving.md 6.6).

The store is read again, never the index. A passage that was lost because permissions moved discards the answer; one
that was lost although nothing moved is a defect of the wall, and an alarm. Fail mode: no answer.
"""

from __future__ import annotations

import logging

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.serving.context import Retrieved
from pilotage.serving.record_rows import GATEWAY_ACTOR
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.store.serving_records import RecordRows

logger = logging.getLogger(__name__)


async def recheck(context: Retrieved, serving: Serving) -> Refusal | None:
    """Return None when every passage is still allowed to the asker."""
    if not context.retrieval.found:
        return None
    try:
        found = await serving.retriever.still_allowed(context, context.retrieval)
    except (psycopg.Error, PilotageError, OSError, TimeoutError):
        return Refusal(code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2)
    if not found.lost:
        return None
    if not found.has_moved:
        _alarm(context, len(found.lost), serving)
        return Refusal(code=Code.INTERNAL, message="Something went wrong here. The interaction id names the record.")
    return Refusal(code=Code.PERMISSION_CHANGED, message="Permissions changed meanwhile. Ask again.", retry_after_s=1)


def _alarm(context: Retrieved, lost: int, serving: Serving) -> None:
    """Open an incident: the index held a passage that the store never allowed."""
    logger.critical(
        "permission_wall: interaction %s held %d passages that were not allowed; release %s is to be examined.",
        context.interaction,
        lost,
        context.release.digest,
    )
    at = serving.clock.now()
    entry = encode_entry(
        id=new_ulid(at),
        kind=EntryKind.INCIDENT_OPENED,
        at=at,
        actor=GATEWAY_ACTOR,
        subject=context.interaction,
        space=context.place.space.name,
        data={"cause": "permission_wall", "lost": lost, "release": context.release.digest, "severity": "SEV1"},
    )
    serving.recorder.offer(RecordRows(entry=entry))
