"""`pilotage gate revoke`: a delegation or a risk acceptance ends before its time.

Rule: who gave a delegation takes it back; a risk acceptance is withdrawn by its owner or by one who approved it. What
it carried is decided anew at once. Fail mode: a Refusal for anybody else, NotFound for an id that names neither.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.gate_people import (
    acceptance_by_id,
    delegations,
    revoke_delegation,
    withdraw_acceptance,
)


def revoke_named(instance: Instance, *, actor: Principal, name: str, reason: str) -> str | Refusal:
    """End a delegation or an acceptance, and return which of the two it was."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        given = next((one for one in delegations(connection) if one.id == name), None)
        if given is not None:
            if given.giver != actor.person:
                return _no(name, f"The delegation was given by {given.giver}; only the giver takes it back.")
            revoke_delegation(connection, name, now)
            _record(connection, EntryKind.GATE_DELEGATION_REVOKED, actor, name, reason, now)
            return "delegation"
        risk = acceptance_by_id(connection, name)
        if risk is None:
            text = f"{name!r} names no delegation and no risk acceptance."
            raise NotFound("GATE_ID_UNKNOWN", text, hint="Ids stand in `pilotage gate status --json`.")
        able = {risk.owner, *(one.person for one in risk.approvers)}
        if actor.person not in able:
            return _no(name, f"The acceptance is withdrawn by its owner or an approver: {', '.join(sorted(able))}.")
        withdraw_acceptance(connection, name, now)
        _record(connection, EntryKind.GATE_RISK_WITHDRAWN, actor, name, reason, now)
        return "acceptance"


def _no(name: str, text: str) -> Refusal:
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=name),))


def _record(connection: Connection, kind: EntryKind, actor: Principal, name: str, reason: str, now: datetime) -> None:
    record(connection, kind, actor=actor, at=now, subject=name, data={}, opened={"reason": reason})
