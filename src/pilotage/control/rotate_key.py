"""`pilotage key rotate`: a second key with the same rights; the old one ends after an overlap (default 7 days).

Rule: who owns the key, or a workspace-admin, rotates it; two live keys at most; the overlap never prolongs the old key.
Fail mode: a Refusal; nothing is changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pilotage.control.create_key import IssuedKey, KeyRequest, issue_in
from pilotage.control.instance import Instance
from pilotage.control.key_entries import no, owns_key, record_key
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.identity.service_key import DEFAULT_OVERLAP_DAYS, LIVE_KEYS, MAX_DAYS, ServiceKey
from pilotage.ledger.entry import EntryKind
from pilotage.space.settings import Delegation
from pilotage.store.service_keys import find_key, keys_of, lock_name, set_expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedKey:
    """The new key, and until when the old one works."""

    issued: IssuedKey
    old: str
    old_expires_at: datetime


def rotate_key(
    instance: Instance,
    *,
    actor: Principal,
    identifier: str,
    overlap: timedelta = timedelta(days=DEFAULT_OVERLAP_DAYS),
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> RotatedKey | Refusal:
    """Replace a live key; the refusal says why not."""
    if not timedelta(0) <= overlap <= timedelta(days=MAX_DAYS):
        raise UsageError("KEY_REQUEST", "The overlap is out of range.", hint=f"Write 0 to {MAX_DAYS} days.")
    at = instance.clock.now()
    with instance.engine.begin() as connection:
        old = visible_key(find_key(connection, identifier), actor, identifier)
        lock_name(connection, old.kind, old.name)
        keys = keys_of(connection, old.kind, old.name)
        old = next(key for key in keys if key.id == old.id)
        live = [key for key in keys if key.is_live(at)]
        if old not in live:
            return no("KEY_NOT_LIVE", f"The key {old.id} is expired or revoked; create a new one instead.")
        if len(live) >= LIVE_KEYS:
            other = next(key.id for key in live if key.id != old.id)
            text = f"{old.name} has {len(live)} live keys already; revoke {other} first."
            return no("KEY_LIMIT", text, observed=str(len(live)), limit=str(LIVE_KEYS))
        expires = min(old.expires_at, at + overlap)
        issued = issue_in(connection, _same(old), actor=actor, at=at, entropy=entropy)
        set_expiry(connection, old.id, expires)
        more: dict[str, Json] = {"replaced_by": issued.key.id, "overlap_s": int((expires - at).total_seconds())}
        record_key(connection, EntryKind.KEY_ROTATED, old, actor=actor, at=at, more=more)
    return RotatedKey(issued=issued, old=old.id, old_expires_at=expires)


def visible_key(key: ServiceKey | None, actor: Principal, identifier: str) -> ServiceKey:
    """Return the key the actor may change; raise NotFound for one that does not exist or is not theirs to see."""
    if key is None or not (owns_key(actor, key) or may(actor.roles, Action.MANAGE_KEYS) is None):
        message = f"There is no key {identifier[:20]!r} of yours."
        raise NotFound("KEY_UNKNOWN", message, hint="Ask a workspace-admin, or list your keys.")
    return key


def _same(old: ServiceKey) -> KeyRequest:
    """Return a request for the same rights and the same lifetime."""
    days = max(1, min(MAX_DAYS, (old.expires_at - old.created_at).days))
    return KeyRequest(
        kind=old.kind,
        name=old.name,
        owner=old.owner,
        spaces=old.spaces,
        workflows=old.workflows,
        scopes=old.scopes,
        groups=old.groups,
        ips=old.ips,
        delegation=Delegation(old.delegation),
        days=days,
    )
