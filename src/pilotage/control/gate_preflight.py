"""How many go-criteria of the workflow's plan its traffic cannot decide: a fact of the board's gate.

Fail mode: None where there is no plan or no figure of the traffic; the fact is then absent.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.rollout_preflight import Asked, Foresight, foresee
from pilotage.rollout.preflight import Decidability
from pilotage.workspace.workflow import Workflow

_OPEN = frozenset({Decidability.UNDECIDABLE, Decidability.UNKNOWN})


def gate_forecast(connection: Connection, workflow: Workflow, now: datetime) -> Foresight | None:
    """Return what the default plan can prove with the traffic there is."""
    rollout = workflow.rollout
    if rollout is None:
        return None
    plan = rollout.plans[rollout.default_plan]
    asked = Asked(workflow=workflow.name, attempt=1, accepted=True, expected=workflow.expected_per_day)
    return foresee(connection, plan, asked, now=now)


def undecidable_metrics(connection: Connection, workflow: Workflow, now: datetime) -> int | None:
    """Return the number of undecidable go-criteria over all steps of the default plan."""
    found = gate_forecast(connection, workflow, now)
    if found is None or found.per_day is None:
        return None
    return sum(1 for step in found.forecast.steps for criterion in step.criteria if criterion.decidability in _OPEN)
