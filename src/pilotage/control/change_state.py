"""The state of a release's change as a ticket shows it (gates.md 6.4). Reads only; a ticket changes nothing here."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import report_of
from pilotage.control.gate_status import ordered_gates, space_for
from pilotage.control.instance import Instance
from pilotage.gate.servicenow import ChangeState, Journey, change_state
from pilotage.release.seal import ReleaseState
from pilotage.rollout.states import State
from pilotage.store.releases import StoredRelease, named_release
from pilotage.store.rollouts import list_rollouts
from pilotage.workspace.gate import Binding


def change_state_of(instance: Instance, release: str) -> ChangeState:
    """Return the state of the change that brings a release into production."""
    with instance.engine.connect() as connection, connection.begin():
        stored = named_release(connection, release)
        chain = open_chain(connection, instance, stored, instance.clock.now())
        gates = {
            name: report_of(chain, name, space=space_for(instance, name, None)).status
            for name in ordered_gates(instance)
            if instance.workspace.gates[name].guards != "production"
        }
        journey = _journey(connection, stored)
    boards = [gate.name for gate in instance.workspace.gates.values() if Binding.CAB_PACK in gate.binds]
    withdrawn = stored.state is not ReleaseState.SEALED
    return change_state(gates, board=boards[0] if boards else "", journey=journey, withdrawn=withdrawn)


def _journey(connection: Connection, stored: StoredRelease) -> Journey:
    """Return how far the newest rollout of the release is."""
    rollouts = list_rollouts(connection, workflow=stored.workflow)
    newest = next((one for one in rollouts if one.release == stored.digest), None)
    if newest is None:
        return Journey.NOT_STARTED
    match newest.state:
        case State.PLANNED | State.REFUSED:
            return Journey.NOT_STARTED
        case State.WATCHING:
            return Journey.BAKING
        case State.COMPLETED:
            return Journey.COMPLETED
        case State.ROLLED_BACK | State.ABORTED:
            return Journey.ROLLED_BACK
        case (
            State.SHADOWING
            | State.OBSERVING
            | State.HELD
            | State.PAUSED
            | State.DECIDING
            | State.ADVANCING
            | State.ROLLING_BACK
            | State.VALIDATING
            | State.ROLLBACK_FAILED
        ):
            return Journey.RUNNING
        case _:
            assert_never(newest.state)
