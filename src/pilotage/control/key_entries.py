"""What every change of a key shares: its ledger entry and the notification that reaches each process within a second.

The entry holds scopes, spaces and groups; names of people stand in it as commitments.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.service_key import KeyKind, ServiceKey
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_entries import append
from pilotage.store.notify import Channel, notify
from pilotage.store.pseudonyms import pseudonym_of


def record_key(
    connection: Connection,
    kind: EntryKind,
    key: ServiceKey,
    *,
    actor: Principal,
    at: datetime,
    more: Mapping[str, Json] | None = None,
) -> None:
    """Append the entry about a changed key and tell every process, in the caller's transaction."""
    opened = disclosures_of({"owner": key.owner, "name": key.name}, entropy=secrets.token_bytes)
    data: dict[str, Json] = {
        "kind": key.kind.value,
        "scopes": list(key.scopes),
        "spaces": list(key.spaces),
        "workflows": list(key.workflows),
        "groups": list(key.groups),
        "delegation": key.delegation,
        "expires_at": to_text(key.expires_at),
        **(more or {}),
    }
    entry = encode_entry(
        id=new_ulid(at),
        kind=kind,
        at=at,
        actor=pseudonym_of(connection, actor.id),
        subject=key.id,
        data=data,
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)
    notify(connection, Channel.KEYS, key.id)


def owns_key(actor: Principal, key: ServiceKey) -> bool:
    """Tell whether the key is the actor's own: their local key, or a service's that they answer for."""
    mine = key.name if key.kind is KeyKind.LOCAL else key.owner
    return actor.person is not None and actor.person == mine


def no(code: str, text: str, *, observed: str | None = None, limit: str | None = None) -> Refusal:
    """Return a refusal with one reason."""
    return Refusal(reasons=(Reason(code=code, text=text, observed=observed, limit=limit),))
