"""A gap in the rota of a workflow that serves in production: a SEV3 that pages its owner (rollouts.md 11).

Rule: told once, while its incident is open. Fail mode: a look that fails is repeated; a workflow without a rota is told
by `validate`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble
from pilotage.control.rollout_moves import Deed
from pilotage.control.standing_trouble import page_once
from pilotage.incident.duty import days_covered
from pilotage.incident.records import Severity
from pilotage.store.routes import read_route
from pilotage.workspace.operations import Rota
from pilotage.workspace.workflow import Workflow

MACHINE: Final = "system:rosters"
CAUSE: Final = "roster gap"
AHEAD_DAYS: Final = 28


def watch_rosters(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """Look at the rota of every workflow that serves in production; return those with a gap that is told now."""
    told: list[str] = []
    for workflow in instance.workspace.workflows.values():
        rota = instance.workspace.operations.rotas.get(workflow.on_call)
        if rota is None or not _serves(connection, instance, workflow):
            continue
        days = days_covered(rota, instance.clock.now(), most=AHEAD_DAYS)
        if days < AHEAD_DAYS and _tell(connection, instance, workflow, rota, days):
            told.append(workflow.name)
    return tuple(told)


def _serves(connection: Connection, instance: Instance, workflow: Workflow) -> bool:
    routes = (read_route(connection, space, workflow.name) for space in instance.workspace.production_spaces)
    return any(route.stable is not None or route.candidate is not None for route in routes)


def _tell(connection: Connection, instance: Instance, workflow: Workflow, rota: Rota, days: int) -> bool:
    text = (
        f"In {days} days fewer than {rota.minimum} people are on duty for {workflow.name}; a rota has no gap for"
        f" {AHEAD_DAYS} days. Mend `oncall.yaml`."
    )
    trouble = Trouble(
        workflow=workflow.name,
        space="",
        spaces=(),
        release=None,
        cause=CAUSE,
        severity=Severity.SEV3,
        summary=text,
    )
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    return page_once(connection, instance, trouble, deed, facts={"owner": workflow.owner, "days": days})
