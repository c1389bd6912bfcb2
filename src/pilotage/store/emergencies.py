"""Emergency changes as rows: who opened and confirmed one, for which spaces, how it ended and who looked back.

Rule: the caller owns the transaction; a row is changed by who has locked it. Fail mode: None for an id that names none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text, update

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.gate.emergency import Emergency, standing
from pilotage.identity.roles import Role
from pilotage.store.tables.gates import emergency_change
from pilotage.store.tables.releases import release
from pilotage.store.tables.serving import deployment
from pilotage.store.together import StoredRow

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('pilotage emergency ' || :workflow))")


def lock_emergencies(connection: Connection, workflow: str) -> None:
    """Let the emergencies of a workflow begin one after the other: two requests of one moment see each other."""
    connection.execute(_LOCK, {"workflow": workflow})


def add_emergency(connection: Connection, one: Emergency) -> None:
    """Write a new row."""
    connection.execute(emergency_change.insert().values(_values(one)))


def save_emergency(connection: Connection, one: Emergency) -> None:
    """Write a row that the caller has locked."""
    connection.execute(update(emergency_change).where(emergency_change.c.id == one.id).values(_values(one)))


def find_emergency(connection: Connection, name: str, *, lock: bool = False) -> Emergency | None:
    """Return one by its id, locked when asked."""
    query = select(emergency_change).where(emergency_change.c.id == name)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else emergency_from(row)


def emergencies_of(connection: Connection, digest: str) -> tuple[Emergency, ...]:
    """Return those of a release, oldest first."""
    return _listed(connection, emergency_change.c.release == digest)


def emergencies_of_parts(connection: Connection, parts_digest: str) -> tuple[Emergency, ...]:
    """Return those of every release with the same content, whatever its name or parent."""
    same = select(release.c.digest).where(release.c.parts_digest == parts_digest)
    return _listed(connection, emergency_change.c.release.in_(same))


def emergencies_in(connection: Connection, workflow: str | None = None) -> tuple[Emergency, ...]:
    """Return those of a workflow, or all, oldest first."""
    table = emergency_change
    return _listed(connection, *([] if workflow is None else [table.c.workflow == workflow]))


def unsettled_emergencies(connection: Connection) -> tuple[Emergency, ...]:
    """Return confirmed ones whose end was not settled yet."""
    table = emergency_change
    return _listed(connection, table.c.confirmed_at.is_not(None), table.c.outcome.is_(None))


def basis_in(connection: Connection, digest: str, space: SpaceName, now: datetime) -> str:
    """Return on what basis a release is in a space: that of its newest deployment, else what lets it in now."""
    table = deployment
    query = select(table.c.basis).where(table.c.release == digest, table.c.space == space)
    found = connection.scalar(query.order_by(table.c.at.desc(), table.c.id.desc()).limit(1))
    if found is not None:
        return str(found)
    return "normal" if standing(emergencies_of(connection, digest), space, now) is None else "emergency"


def leave_waiting(connection: Connection, digest: str, space: SpaceName) -> None:
    """Retire what an emergency let in and no rollout took up."""
    table = deployment
    here = (table.c.release == digest, table.c.space == space, table.c.state == "waiting")
    connection.execute(update(table).where(*here, table.c.basis == "emergency").values(state="retired"))


def brought_since(connection: Connection, spaces: Collection[str], since: datetime) -> tuple[int, int]:
    """Return how many releases came into these spaces by an emergency since then, and how many came at all.

    A release counts once for a space: by emergency when any of its deployments there was one.
    """
    table = deployment
    pairs = (
        select(func.bool_or(table.c.basis == "emergency").label("is_emergency"))
        .where(table.c.space.in_(list(spaces)), table.c.at >= since)
        .group_by(table.c.space, table.c.workflow, table.c.release)
        .subquery()
    )
    query = select(func.count().filter(pairs.c.is_emergency), func.count()).select_from(pairs)
    row = connection.execute(query).one()
    return int(row[0]), int(row[1])


def _listed(connection: Connection, *wanted: ColumnElement[bool]) -> tuple[Emergency, ...]:
    table = emergency_change
    query = select(table).where(*wanted).order_by(table.c.opened_at, table.c.id)
    return tuple(emergency_from(row) for row in connection.execute(query).mappings())


def _values(one: Emergency) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in Emergency.__dataclass_fields__}
    confirmed = None if one.confirmed_role is None else one.confirmed_role.value
    return {**values, "spaces": list(one.spaces), "opened_role": one.opened_role.value, "confirmed_role": confirmed}


def emergency_from(row: StoredRow) -> Emergency:
    """Return an emergency change from its row."""
    confirmed = row["confirmed_role"]
    return Emergency(
        **{
            **row,
            "release": Digest(row["release"]),
            "workflow": WorkflowName(row["workflow"]),
            "spaces": tuple(SpaceName(one) for one in row["spaces"]),
            "opened_by": PersonId(row["opened_by"]),
            "opened_role": Role(row["opened_role"]),
            "confirmed_role": None if confirmed is None else Role(confirmed),
        }
    )
