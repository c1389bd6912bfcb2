"""Sign in to the console with a local key, and stay signed in for a while (console.md 5).

Rule: the cookie's token is random and only its SHA-256 is stored; a session ends after 30 minutes without use, after
10 hours at the latest, and at once when its key is revoked. Fail mode: a Refusal that never says whether a key exists.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.control.instance import Instance
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.service_key import KeyKind, KeyParts, check_key, parse_key
from pilotage.store.console_forms import remove_old_forms
from pilotage.store.console_sessions import (
    StoredSession,
    add_session,
    live_session,
    remove_ended_sessions,
    remove_session,
    touch_session,
)
from pilotage.store.service_keys import find_key
from pilotage.workspace.principals import key_principal, local_principal

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=10)
RECENT: Final = timedelta(minutes=15)
"""How old a login may be for a decision of weight."""
_TOUCH_AFTER: Final = timedelta(minutes=1)
_FORMS_KEPT: Final = timedelta(days=2)
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session of a person. `token` is the cookie's value."""

    token: str
    principal: Principal
    authenticated_at: datetime

    def __repr__(self) -> str:
        return f"SignedIn(principal={self.principal.id!r})"

    def is_recent(self, now: datetime) -> bool:
        """Tell whether the login is young enough for a decision of weight."""
        return now - self.authenticated_at <= RECENT


def open_session(
    instance: Instance, *, key: str, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> SignedIn | Refusal:
    """Sign a person in by their local key."""
    now = instance.clock.now()
    parts = parse_key(key.strip())
    with instance.engine.begin() as connection:
        stored = None if parts is None else find_key(connection, parts.id)
        refused = check_key(stored, parts or KeyParts(id="", secret=""), now=now)
        if refused is not None or stored is None:
            return _no(refused)
        if stored.kind is not KeyKind.LOCAL:
            text = "This is the key of a service. People sign in with a key of their own: `pilotage key create`."
            return Refusal(reasons=(Reason(code="KEY_NOT_PERSONAL", text=text),))
        principal = key_principal(instance.workspace, stored)
        if isinstance(principal, CredentialRefused) or principal.person is None:
            return _no(principal if isinstance(principal, CredentialRefused) else None)
        token = entropy(_TOKEN_BYTES).hex()
        remove_ended_sessions(connection, now)
        remove_old_forms(connection, now - _FORMS_KEPT)
        session = StoredSession(
            id=_hash(token),
            principal=principal.id,
            person=principal.person,
            via=stored.id,
            authenticated_at=now,
            seen_at=now,
            ends_at=now + LONGEST,
        )
        add_session(connection, session)
    return SignedIn(token=token, principal=principal, authenticated_at=now)


def find_session(instance: Instance, token: str, *, touch: bool = True) -> SignedIn | None:
    """Return who is signed in with this token, or None; roles and groups are those declared now.

    Without `touch` looking does not count as use: a page left open ends its session too.
    """
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        found = live_session(connection, _hash(token), now=now, idle_since=now - IDLE)
        if found is None or found.person not in instance.workspace.people:
            return None
        if touch and now - found.seen_at > _TOUCH_AFTER:
            touch_session(connection, found.id, now)
    principal = local_principal(instance.workspace, PersonId(found.person), via=found.via)
    return SignedIn(token=token, principal=principal, authenticated_at=found.authenticated_at)


def close_session(instance: Instance, token: str) -> None:
    """Sign out."""
    with instance.engine.begin() as connection:
        remove_session(connection, _hash(token))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _no(refused: CredentialRefused | None) -> Refusal:
    text = refused.text if refused is not None else "The key is not valid here."
    code = str(refused.code.value) if refused is not None else "invalid_key"
    return Refusal(reasons=(Reason(code=code.upper(), text=text),))
