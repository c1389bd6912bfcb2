"""`/api/v1/keys`."""

from __future__ import annotations

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.create_key import KeyRequest, create_key
from pilotage.control.revoke_key import revoke_key
from pilotage.control.rotate_key import rotate_key
from pilotage.core.clock import to_text
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Action, may
from pilotage.identity.service_key import DEFAULT_DAYS, LOCAL_SCOPES, KeyKind, ServiceKey
from pilotage.store.service_keys import list_keys


class Creating(Body):
    """A key for a person (local mode; yourself by default) or, with `service`, for a service."""

    person: str | None = None
    service: str | None = None
    owner: str | None = None
    spaces: list[str] = msgspec.field(default_factory=list)
    workflows: list[str] = msgspec.field(default_factory=list)
    scopes: list[str] = msgspec.field(default_factory=lambda: list(LOCAL_SCOPES))
    groups: list[str] = msgspec.field(default_factory=list)
    ips: list[str] = msgspec.field(default_factory=list)
    days: int = DEFAULT_DAYS


def _list(call: Call) -> Result:
    with call.instance.engine.connect() as connection:
        found = list_keys(connection)
    is_admin = may(call.actor.roles, Action.MANAGE_KEYS) is None
    mine = str(call.actor.person)
    return {"keys": [_record(key) for key in found if is_admin or mine in {key.name, key.owner}]}


def _record(key: ServiceKey) -> dict[str, object]:
    return {
        "id": key.id,
        "kind": str(key.kind),
        "name": key.name,
        "owner": key.owner,
        "expires_at": to_text(key.expires_at),
        "revoked_at": None if key.revoked_at is None else to_text(key.revoked_at),
    }


def _create(call: Call) -> Result:
    asked: Creating = call.fields
    holder = asked.service or asked.person or str(call.actor.person)
    request = KeyRequest(
        kind=KeyKind.SERVICE if asked.service else KeyKind.LOCAL,
        name=holder,
        owner=PersonId(asked.owner or (str(call.actor.person) if asked.service else holder)),
        spaces=tuple(asked.spaces),
        workflows=tuple(asked.workflows),
        scopes=tuple(asked.scopes),
        groups=tuple(asked.groups),
        ips=tuple(asked.ips),
        days=asked.days,
    )
    done = create_key(call.instance, actor=call.actor, request=request)
    if isinstance(done, Refusal):
        return done
    return {"key": done.text, "id": done.key.id, "for": holder, "expires_at": to_text(done.key.expires_at)}


def _rotate(call: Call) -> Result:
    done = rotate_key(call.instance, actor=call.actor, identifier=call.params["key"])
    if isinstance(done, Refusal):
        return done
    until = to_text(done.old_expires_at)
    return {"key": done.issued.text, "id": done.issued.key.id, "old": done.old, "until": until}


def _revoke(call: Call) -> Result:
    at = revoke_key(call.instance, actor=call.actor, identifier=call.params["key"])
    return {"id": call.params["key"], "revoked_at": to_text(at)}


OPERATIONS = (
    Operation(
        method="GET",
        path="/keys",
        command="key list",
        summary="List keys: one's own, or all for an administrator",
        gives="Keys without their secrets.",
        run=_list,
    ),
    Operation(
        method="POST",
        path="/keys",
        command="key create",
        summary="Create a key",
        gives="The key, shown once.",
        run=_create,
        takes=Creating,
    ),
    Operation(
        method="POST",
        path="/keys/{key}/rotation",
        command="key rotate",
        summary="Replace a key; the old one works on for seven days",
        gives="The new key, shown once.",
        run=_rotate,
    ),
    Operation(
        method="POST",
        path="/keys/{key}/revocation",
        command="key revoke",
        summary="Revoke a key at once",
        gives="When.",
        run=_revoke,
    ),
)
