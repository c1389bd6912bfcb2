"""What the verification of a rollback looks at, space by space (rollouts.md 8.2): answers, processes, probes, health.

Rule: read on the connection that decides. Fail mode: what nobody knows is None, which verifies nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.eprocess import log_gt, threshold
from pilotage.control.instance import Instance
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.states import State
from pilotage.rollout.validation import Facts, unmet
from pilotage.space.health import HealthState
from pilotage.store.rollout_records import answers_since, failures_since
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import Ack, acks_of, read_route
from pilotage.store.space_health import read_health

_TRIP_ALPHA = 0.001


def unverified(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout, now: datetime
) -> tuple[Reason, ...] | None:
    """Return what a rollback has still to show in every space it took traffic from; None where none is verified."""
    if stored.state is not State.VALIDATING or stored.flipped_at is None:
        return None
    found: list[Reason] = []
    for space in stored.flipped:
        found += unmet(_validation(connection, instance, ports, stored, space), now)
    return tuple(found)


def _validation(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout, space: SpaceName
) -> Facts:
    since = stored.flipped_at or stored.created_at
    route = read_route(connection, space, stored.workflow)
    live = [ack for ack in acks_of(connection, space, stored.workflow) if ack.is_alive]
    count, last = answers_since(connection, space, stored.workflow, release=stored.release, since=since)
    step = stored.place.of(stored.plan)
    n, x = (0, 0)
    if route.stable is not None:
        n, x = failures_since(connection, space, stored.workflow, release=route.stable, since=since)
    workflow = instance.workspace.workflows.get(stored.workflow)
    return Facts(
        flipped_at=since,
        candidate_answers_since=count,
        last_candidate_answer=last,
        target_answers=route.stable is not None,
        critical=0 if workflow is None else len(critical_cases(workflow)),
        processes=len(live),
        probes=ports.probe(
            connection, space=space, workflow=stored.workflow, generation=route.generation, release=route.stable
        ),
        is_healthy=_is_healthy(connection, space, live, route.stable),
        error_trip_silent=log_gt(n, x, step.limits.error_trip) < threshold(_TRIP_ALPHA) or x < 2,
    )


def _is_healthy(connection: Connection, space: SpaceName, live: list[Ack], stable: str | None) -> bool | None:
    """Tell whether the space is judged healthy and every live process has the target loaded; None: nobody knows."""
    health = read_health(connection, space)
    if health is None or not health.is_fresh or health.state is HealthState.UNKNOWN or not live:
        return None
    return health.state is HealthState.HEALTHY and all(stable in ack.loaded for ack in live)
