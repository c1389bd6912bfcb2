"""Following a rollback to its end from the command that asked for it, with or without a worker.

Rule: each look is the reconciler's own step, under the lease: where a worker looks too, one of them waits; where none
does, the spaces' health is judged here. Fail mode: when the time is over the state is reported as it is, never as
verified.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.rollout_desk import find_named
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.watch_spaces import watch_spaces
from pilotage.core.canonical import Json
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.store.space_health import read_health

LOOK_S: Final = 0.5


def follow_rollback(
    instance: Instance, ports: RolloutPorts, rollout: str, *, wait: timedelta, sleep: Callable[[float], None]
) -> StoredRollout:
    """Look until the rollback is verified, has failed, or `wait` is over; return the rollout as it is then."""
    until = instance.clock.now() + wait
    while True:
        with instance.engine.begin() as connection:
            _judge_health(connection, instance, rollout)
        with instance.engine.begin() as connection:
            reconcile_rollout(connection, instance, ports, rollout)
        with instance.engine.connect() as connection:
            stored = find_named(connection, rollout)
        if stored.state in {State.ROLLED_BACK, State.ROLLBACK_FAILED} or instance.clock.now() >= until:
            return stored
        sleep(LOOK_S)


def _judge_health(connection: Connection, instance: Instance, rollout: str) -> None:
    """Judge the spaces where no worker does: a rollback is verified in a healthy space only."""
    judged = [read_health(connection, space) for space in find_named(connection, rollout).flipped]
    if any(health is None or not health.is_fresh for health in judged):
        watch_spaces(connection, instance)


def zero_json(stored: StoredRollout) -> dict[str, Json]:
    """Return the measured times of a rollback in seconds; `clock_uncertainty_s` where clocks are far apart."""
    measured = {
        "seconds_to_zero_traffic": stored.zero_s,
        "seconds_to_zero_streams": stored.zero_streams_s,
        "clock_uncertainty_s": stored.clock_offset_s,
    }
    return {name: None if seconds is None else round(seconds, 3) for name, seconds in measured.items()}


def rollback_json(stored: StoredRollout) -> dict[str, Json]:
    """Return the documented result of `pilotage rollback`."""
    return {
        "from": stored.release,
        "to": stored.target,
        "spaces": list(stored.flipped),
        **zero_json(stored),
        "incident": stored.incident,
        "verified": stored.state is State.ROLLED_BACK,
        "state": stored.state.value,
        "rollout": stored.id,
        "why": [dict(reason.as_json()) for reason in stored.why],
    }
