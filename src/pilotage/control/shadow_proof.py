"""Whether a rollout has proven what its plan wants before a user meets the candidate (rollouts.md 7.2 row 4, 9).

Rule: the last phase said GO, and the candidate passed its critical questions in every live process since. Fail mode: a
phase that runs, said anything else or never began is no proof; a question nobody asked has not passed.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.reason import Reason
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.pairing import is_proven
from pilotage.rollout.states import State
from pilotage.rollout.validation import probe_reasons
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import acks_of, read_route
from pilotage.store.shadow_pairs import stored_phases


def shadow_proof(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout
) -> tuple[bool, tuple[Reason, ...]]:
    """Return whether the phases said GO, and then which critical questions the candidate has still to pass."""
    if stored.state is not State.SHADOWING:
        return True, ()
    outcomes = {phase.label: phase.outcome for phase in stored_phases(connection, stored.id)}
    if not is_proven(stored.plan, outcomes):
        return False, ()
    workflow = instance.workspace.workflows.get(stored.workflow)
    critical = 0 if workflow is None else len(critical_cases(workflow))
    if not critical:
        return True, ()
    route = read_route(connection, stored.space, stored.workflow)
    live = [ack for ack in acks_of(connection, stored.space, stored.workflow) if ack.is_alive]
    found = ports.probe(
        connection,
        space=stored.space,
        workflow=stored.workflow,
        generation=route.generation,
        release=stored.release,
    )
    return True, tuple(probe_reasons(found, processes=max(1, len(live)), critical=critical))
