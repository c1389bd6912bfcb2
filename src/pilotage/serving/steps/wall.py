"""What happens when the last wall catches something: an incident opens, and the asker gets nothing.

The index ranked a passage that the store does not show to the asker, although no permission moved: a defect, never a
race. Fail mode: the incident waits in the recorder like every record; the refusal does not depend on it.
"""

from __future__ import annotations

import logging

from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.serving.context import Guarded
from pilotage.serving.record_rows import GATEWAY_ACTOR
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.store.serving_records import RecordRows

logger = logging.getLogger(__name__)


def open_wall_incident(context: Guarded, lost: int, serving: Serving) -> Refusal:
    """Record the incident of `lost` passages, and return what the asker is told."""
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
    return Refusal(code=Code.INTERNAL, message="Something went wrong here. The interaction id names the record.")
