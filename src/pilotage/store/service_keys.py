"""Rows of `service_key`: issued keys by id, never their secrets.

The caller owns the transaction. Fail mode: a database error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from pilotage.core.ids import PersonId
from pilotage.identity.service_key import KeyKind, ServiceKey
from pilotage.store.tables.serving import service_key

_LISTS = ("spaces", "workflows", "scopes", "groups", "ips")


def add_key(connection: Connection, key: ServiceKey) -> None:
    """Store a new key."""
    values = {column.name: getattr(key, column.name) for column in service_key.columns}
    lists = {name: list(values[name]) for name in _LISTS}
    connection.execute(insert(service_key).values(**{**values, **lists, "kind": key.kind.value}))


def find_key(connection: Connection, identifier: str, *, lock: bool = False) -> ServiceKey | None:
    """Return one key by id, or None; with `lock` its row is held until the transaction ends."""
    query = select(service_key).where(service_key.c.id == identifier)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else _key(row)


def keys_of(connection: Connection, kind: KeyKind, name: str) -> tuple[ServiceKey, ...]:
    """Return every key of a service or person, oldest first."""
    query = select(service_key).where(service_key.c.kind == kind.value, service_key.c.name == name)
    rows = connection.execute(query.order_by(service_key.c.created_at, service_key.c.id)).mappings()
    return tuple(_key(row) for row in rows)


def list_keys(connection: Connection) -> tuple[ServiceKey, ...]:
    """Return every key, by kind, name and age."""
    order = (service_key.c.kind, service_key.c.name, service_key.c.created_at, service_key.c.id)
    return tuple(_key(row) for row in connection.execute(select(service_key).order_by(*order)).mappings())


def lock_name(connection: Connection, kind: KeyKind, name: str) -> None:
    """Let one transaction at a time change the keys of a name, so that the limit of live keys holds."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"service_key/{kind}/{name}", 0))))


def set_expiry(connection: Connection, identifier: str, expires_at: datetime) -> None:
    """Move the end of a key."""
    connection.execute(update(service_key).where(service_key.c.id == identifier).values(expires_at=expires_at))


def set_revoked(connection: Connection, identifier: str, at: datetime) -> None:
    """Mark a key revoked; the first moment stays."""
    connection.execute(
        update(service_key)
        .where(service_key.c.id == identifier, service_key.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


def _key(row: RowMapping) -> ServiceKey:
    values: dict[str, Any] = {**row} | {name: tuple(row[name]) for name in _LISTS}
    values |= {
        "kind": KeyKind(row["kind"]),
        "owner": PersonId(row["owner"]),
        "secret_sha256": bytes(row["secret_sha256"]),
    }
    return ServiceKey(**values)
