"""What readers made of evidence, recorded for items attached before their entries held it: from then on it is compared.

Rule: each item once, as it stands at the first look after an upgrade; an entry that holds a reading is never overruled.
Fail mode: until that look such an item is compared by the fields its entry has.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_entries import reading_digest
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.ledger.entry import EntryKind
from pilotage.store.evidence import without_reading

MACHINE: Final = "system:readings"


def record_readings(connection: Connection, instance: Instance) -> int:
    """Record the reading of every item whose entries hold none, at most 2,000 at once; return how many."""
    items = without_reading(connection, limit=2_000)
    for item in items:
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
    return len(items)
