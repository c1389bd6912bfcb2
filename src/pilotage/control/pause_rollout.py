"""`pilotage rollout pause|resume`: stop a rollout where it stands, and go on later (rollouts.md 7.2 rows 12, 13).

Rule: a pause keeps the weight, or takes it to 0 with `zero`; triggers stay armed. Resuming raises traffic, so it asks
gate and freeze, on the connection that writes. A repeated command answers the same and writes nothing. Fail mode: a
Refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotage.control.instance import Instance
from pilotage.control.rollout_desk import Desk, at_desk
from pilotage.control.rollout_facts import freezes_of, gate_reasons
from pilotage.control.rollout_moves import Move
from pilotage.control.rollout_people import may_pause, may_resume
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_traffic import set_weight
from pilotage.control.shadow_phases import sample_again
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.rollout.states import State, WaveState
from pilotage.rollout.transitions import Event
from pilotage.store.rollouts import StoredRollout, save_wave, steps_of, waves_of


def pause_rollout(
    instance: Instance, *, actor: Principal, rollout: str, zero: bool = False, note: str = ""
) -> StoredRollout | Refusal:
    """Pause; `zero` also sends everybody back to stable until it is resumed."""
    with at_desk(instance, rollout, actor, note=note) as desk:
        refusal = may_pause(actor, desk.tier)
        if refusal is not None:
            return refusal
        if desk.rollout.state is State.PAUSED and desk.rollout.zeroed == zero:
            return desk.rollout
        changes: dict[str, Any] = {"zeroed": zero, "reminded": 0}
        moved = desk.move(Move(event=Event.PAUSE, changes=changes, data={"zero": zero}))
        if zero and not isinstance(moved, Refusal):
            _weigh(desk, zero=True)
        return moved


def resume_rollout(
    instance: Instance, ports: RolloutPorts, *, actor: Principal, rollout: str, note: str = ""
) -> StoredRollout | Refusal:
    """Go on where the pause began."""
    with at_desk(instance, rollout, actor, note=note) as desk:
        refusal = may_resume(actor, desk.tier)
        if refusal is not None:
            return refusal
        against = _against(desk, ports)
        if desk.rollout.state is State.PAUSED and against:
            return Refusal(reasons=against)
        zeroed = desk.rollout.zeroed
        moved = desk.move(Move(event=Event.RESUME, changes={"state_before": None, "zeroed": False, "reminded": 0}))
        if zeroed and not isinstance(moved, Refusal):
            _weigh(desk, zero=False)
        return moved


def _against(desk: Desk, ports: RolloutPorts) -> tuple[Reason, ...]:
    now, stored = desk.deed.at, desk.rollout
    gate = gate_reasons(desk.connection, desk.instance, ports, stored, stored.space, now)
    if gate is None:
        gate = (Reason(code="GATE_NOT_MET", text="The gates could not be evaluated; traffic does not go up."),)
    candidate = Candidate(workflow=stored.workflow, release=stored.release, since=stored.created_at)
    fitness = space_fitness(desk.connection, [stored.space], of=candidate, now=now)
    # From weight 0 traffic goes up, which what nobody has seen stands against too.
    unfit = (*fitness.holding, *fitness.unseen) if stored.zeroed else fitness.known
    return (*gate, *freezes_of(desk.connection, desk.instance, stored, stored.space, now), *unfit)


def _weigh(desk: Desk, *, zero: bool) -> None:
    """Set the fraction of every live space to 0, or back to that of its step; sampling for shadow likewise."""
    sample_again(desk.connection, desk.instance, desk.rollout, desk.deed, zero=zero)
    began = {(step.wave): step for step in steps_of(desk.connection, desk.rollout.id)}
    for wave in waves_of(desk.connection, desk.rollout.id):
        if wave.state is WaveState.LIVE and wave.number in began:
            fraction = 0 if zero else began[wave.number].fraction_ppm
            reason = "paused at weight 0" if zero else "resumed"
            route = set_weight(desk.connection, desk.rollout, wave.space, fraction, desk.deed, reason=reason)
            save_wave(desk.connection, replace(wave, totals=_noted(wave.totals, route.generation, zero=zero)))


def _noted(totals: Mapping[str, Any], generation: int, *, zero: bool) -> dict[str, Any]:
    """Note from and until which generation nobody could meet the candidate."""
    spans = [list(span) for span in totals.get("zeroed", ())]
    if zero:
        spans.append([generation, None])
    elif spans and spans[-1][1] is None:
        spans[-1][1] = generation
    return {**totals, "zeroed": spans}
