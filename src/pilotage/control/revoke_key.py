"""`pilotage key revoke`: the key ends now; every process hears of it within a second.

Rule: who owns the key, or a workspace-admin, revokes it. Revoking twice changes nothing. Fail mode: NotFound for a key
that does not exist or is not the actor's.
"""

from __future__ import annotations

from datetime import datetime

from pilotage.control.instance import Instance
from pilotage.control.key_entries import record_key
from pilotage.control.rotate_key import visible_key
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.service_keys import find_key, set_revoked


def revoke_key(instance: Instance, *, actor: Principal, identifier: str) -> datetime:
    """Revoke the key and return since when it is revoked."""
    at = instance.clock.now()
    with instance.engine.begin() as connection:
        key = visible_key(find_key(connection, identifier, lock=True), actor, identifier)
        if key.revoked_at is not None:
            return key.revoked_at
        set_revoked(connection, key.id, at)
        record_key(connection, EntryKind.KEY_REVOKED, key, actor=actor, at=at)
    return at
