"""An item of evidence on its way into the store: what its reader found, whether it is there already, bytes with entry.

Rule: bytes, item and ledger entry are the caller's one transaction. Fail mode: a database error.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.gate_entries import evidence_data
from pilotage.control.record_entry import record
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence, EvidenceState, Reading
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.evidence import add_evidence, same_evidence


def with_reading(item: Evidence, read: Reading) -> Evidence:
    """Return the item with what its reader found."""
    return replace(
        item,
        claims=dict(read.claims),
        reader=read.reader,
        summary=read.summary,
        findings=read.findings,
        refs={**item.refs, **read.refs},
        names=dict(read.names),
        produced_at=read.produced_at or item.received_at,
    )


def known_item(connection: Connection, item: Evidence) -> Evidence:
    """Return the item that is there already when the same bytes say the same of the same subject, no less trusted.

    One that a reader of another version read is not.
    """
    if item.state is not EvidenceState.ACCEPTED:
        return item
    known = same_evidence(connection, item)
    is_there = known is not None and known.trust.rank >= item.trust.rank and changed_reason(known) is None
    return known if known is not None and is_there else item


def keep_item(connection: Connection, item: Evidence, body: bytes, *, actor: Principal | None, at: datetime) -> None:
    """Store an item with its bytes and its entry; actor None: the instance itself."""
    add_evidence(connection, item, body)
    accepted = item.state is EvidenceState.ACCEPTED
    record(
        connection,
        EntryKind.EVIDENCE_ATTACHED if accepted else EntryKind.EVIDENCE_REJECTED,
        actor=actor,
        at=at,
        subject=item.id,
        space=item.space or "",
        data={
            **evidence_data(item),
            "state": item.state.value,
            "reason": "" if item.reason is None else item.reason.code,
        },
        opened={"person": item.producer},
    )
