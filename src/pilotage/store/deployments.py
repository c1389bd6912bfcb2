"""Deployments: what stands in which space since when, and on which gate reports it rests.

Rule: a deployment and its routing row (store/routes.py) are written in one transaction. Fail mode: history is only
added to; a deployment that ended keeps its row with its state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.store.tables.serving import deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One release in one space. `state`: active, waiting (for its rollout), retired, rolled_back.

    `space_change`: the settings in which the space differed from the one before it then.
    """

    id: str
    workflow: WorkflowName
    space: SpaceName
    release: Digest
    basis: str
    engine: str
    promoted_by: str
    at: datetime
    previous: str | None
    state: str
    plan: str | None = None
    space_config: str | None = None
    policy: str | None = None
    healthy_since: datetime | None = None
    space_change: Mapping[str, Any] | None = None


def add_deployment(connection: Connection, one: Deployment, gate_reports: list[dict[str, Any]]) -> None:
    """Write a deployment; an earlier one of the same release there is kept as history."""
    values = {name: getattr(one, name) for name in Deployment.__dataclass_fields__}
    connection.execute(deployment.insert().values(**values, gate_reports=gate_reports))


def deployments_of(
    connection: Connection, workflow: WorkflowName, *, releases: Collection[str] | None = None
) -> tuple[Deployment, ...]:
    """Return the deployments of a workflow, or of some of its releases, oldest first."""
    query = select(deployment).where(deployment.c.workflow == workflow).order_by(deployment.c.at, deployment.c.id)
    if releases is not None:
        query = query.where(deployment.c.release.in_(list(releases)))
    return tuple(_deployment(row) for row in connection.execute(query).mappings())


def first_deployed(
    connection: Connection, workflows: Collection[WorkflowName]
) -> dict[tuple[WorkflowName, SpaceName], datetime]:
    """Return when each space first held a release of these workflows."""
    first = func.min(deployment.c.at)
    query = select(deployment.c.workflow, deployment.c.space, first.label("at")).where(
        deployment.c.workflow.in_(list(workflows))
    )
    rows = connection.execute(query.group_by(deployment.c.workflow, deployment.c.space))
    return {(WorkflowName(row.workflow), SpaceName(row.space)): row.at for row in rows}


def retire_others(connection: Connection, one: Deployment) -> None:
    """Mark what stood in the space before as retired."""
    table = deployment
    connection.execute(
        update(table)
        .where(
            table.c.workflow == one.workflow,
            table.c.space == one.space,
            table.c.id != one.id,
            table.c.state == "active",
        )
        .values(state="retired")
    )


def _deployment(row: RowMapping) -> Deployment:
    return Deployment(
        id=row["id"],
        workflow=WorkflowName(row["workflow"]),
        space=SpaceName(row["space"]),
        release=Digest(row["release"]),
        basis=row["basis"],
        engine=row["engine"],
        promoted_by=row["promoted_by"],
        at=row["at"],
        previous=row["previous"],
        state=row["state"],
        plan=row["plan"],
        space_config=row["space_config"],
        policy=row["policy"],
        healthy_since=row["healthy_since"],
        space_change=row["space_change"],
    )
