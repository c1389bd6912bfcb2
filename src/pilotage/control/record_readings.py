"""What readers made of evidence, recorded for items attached before their entries held it: from then on it is compared.

Rule: each item once; a file that somebody brought is read again, and an item that says something else than its bytes is
withdrawn, to be attached again. An entry that holds a reading is never overruled. Fail mode: until that look such an
item is compared by the fields its entry has; what cannot be read again is recorded as it stands, with a warning, as is
what Pilotage's own runs found, for their bytes are no file that a reader reads.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_entries import reading_digest
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.reread_evidence import Reread, release_about, reread
from pilotage.control.send_messages import Notice, send
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import INSTANCE
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.transitions import Notify
from pilotage.store.evidence import withdraw, without_reading
from pilotage.store.releases import StoredRelease, releases_of

LOG: Final = logging.getLogger("pilotage.evidence")
MACHINE: Final = "system:readings"
_AT_ONCE: Final = 20
_AS_IT_STANDS: Final = "The reading of evidence %s (%s) is recorded as it stands: %s."


def record_readings(connection: Connection, instance: Instance) -> int:
    """Record the reading of every item whose entries hold none, at most 20 at once; return how many were looked at."""
    items = without_reading(connection, limit=_AT_ONCE)
    releases = releases_of(connection) if items else ()
    for item in items:
        stored = None if item.producer == INSTANCE else release_about(item, releases)
        if item.producer != INSTANCE and stored is None:
            LOG.warning(_AS_IT_STANDS, item.id, item.kind, "its release is gone")
        if stored is not None and _differs(connection, instance, item, stored):
            _withdraw(connection, instance, item, stored)
            continue
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


def _differs(connection: Connection, instance: Instance, item: Evidence, stored: StoredRelease) -> bool:
    """Tell whether an item says something else than its bytes; what is not known is logged, and no difference."""
    found, why = Reread.UNKNOWN, "it cannot be held against what it was"
    try:
        with connection.begin_nested():
            found = reread(connection, instance, item, stored)
    except Exception as error:  # noqa: BLE001 - whatever one item meets must not keep the others from this look
        why = f"reading it raised {type(error).__name__}"
    if found is Reread.UNKNOWN:
        LOG.warning(_AS_IT_STANDS, item.id, item.kind, why)
    return found is Reread.DIFFERS


def _withdraw(connection: Connection, instance: Instance, item: Evidence, stored: StoredRelease) -> None:
    now = instance.clock.now()
    text = (
        f"{item.id} was attached before readings were recorded, and its reader makes something else of the bytes than"
        " the row says. Attach the same file again: `pilotage evidence add`."
    )
    withdraw(connection, item.id, Reason(code="EV_READING_DIFFERS", text=text, where=item.id))
    record(
        connection,
        EntryKind.EVIDENCE_WITHDRAWN,
        actor=MACHINE,
        at=now,
        subject=item.id,
        data={"kind": item.kind, "sha256": item.sha256},
        opened={"reason": text},
    )
    notice = Notice(
        title=f"{stored.workflow}: {item.kind} evidence was withdrawn",
        text=text,
        links={"release": stored.digest},
        facts={"workflow": stored.workflow, "evidence": item.id},
    )
    send(connection, instance, (Notify.OWNER,), notice, at=now)
