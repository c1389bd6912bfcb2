"""The state of a release's change as a ticket shows it (gates.md 6.4). Reads only; a ticket changes nothing here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import report_of
from pilotage.control.gate_status import ordered_gates, space_for
from pilotage.control.instance import Instance
from pilotage.control.standard_scope import standing_of
from pilotage.core.canonical import Json
from pilotage.gate.servicenow import ChangeState, ChangeType, Journey, change_state, close_code
from pilotage.release.seal import ReleaseState
from pilotage.rollout.states import State
from pilotage.store.releases import StoredRelease, named_release
from pilotage.store.rollouts import RolloutFilter, list_rollouts
from pilotage.workspace.gate import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A release's change as a ticket shows it. `close_code` None: it is not closed."""

    state: ChangeState
    kind: ChangeType
    close_code: str | None

    def as_json(self) -> dict[str, Json]:
        """Return what a ticket takes over."""
        return {"change_state": self.state.value, "change_type": self.kind.value, "close_code": self.close_code}


def change_of(instance: Instance, release: str) -> Change:
    """Return the state and type of the change that brings a release into production."""
    with instance.engine.connect() as connection, connection.begin():
        stored = named_release(connection, release)
        chain = open_chain(connection, instance, stored, instance.clock.now())
        gates = {
            name: report_of(chain, name, space=space_for(instance, name, None)).status
            for name in ordered_gates(instance)
            if instance.workspace.gates[name].guards != "production"
        }
        journey, kind = _journey(connection, stored), _kind(chain)
    boards = [gate.name for gate in instance.workspace.gates.values() if Binding.CAB_PACK in gate.binds]
    withdrawn = stored.state is not ReleaseState.SEALED
    board = boards[0] if boards else ""
    state = change_state(gates, board=board, journey=journey, kind=kind, withdrawn=withdrawn)
    return Change(state=state, kind=kind, close_code=close_code(journey))


def _kind(chain: Chain) -> ChangeType:
    """Return how the release goes: by an emergency that stands, by a template that holds, else by its gates."""
    if any(one.stands(chain.now) for one in chain.emergencies):
        return ChangeType.EMERGENCY
    standard = standing_of(chain)
    return ChangeType.STANDARD if standard is not None and standard.holds else ChangeType.NORMAL


def _journey(connection: Connection, stored: StoredRelease) -> Journey:
    """Return how far the newest rollout of the release is."""
    rollouts = list_rollouts(connection, RolloutFilter(workflow=stored.workflow))
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
