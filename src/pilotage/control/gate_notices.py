"""Telling people that it is their turn at a gate, through the outbox, once per person and state of the gate.

Rule: in the transaction of the change that made it their turn. Fail mode: a message nobody can be sent to is listed in
the inbox all the same; nothing waits for it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.ids import new_ulid
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.outbox import add_message
from pilotage.store.releases import StoredRelease
from pilotage.workspace.records import MessageKind


def notify_turns(
    connection: Connection, instance: Instance, stored: StoredRelease, report: GateReport, now: datetime
) -> None:
    """Write a message to every approval channel for those who may sign now, or that the gate is decided."""
    channels = [one for one in instance.workspace.channels.values() if MessageKind.APPROVAL in one.kinds]
    if not channels:
        return
    open_roles = [one for one in report.signoffs if not one.is_complete]
    if report.status not in {GateStatus.READY, GateStatus.IN_REVIEW} and not report.status.is_approved:
        return
    waiting = sorted({str(who) for one in open_roles for who in one.eligible if who not in one.approved_by})
    payload = {
        "workflow": stored.workflow,
        "release": stored.digest,
        "gate": report.gate,
        "status": report.status.value,
        "roles": sorted({one.role.value for one in open_roles}),
        "people": waiting,
    }
    for channel in channels:
        add_message(
            connection,
            message_id=new_ulid(now),
            kind="notification",
            target=channel.name,
            payload=payload,
            now=now,
        )
