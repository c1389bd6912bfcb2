"""A sandbox with `auto_promote: sealed` serves the newest sealed release of each workflow.

Rule: routing row, deployment record, ledger entries and notification are in the transaction that seals. Fail mode: a
sandbox whose data stage the release does not pin keeps what it serves; the result says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage import __version__
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason
from pilotage.corpus.settings import DataStage
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.space.settings import AutoPromote, Space, Tier
from pilotage.store.ledger_entries import append_many
from pilotage.store.notify import Channel, notify
from pilotage.store.tables.serving import deployment, routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Sandboxes that now serve the release, and why others do not."""

    spaces: tuple[SpaceName, ...]
    skipped: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """The release that enters, with who promotes it (person or principal, and pseudonym)."""

    digest: Digest
    workflow: WorkflowName
    stages: frozenset[DataStage]
    promoted_by: str
    actor: str
    at: datetime


def serve_in_sandboxes(connection: Connection, spaces: Iterable[Space], newcomer: Newcomer) -> Served:
    """Route every fitting sandbox to the release, inside the caller's transaction."""
    served: list[SpaceName] = []
    skipped: list[Reason] = []
    for space in spaces:
        if space.tier is not Tier.SANDBOX or space.auto_promote is not AutoPromote.SEALED:
            continue
        if space.data_stage not in newcomer.stages:
            text = f"{space.name} reads {space.data_stage} documents, and the release pins no corpus of that stage."
            skipped.append(Reason(code="DATA_STAGE", text=text, where=space.name))
            continue
        _route(connection, space, newcomer)
        served.append(space.name)
    return Served(spaces=tuple(served), skipped=tuple(skipped))


def _route(connection: Connection, space: Space, newcomer: Newcomer) -> None:
    key = (routing.c.space == space.name) & (routing.c.workflow == newcomer.workflow)
    before = connection.execute(select(routing.c.stable, routing.c.generation).where(key).with_for_update()).first()
    generation = 1 if before is None else before.generation + 1
    values = {
        "stable": newcomer.digest,
        "closed": None,  # the door that a withdrawal without a successor had closed
        "generation": generation,
        "reason": "sealed",
        "changed_at": newcomer.at,
    }
    row = insert(routing).values(space=space.name, workflow=newcomer.workflow, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["space", "workflow"], set_=values))
    identifier = new_ulid(newcomer.at)
    connection.execute(
        deployment.insert().values(
            id=identifier,
            workflow=newcomer.workflow,
            space=space.name,
            release=newcomer.digest,
            basis="normal",
            engine=__version__,
            promoted_by=newcomer.promoted_by,
            at=newcomer.at,
            previous=None if before is None else before.stable,
            state="active",
        )
    )
    append_many(connection, _entries(space, newcomer, deployed=identifier, generation=generation))
    notify(connection, Channel.ROUTING, f"{space.name}:{newcomer.workflow}:{generation}")


def _entries(space: Space, newcomer: Newcomer, *, deployed: str, generation: int) -> list[EncodedEntry]:
    subjects = {
        EntryKind.DEPLOYMENT_PROMOTED: deployed,
        EntryKind.ROUTE_CHANGED: f"{space.name}/{newcomer.workflow}",
    }
    data: dict[str, Json] = {
        "workflow": newcomer.workflow,
        "release": newcomer.digest,
        "deployment": deployed,
        "generation": generation,
    }
    return [
        encode_entry(
            id=new_ulid(newcomer.at),
            kind=kind,
            at=newcomer.at,
            actor=newcomer.actor,
            subject=subject,
            space=space.name,
            data=data,
        )
        for kind, subject in subjects.items()
    ]
