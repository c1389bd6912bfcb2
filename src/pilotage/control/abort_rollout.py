"""`pilotage rollout abort`: give a rollout up (rollouts.md 7.2 rows 22, 23).

Rule: before user traffic it just ends; with user traffic it is taken back and validated like a rollback, without
incident and without quarantine. A repeated command answers the same and writes nothing. Fail mode: a Refusal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.rollout_desk import Desk, at_desk
from pilotage.control.rollout_end import Ending, take_back
from pilotage.control.rollout_moves import Move
from pilotage.control.rollout_people import may_abort
from pilotage.control.rollout_traffic import written
from pilotage.control.start_rollout import release_waves
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Event
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route

GIVEN_UP: Final = frozenset({State.ABORTED, State.ROLLING_BACK, State.VALIDATING, State.ROLLED_BACK})
"""States of a rollout that is given up, or on its way back."""


def abort_rollout(instance: Instance, *, actor: Principal, rollout: str, note: str = "") -> StoredRollout | Refusal:
    """Abort; the rollout is `aborted`, or `rolling_back` when askers may have met the candidate."""
    with at_desk(instance, rollout, actor, note=note) as desk:
        refusal = may_abort(actor, desk.tier)
        if refusal is not None:
            return refusal
        stored = desk.rollout
        if stored.state in GIVEN_UP:
            return stored
        if stored.state.has_traffic:
            reason = Reason(code="ABORTED", text="A person aborted the rollout.")
            ending = Ending(event=Event.ABORT, reasons=(reason,))
            return take_back(desk.connection, instance, stored, ending, desk.deed)
        return _cancelled(desk)


def _cancelled(desk: Desk) -> StoredRollout | Refusal:
    """End a rollout that had no traffic, and take its candidate out of the row."""
    moved = desk.move(Move(event=Event.CANCEL))
    if isinstance(moved, Refusal):
        return moved
    before = read_route(desk.connection, moved.space, moved.workflow, lock=True)
    if before.rollout == moved.id:
        wish = before.without_candidate(stable=before.stable, closed=before.closed)
        written(desk.connection, before, replace(wish, reason=f"rollout {moved.id} aborted"), moved, desk.deed)
    return release_waves(desk.connection, moved)
