"""Sign in with a local key, and stay signed in for a while (console.md 5).

Rule: the token is random and only its SHA-256 is stored; a session ends after 30 minutes without use, after 10 hours at
the latest, and at once when its key is revoked or the workspace signs people in another way. Fail mode: a Refusal that
never says whether a key exists.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.ids import PersonId, PrincipalId
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.records import Login
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.roles import Role
from pilotage.identity.service_key import KeyKind, KeyParts, check_key, parse_key
from pilotage.identity.sign_in import RECENT, Proven
from pilotage.store.console_forms import remove_old_forms
from pilotage.store.console_sessions import (
    StoredSession,
    add_session,
    live_session,
    remove_ended_sessions,
    remove_session,
)
from pilotage.store.person_settings import Settings
from pilotage.store.service_keys import find_key
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.principals import key_principal, linked_accounts, local_principal
from pilotage.workspace.records import Workspace

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=10)
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a login took place whose time nobody knows: never recent."""
OIDC: Final = "oidc"
_TOUCH_AFTER: Final = timedelta(minutes=1)
_FORMS_KEPT: Final = timedelta(days=2)
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session of a person. `token` is the cookie's value. `authenticated_at` None: the provider did not say when.

    `second_factor` None: nobody knows, as with local keys. `settings` are what the account chose for its pages.
    """

    token: str
    principal: Principal
    authenticated_at: datetime | None
    second_factor: bool | None = None
    settings: Settings = field(default_factory=Settings)

    def __repr__(self) -> str:
        return f"SignedIn(principal={self.principal.id!r})"

    def is_recent(self, now: datetime) -> bool:
        """Tell whether the login is young enough for a decision of weight."""
        return self.authenticated_at is not None and now - self.authenticated_at <= RECENT

    @property
    def login(self) -> Login:
        """Return how the person proved themselves, as a vote records it; an unknown time is never recent."""
        method = "oidc" if self.principal.via == OIDC else "console"
        return Login(method=method, at=self.authenticated_at or NEVER, second_factor=self.second_factor)


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
        signed_in = SignedIn(token=entropy(_TOKEN_BYTES).hex(), principal=principal, authenticated_at=now)
        begin_session(connection, signed_in, now=now)
    return signed_in


def open_proven(
    instance: Instance, proven: Proven, *, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> SignedIn:
    """Sign in who the identity provider proved."""
    now = instance.clock.now()
    signed_in = SignedIn(
        token=entropy(_TOKEN_BYTES).hex(),
        principal=_with_roster(instance.workspace, proven.principal),
        authenticated_at=proven.authenticated_at,
        second_factor=proven.second_factor,
    )
    with instance.engine.begin() as connection:
        begin_session(connection, signed_in, now=now, claimed=claimed_of(proven))
    return signed_in


def begin_session(
    connection: Connection, signed_in: SignedIn, *, now: datetime, claimed: Mapping[str, Json] | None = None
) -> None:
    """Store a session, and forget what has ended."""
    remove_ended_sessions(connection, now)
    remove_old_forms(connection, now - _FORMS_KEPT)
    session = StoredSession(
        id=token_hash(signed_in.token),
        principal=signed_in.principal.id,
        person=signed_in.principal.person,
        via=signed_in.principal.via,
        authenticated_at=signed_in.authenticated_at,
        seen_at=now,
        ends_at=now + LONGEST,
        claimed=claimed,
    )
    add_session(connection, session)


def find_session(instance: Instance, token: str, *, touch: bool = True) -> SignedIn | None:
    """Return who is signed in with this token, or None; roles and groups are those declared now.

    Without `touch` looking does not count as use: a page left open ends its session too.
    """
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        unused_since = now - _TOUCH_AFTER if touch else None
        found = live_session(connection, token_hash(token), now=now, idle_since=now - IDLE, touch_before=unused_since)
        principal = None if found is None else _principal(instance.workspace, found)
        if found is None or principal is None:
            return None
    factor = None if found.claimed is None else found.claimed.get("second_factor")
    return SignedIn(
        token=token,
        principal=principal,
        authenticated_at=found.authenticated_at,
        second_factor=factor if isinstance(factor, bool) else None,
        settings=Settings(zone=found.zone, shortcuts=found.shortcuts),
    )


def close_session(instance: Instance, token: str) -> None:
    """Sign out."""
    with instance.engine.begin() as connection:
        remove_session(connection, token_hash(token))


def token_hash(token: str) -> str:
    """Return under which name a token's session is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _no(refused: CredentialRefused | None) -> Refusal:
    text = refused.text if refused is not None else "The key is not valid here."
    code = str(refused.code.value) if refused is not None else "invalid_key"
    return Refusal(reasons=(Reason(code=code.upper(), text=text),))


def claimed_of(proven: Proven) -> Mapping[str, Json]:
    """Return what a session keeps of an ID token: never the token itself."""
    principal = proven.principal
    return {
        "groups": sorted(principal.groups),
        "roles": sorted(role.value for role in principal.roles),
        "region": principal.region,
        "label": principal.label,
        "second_factor": proven.second_factor,
    }


def _principal(workspace: Workspace, found: StoredSession) -> Principal | None:
    """Return who a stored session speaks for now; None when the workspace no longer signs in that way."""
    oidc = workspace.identity.oidc
    if found.claimed is None:
        is_known = workspace.identity.mode is IdentityMode.LOCAL and found.person in workspace.people
        return local_principal(workspace, PersonId(found.person), via=found.via) if is_known and found.person else None
    if workspace.identity.mode is not IdentityMode.OIDC or oidc is None:
        return None
    if not found.principal.startswith(f"{oidc.issuer}|"):
        return None
    stored = msgspec.convert(found.claimed, _Claimed)
    claimed = Principal(
        id=PrincipalId(found.principal),
        kind=PrincipalKind.PERSON,
        groups=frozenset(stored.groups),
        roles=frozenset(stored.roles),
        region=stored.region,
        label=stored.label,
        via=OIDC,
    )
    return _with_roster(workspace, claimed)


class _Claimed(msgspec.Struct, kw_only=True):
    groups: list[str]
    roles: list[Role]
    region: str | None
    label: str


def _with_roster(workspace: Workspace, claimed: Principal) -> Principal:
    """Return an account with the person and the roles that the workspace declares for it now."""
    linked = linked_accounts(workspace).get(claimed.id)
    if linked is None:
        return replace(claimed, person=None)
    region = claimed.region or linked.region
    return replace(claimed, person=linked.person, roles=claimed.roles | linked.roles, region=region)
