"""The row that carries a rollback of a release no rollout holds any more, so that it has all five steps (8.2).

Rule: the space is freed from whatever held it; the carrier goes through the same states as any rollout. Fail mode: it
writes in the caller's transaction or not at all.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from sqlalchemy import Connection

from pilotage.control.rollout_moves import Deed
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.rollout.machine import Place
from pilotage.rollout.plan_form import plan_json
from pilotage.rollout.states import State, WaveState
from pilotage.store.rollouts import (
    StoredRollout,
    StoredWave,
    add_rollout,
    find_rollout,
    holder_of,
    overtake,
    save_wave,
    waves_of,
)
from pilotage.store.routes import Route
from pilotage.workspace.plan import Plan, Step, Wave


def carrier(connection: Connection, route: Route, release: Digest, deed: Deed) -> StoredRollout:
    """Make the row; it is locked and its token the caller's."""
    _let_go(connection, route, deed)
    step = Step(name="full", weight=1.0, bake_s=0)
    plan = Plan(name="rollback", waves=(Wave(space=SpaceName(route.space), steps=(step,)),))
    stored = StoredRollout(
        id=new_ulid(deed.at),
        workflow=route.workflow,
        release=release,
        plan=plan,
        plan_digest=digest_of_json(plan_json(plan)),
        salt=secrets.token_hex(8),
        state=State.WATCHING,
        state_at=deed.at,
        place=Place(),
        started_by=deed.person,
        created_at=deed.at,
    )
    wave = StoredWave(
        rollout=stored.id,
        number=0,
        workflow=route.workflow,
        space=route.space,
        state=WaveState.LIVE,
        stable=route.stable,
        started_at=deed.at,
    )
    add_rollout(connection, stored, (wave,))
    overtake(connection, stored.id)
    return find_rollout(connection, stored.id, lock=True) or stored


def _let_go(connection: Connection, route: Route, deed: Deed) -> None:
    """Free a space that an ended rollout left with its weight, or a planned one waits for."""
    holder = holder_of(connection, route.workflow, route.space)
    if holder is None:
        return
    for wave in waves_of(connection, holder):
        if wave.space == route.space:
            save_wave(connection, replace(wave, state=WaveState.ROLLED_BACK, ended_at=deed.at))
