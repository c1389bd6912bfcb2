"""Who answers for a workflow now: its owner, who is on duty, and who is called after them (operations.md 3.3).

Rule: reads the declared workspace only. Fail mode: a rota that is not declared, or not begun, has nobody on duty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.core.ids import PersonId
from pilotage.incident.duty import on_duty
from pilotage.workspace.operations import Escalation
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCall:
    """`duty`: who is on duty, primary first. `support`: whom users turn to, as declared; empty: nobody is named."""

    owner: PersonId
    owner_email: str | None
    duty: tuple[PersonId, ...]
    escalation: tuple[Escalation, ...]
    support: str


def on_call_now(workspace: Workspace, workflow: Workflow, now: datetime) -> OnCall:
    """Return who answers for a workflow."""
    rota = workspace.operations.rotas.get(workflow.on_call)
    owner = workspace.people.get(workflow.owner)
    return OnCall(
        owner=workflow.owner,
        owner_email=next(iter(() if owner is None else owner.emails), None),
        duty=() if rota is None else tuple(one for one in on_duty(rota, now) if one is not None),
        escalation=() if rota is None else rota.escalation,
        support=workflow.support,
    )
