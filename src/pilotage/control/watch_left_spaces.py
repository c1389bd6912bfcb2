"""Spaces that keep their weight after another space of the same rollout was taken back: their triggers stay armed.

The rollout itself is over; people decide what becomes of these spaces, with a rollback or a new rollout. Rule: a trip
in one of them takes the release back there at once, like any other. Fail mode: what cannot be judged changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.verdict import Effect, Verdict
from pilotage.control.carry_rollback import carrier
from pilotage.control.instance import Instance
from pilotage.control.roll_back import RollbackRequest, take_out_by_holder
from pilotage.control.rollout_end import Ending, take_back
from pilotage.control.rollout_facts import impairments
from pilotage.control.rollout_moves import Deed
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_verdict import judge_place
from pilotage.control.start_rollout import RUN_KIND
from pilotage.core.reason import Reason, Refusal
from pilotage.incident.records import HardKind
from pilotage.rollout.machine import Place
from pilotage.rollout.states import WaveState
from pilotage.rollout.transitions import Event
from pilotage.store.rollout_verdicts import add_verdict
from pilotage.store.rollouts import StoredRollout, StoredWave, save_wave, steps_of, waves_of
from pilotage.store.routes import read_route
from pilotage.store.runs import request_run


def watch_left_spaces(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout, deed: Deed
) -> bool:
    """Judge every space that was left with its weight; tell whether any still is."""
    is_any = False
    for wave in waves_of(connection, stored.id):
        if wave.state is not WaveState.LEFT:
            continue
        if read_route(connection, wave.space, stored.workflow).candidate != stored.release:
            save_wave(connection, replace(wave, state=WaveState.ROLLED_BACK, ended_at=deed.at))
            continue
        verdict = _verdict(connection, instance, ports, stored, wave, deed.at)
        if impaired := impairments(connection, stored, (wave,), among=WaveState.LEFT):
            _leave_everywhere(connection, instance, stored, impaired, deed)
        elif verdict.effect is Effect.ROLLBACK:
            _take_back(connection, instance, stored, wave, verdict, deed)
        else:
            is_any = True
    return is_any


def _verdict(
    connection: Connection,
    instance: Instance,
    ports: RolloutPorts,
    stored: StoredRollout,
    wave: StoredWave,
    now: datetime,
) -> Verdict:
    steps = steps_of(connection, stored.id)
    last = max((one.step for one in steps if one.wave == wave.number), default=0)
    observed = ports.observe(connection, instance, stored, wave, now)
    place = Place(wave=wave.number, step=last)
    return judge_place(stored, place, observed, gate=None, steps=steps, now=now)


def _leave_everywhere(
    connection: Connection, instance: Instance, stored: StoredRollout, impaired: tuple[Reason, ...], deed: Deed
) -> None:
    """Take the release out of every space: a critical function is impaired, a hard event."""
    request = RollbackRequest(
        workflow=stored.workflow,
        reason=impaired[0].text,
        hard=HardKind.BUSINESS_FUNCTION,
        release=stored.release,
    )
    take_out_by_holder(connection, instance, request=request, deed=deed)


def _take_back(
    connection: Connection,
    instance: Instance,
    stored: StoredRollout,
    wave: StoredWave,
    verdict: Verdict,
    deed: Deed,
) -> None:
    """Roll back like any other: by a row of its own, which follows it to zero and through its validation."""
    add_verdict(connection, stored.id, verdict, place=Place(wave=wave.number), at=deed.at, is_decision=True)
    route = read_route(connection, wave.space, stored.workflow, lock=True)
    carried = replace(
        carrier(connection, route, stored.release, deed), decision=verdict.digest, decision_outcome=verdict.outcome
    )
    ending = Ending(event=Event.ROLL_BACK, reasons=verdict.reasons, cause="statistical trip")
    moved = take_back(connection, instance, carried, ending, deed)
    if not isinstance(moved, Refusal):
        request_run(connection, kind=RUN_KIND, key=moved.id, due_at=deed.at)
