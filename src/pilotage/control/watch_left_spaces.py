"""Spaces that keep their weight after another space of the same rollout was taken back: their triggers stay armed.

The rollout itself is over; people decide what becomes of these spaces, with a rollback or a new rollout. Rule: a trip
in one of them takes the release back there at once, like any other. Fail mode: what cannot be judged changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.verdict import Effect, Verdict
from pilotage.control.flip_traffic import Withdrawal, flip
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed, reasons_json, record_entry
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_verdict import judge_place
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.machine import Place
from pilotage.rollout.states import WaveState
from pilotage.store.rollout_verdicts import add_verdict
from pilotage.store.rollouts import StoredRollout, StoredWave, save_wave, steps_of, waves_of
from pilotage.store.routes import read_route


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
        if verdict.effect is Effect.ROLLBACK:
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


def _take_back(
    connection: Connection,
    instance: Instance,
    stored: StoredRollout,
    wave: StoredWave,
    verdict: Verdict,
    deed: Deed,
) -> None:
    place = Place(wave=wave.number)
    add_verdict(connection, stored.id, verdict, place=place, at=deed.at, is_decision=True)
    why = verdict.reasons[0].text
    withdrawal = Withdrawal(
        workflow=stored.workflow, release=stored.release, rollout=stored.id, reason=why, quarantine=True
    )
    flipped = flip(connection, wave.space, withdrawal, fence=stored.fence, deed=deed)
    (current,) = [one for one in waves_of(connection, stored.id) if one.number == wave.number]
    save_wave(connection, replace(current, state=WaveState.ROLLED_BACK, ended_at=deed.at))
    trouble = _trouble(stored, wave, verdict)
    incident = open_incident(connection, instance, trouble, deed)
    record_entry(
        connection,
        stored,
        EntryKind.ROLLBACK_STARTED,
        deed,
        data={
            "workflow": stored.workflow,
            "release": stored.release,
            "spaces": [wave.space],
            "generations": [flipped.after.generation],
            "target": flipped.target.release,
            "incident": incident.id,
            "reasons": reasons_json(verdict.reasons),
        },
    )


def _trouble(stored: StoredRollout, wave: StoredWave, verdict: Verdict) -> Trouble:
    return Trouble(
        workflow=stored.workflow,
        space=wave.space,
        spaces=(wave.space,),
        release=stored.release,
        cause="statistical trip",
        severity=Severity.SEV2,
        summary=f"{stored.release} was taken out of {wave.space} too. {verdict.reasons[0].text}",
        rollout=stored.id,
        verdict=verdict.digest,
        freezes=True,
    )
