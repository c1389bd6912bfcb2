"""`pilotage key create`: a local key for a person, or a key for a service. The key's text is returned once.

Rule: in local identity mode a person may make a key for themself, a workspace-admin for anybody; service keys take a
workspace-admin. At most two live keys per name, at most 365 days. Fail mode: a Refusal with every reason, or
UsageError for names that do not exist; nothing is stored.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.key_entries import no, record_key
from pilotage.core.errors import UsageError
from pilotage.core.ids import SLUG, PersonId
from pilotage.core.located import did_you_mean
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.identity.service_key import (
    DEFAULT_DAYS,
    LIVE_KEYS,
    LOCAL_SCOPES,
    MAX_DAYS,
    SECRET_BYTES,
    KeyKind,
    ServiceKey,
    format_key,
    is_scope,
    new_key_id,
    parse_key,
    secret_hash,
)
from pilotage.ledger.entry import EntryKind
from pilotage.space.settings import Delegation
from pilotage.store.service_keys import add_key, keys_of, lock_name
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """What the key is for. `name` is a person (LOCAL) or a service (SERVICE); `owner` answers for a service."""

    kind: KeyKind
    name: str
    owner: PersonId
    spaces: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    scopes: tuple[str, ...] = LOCAL_SCOPES
    groups: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    delegation: Delegation = Delegation.OPTIONAL
    days: int = DEFAULT_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A new key. `text` is the only copy of the secret: show it once, store it nowhere."""

    key: ServiceKey
    text: str

    def __repr__(self) -> str:
        return f"IssuedKey(key={self.key.id!r})"


def create_key(
    instance: Instance,
    *,
    actor: Principal,
    request: KeyRequest,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> IssuedKey | Refusal:
    """Create a key and record it; the refusal says who may."""
    refusal = _may_create(instance.workspace, actor, request)
    if refusal is not None:
        return refusal
    _check_request(instance.workspace, request)
    at = instance.clock.now()
    with instance.engine.begin() as connection:
        lock_name(connection, request.kind, request.name)
        live = [key for key in keys_of(connection, request.kind, request.name) if key.is_live(at)]
        if len(live) >= LIVE_KEYS:
            ids = ", ".join(key.id for key in live)
            text = f"{request.name} has {len(live)} live keys ({ids}); revoke one first."
            return no("KEY_LIMIT", text, observed=str(len(live)), limit=str(LIVE_KEYS))
        return issue_in(connection, request, actor=actor, at=at, entropy=entropy)


def issue_in(
    connection: Connection, request: KeyRequest, *, actor: Principal, at: datetime, entropy: Callable[[int], bytes]
) -> IssuedKey:
    """Make, store and record one key inside the caller's transaction."""
    text = format_key(new_key_id(entropy), entropy(SECRET_BYTES))
    parts = parse_key(text)
    assert parts is not None
    key = ServiceKey(
        id=parts.id,
        secret_sha256=secret_hash(parts.secret),
        kind=request.kind,
        name=request.name,
        owner=request.owner,
        spaces=request.spaces,
        workflows=request.workflows,
        scopes=request.scopes,
        groups=request.groups,
        ips=request.ips,
        delegation=request.delegation.value,
        created_by=str(actor.person or actor.id),
        created_at=at,
        expires_at=at + timedelta(days=request.days),
    )
    add_key(connection, key)
    record_key(connection, EntryKind.KEY_CREATED, key, actor=actor, at=at)
    return IssuedKey(key=key, text=text)


def _may_create(workspace: Workspace, actor: Principal, request: KeyRequest) -> Refusal | None:
    if request.kind is KeyKind.LOCAL:
        if workspace.identity.mode is not IdentityMode.LOCAL:
            text = "Local keys exist in local identity mode only; sign in with the identity provider."
            return no("LOCAL_KEYS_OFF", text)
        if actor.person is not None and actor.person == request.name:
            return None
    return may(actor.roles, Action.MANAGE_KEYS)


def _check_request(workspace: Workspace, request: KeyRequest) -> None:
    """Raise UsageError for the first name that does not exist or value that does not fit."""
    people = [str(person) for person in workspace.people]
    _require([request.owner], people, "person")
    if request.kind is KeyKind.LOCAL:
        _require([request.name], people, "person")
        if request.owner != request.name or request.groups:
            message = f"The local key of {request.name!r} belongs to that person, with their own groups."
            raise UsageError("KEY_REQUEST", message, hint="Leave owner and groups out.")
    elif SLUG.fullmatch(request.name) is None:
        hint = "Use lower-case letters, digits and hyphens, at most 40 characters."
        raise UsageError("KEY_REQUEST", f"{request.name[:60]!r} cannot name a service.", hint=hint)
    _require(request.spaces, [str(name) for name in workspace.spaces], "space")
    _require(request.workflows, [str(name) for name in workspace.workflows], "workflow")
    if workspace.groups:
        _require(request.groups, sorted(workspace.groups), "group")
    _check_values(request)


def _check_values(request: KeyRequest) -> None:
    if not request.scopes:
        raise UsageError("KEY_REQUEST", "A key without scopes is of no use.", hint="Give --scope ask or the like.")
    for scope in request.scopes:
        if not is_scope(scope):
            hint = "Scopes: ask, feedback, read, evaluate, control:<command>, evidence:<kind or tests.*>."
            raise UsageError("KEY_REQUEST", f"{scope[:60]!r} is not a scope.", hint=hint)
    for address in request.ips:
        try:
            ipaddress.ip_network(address, strict=True)
        except ValueError:
            hint = "Write an address or a CIDR range without host bits."
            raise UsageError("KEY_REQUEST", f"{address[:60]!r} is not an address.", hint=hint) from None
    if not 1 <= request.days <= MAX_DAYS:
        raise UsageError("KEY_REQUEST", f"A key cannot live {request.days} days.", hint=f"Write 1 to {MAX_DAYS}.")


def _require(names: Iterable[str], known: list[str], called: str) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, instead="Declared")
            raise UsageError("KEY_REQUEST", f"There is no {called} {name[:60]!r}.", hint=hint)
