"""The end of an emergency change after its 72 hours: every gate is approved by then, or the release leaves its spaces.

Rule: one transaction settles it, so a crash at any point leaves it due again. Where the gates into a space are
approved, go-live among them once there was traffic, the release stays; elsewhere it goes back to the last authorised
release and may not come back. Fail mode: a rollback that cannot begin now leaves it unsettled, to be tried again in a
minute; meanwhile nothing lets its traffic up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.emergency_change import write_entry
from pilotage.control.flip_traffic import Withdrawal, quarantine_in
from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import has_full_approval
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import machine_deed
from pilotage.core.canonical import Json
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.gate.emergency import Emergency
from pilotage.ledger.entry import EntryKind
from pilotage.store.emergencies import find_emergency, leave_waiting, save_emergency
from pilotage.store.releases import named_release

_AGAIN: Final = timedelta(minutes=1)


def end_emergency(connection: Connection, instance: Instance, name: str) -> datetime | None:
    """Settle an emergency that is over; return when to look again, None when there is nothing more to do."""
    one = find_emergency(connection, name, lock=True)
    if one is None or one.confirmed_at is None or one.outcome is not None:
        return None
    now = instance.clock.now()
    if now < one.expires_at:
        return one.expires_at
    notice_changes(connection, instance, now)
    chain = open_chain(connection, instance, named_release(connection, one.release), now)
    left = [space for space in one.spaces if _lacks_approval(chain, space)]
    for space in left:
        if not _take_out(connection, instance, one, space, now):
            return now + _AGAIN
    outcome = "rolled_back" if left else "approved"
    save_emergency(connection, replace(one, ended_at=now, outcome=outcome))
    data: dict[str, Json] = {"outcome": outcome, "left": list(left)}
    write_entry(connection, EntryKind.GATE_EMERGENCY_ENDED, one, actor=None, at=now, data=data)
    return None


def _lacks_approval(chain: Chain, name: SpaceName) -> bool:
    """Tell whether the space lacks full approval; one that nobody declares any more has no gate that could give it."""
    space = chain.instance.workspace.spaces.get(name)
    return space is None or not has_full_approval(chain, space)


def _take_out(connection: Connection, instance: Instance, one: Emergency, space: SpaceName, now: datetime) -> bool:
    """Withdraw the release from a space; tell whether it is out, or on its way."""
    reason = f"emergency {one.id} ended without full approval"
    deed = machine_deed(now)
    request = RollbackRequest(
        workflow=one.workflow, reason=reason, space=space, release=one.release, cause="emergency ended unapproved"
    )
    moved = take_out(connection, instance, request=request, deed=deed)
    if isinstance(moved, Refusal):
        return False
    if not moved:
        kept_out = Withdrawal(workflow=one.workflow, release=one.release, rollout=None, reason=reason, quarantine=True)
        quarantine_in(connection, space, kept_out, deed)
    leave_waiting(connection, one.release, space)
    return True
