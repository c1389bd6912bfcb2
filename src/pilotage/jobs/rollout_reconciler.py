"""The rollouts that are under way, as steps of the reconciler: looked at twice a second, one transaction each.

Rule: everything a look writes, from counts to routing row and messages, commits together with the next look's time.
Fail mode: a failing look is counted on its run and tried again; the rollout's row is as it was, and triggers need no
run to be armed in a person's hand (`pilotage rollback`).
"""

from __future__ import annotations

import os
import socket
from typing import Final

from sqlalchemy import Connection

from pilotage.control.count_observations import count_observations
from pilotage.control.gate_chain import chain_holds
from pilotage.control.instance import Instance
from pilotage.control.reconcile_rollout import next_look, reconcile_rollout
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.start_rollout import RUN_KIND
from pilotage.store.probes import read_probes
from pilotage.store.rollouts import active_ids, find_rollout
from pilotage.store.runs import Again, Done, Outcome, Run, request_run

KIND: Final = RUN_KIND


def rollout_ports() -> RolloutPorts:
    """Return the ports of a real process."""
    return RolloutPorts(
        gate=chain_holds,
        observe=count_observations,
        probe=read_probes,
        owner=f"{socket.gethostname()}:{os.getpid()}",
    )


class RolloutStep:
    """One look at one rollout (`jobs.handlers.Step`)."""

    def __init__(self, ports: RolloutPorts) -> None:
        self._ports = ports

    def __call__(self, instance: Instance, connection: Connection, run: Run, /) -> Outcome:
        """Look, move at most a few steps, and say when to look again."""
        stored = reconcile_rollout(connection, instance, self._ports, run.key)
        if stored is None and find_rollout(connection, run.key) is None:
            return Done()
        again = next_look(connection, stored, instance.clock.now())
        return Done() if again is None else Again(at=again)


def schedule_rollouts(instance: Instance) -> None:
    """Ask for every rollout that is under way, at start-up: a wiped queue of runs loses none."""
    with instance.engine.begin() as connection:
        for identifier in active_ids(connection):
            request_run(connection, kind=KIND, key=identifier, due_at=instance.clock.now())
