"""What readers made of evidence, recorded for items attached before their entries held it: from then on it is compared.

Rule: each item once; a file that somebody brought is read again, and an item that says something else than its bytes is
withdrawn, to be attached again. An entry that holds a reading is never overruled. Fail mode: until that look such an
item is compared by the fields its entry has; what Pilotage's own runs found is recorded as it stands, for their bytes
are no file that a reader reads.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_entries import reading_digest
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.reread_evidence import reads_the_same
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import INSTANCE
from pilotage.ledger.entry import EntryKind
from pilotage.store.evidence import withdraw, without_reading

MACHINE: Final = "system:readings"
_AT_ONCE: Final = 200


def record_readings(connection: Connection, instance: Instance) -> int:
    """Record the reading of every item whose entries hold none, at most 200 at once; return how many were looked at."""
    items = without_reading(connection, limit=_AT_ONCE)
    for item in items:
        if item.producer == INSTANCE or reads_the_same(connection, instance, item):
            record(
                connection,
                EntryKind.EVIDENCE_READING_RECORDED,
                actor=MACHINE,
                at=instance.clock.now(),
                subject=item.id,
                space=item.space or "",
                data={"reading": reading_digest(item)},
                opened={"person": item.producer},
            )
        else:
            _withdraw(connection, instance, item)
    return len(items)


def _withdraw(connection: Connection, instance: Instance, item: Evidence) -> None:
    text = (
        f"{item.id} was attached before readings were recorded, and its reader makes something else of the bytes than"
        " the row says. Attach the same file again: `pilotage evidence add`."
    )
    withdraw(connection, item.id, Reason(code="EV_READING_DIFFERS", text=text, where=item.id))
    record(
        connection,
        EntryKind.EVIDENCE_WITHDRAWN,
        actor=MACHINE,
        at=instance.clock.now(),
        subject=item.id,
        data={"kind": item.kind, "sha256": item.sha256},
        opened={"reason": text},
    )
