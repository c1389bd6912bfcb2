"""What people at a gate want changed, each with the release that answered it, if one did.

Rule: the next release of the workflow with other parts, sealed after the request, answers it; nothing is written for
that. Fail mode: None for an id that names none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text, update

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.gate.change_request import ChangeRequest
from pilotage.identity.roles import Role
from pilotage.store.tables.gates import gate_change_request

_FOUND = """
SELECT c.*, r.workflow, n.digest AS answered_by FROM gate_change_request c JOIN release r ON r.digest = c.release
LEFT JOIN LATERAL (
  SELECT digest FROM release n
  WHERE n.workflow = r.workflow AND n.sealed_at > c.at AND n.parts_digest <> r.parts_digest
  ORDER BY n.sealed_at, n.digest LIMIT 1) n ON true
"""
_OF_RELEASE = text(f"{_FOUND} WHERE c.release = :release ORDER BY c.at, c.id")
_PAGE = text(
    f"{_FOUND} WHERE c.release = :release AND (:gate = '' OR c.gate = :gate) AND (:after = '' OR (c.at, c.id) >"  # noqa: S608 - constants
    " (SELECT at, id FROM gate_change_request WHERE id = :after)) ORDER BY c.at, c.id LIMIT :most"
)
_KNOWN = text("SELECT EXISTS (SELECT FROM gate_change_request WHERE id = :id AND release = :release)")
_ONE = text(f"{_FOUND} WHERE c.id = :id FOR UPDATE OF c")
_OPEN = text(f"{_FOUND} WHERE c.closed_at IS NULL AND n.digest IS NULL ORDER BY c.at, c.id")


def add_request(connection: Connection, one: ChangeRequest) -> None:
    """Write a new request."""
    names = ("id", "release", "gate", "person", "text", "at")
    values = {name: getattr(one, name) for name in names}
    connection.execute(gate_change_request.insert().values(role=one.role.value, **values))


def requests_about(connection: Connection, release: Digest) -> tuple[ChangeRequest, ...]:
    """Return what was asked about a release, oldest first."""
    return tuple(_request(row) for row in connection.execute(_OF_RELEASE, {"release": release}).mappings())


def is_about(connection: Connection, name: str, release: Digest) -> bool:
    """Tell whether a request of this id is about a release."""
    return bool(connection.scalar(_KNOWN, {"id": name, "release": release}))


def requests_after(
    connection: Connection, release: Digest, *, gate: str, after: str, most: int
) -> tuple[ChangeRequest, ...]:
    """Return what was asked about a release behind a request, oldest first; "" is every gate, and from the first."""
    values = {"release": release, "gate": gate, "after": after, "most": most}
    return tuple(_request(row) for row in connection.execute(_PAGE, values).mappings())


def open_requests(connection: Connection) -> tuple[ChangeRequest, ...]:
    """Return what waits for authors, oldest first."""
    return tuple(_request(row) for row in connection.execute(_OPEN).mappings())


def find_request(connection: Connection, name: str) -> ChangeRequest | None:
    """Return one request, its row locked."""
    row = connection.execute(_ONE, {"id": name}).mappings().first()
    return None if row is None else _request(row)


def close(connection: Connection, name: str, *, at: datetime, reason: str) -> None:
    """Close a request; the caller holds its row."""
    row = update(gate_change_request).where(gate_change_request.c.id == name)
    connection.execute(row.values(closed_at=at, closed_reason=reason))


def _request(row: Mapping[Any, Any]) -> ChangeRequest:
    return ChangeRequest(
        id=row["id"],
        release=Digest(row["release"]),
        workflow=WorkflowName(row["workflow"]),
        gate=row["gate"],
        role=Role(row["role"]),
        person=PersonId(row["person"]),
        text=row["text"],
        at=row["at"],
        answered_by=None if row["answered_by"] is None else Digest(row["answered_by"]),
        closed_at=row["closed_at"],
        closed_reason=row["closed_reason"],
    )
