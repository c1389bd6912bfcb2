"""Moving a rollout on by itself: read facts, decide, write, in the caller's transaction (rollouts.md 7).

One call takes the lease, looks, and does at most a few moves; each is decided on facts read again. Rule: after `kill
-9` anywhere the row says where it stands, so nothing is skipped or doubled. Fail mode: an exception rolls the
transaction back; an older lease writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.analysis.verdict import Effect, Judgement
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_and_tell, open_incident, write_line
from pilotage.control.roll_back import RollbackRequest, take_out_by_holder
from pilotage.control.rollout_end import Ending, complete, release_waiting, take_back
from pilotage.control.rollout_facts import CRITICAL, Seen, behind_of, count_waves, read_facts, read_trip
from pilotage.control.rollout_moves import Deed, Move, machine_deed, move_rollout
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_traffic import begin_step, place_candidate
from pilotage.control.send_messages import Notice, send
from pilotage.control.shadow_phases import advance_phases
from pilotage.control.target_approvals import CODE as NOT_APPROVED
from pilotage.control.target_approvals import target_warnings
from pilotage.control.watch_left_spaces import watch_left_spaces
from pilotage.core.canonical import Json
from pilotage.core.reason import Reason, Refusal
from pilotage.incident.records import HardKind, IncidentState, Severity
from pilotage.rollout.course import slot_length, slot_start
from pilotage.rollout.machine import Action, Place, next_action, standing_against
from pilotage.rollout.pairing import phases_of
from pilotage.rollout.states import BACKING_OUT, State, WaveState
from pilotage.rollout.transitions import Event, Notify
from pilotage.store.incidents import find_incident, save_incident
from pilotage.store.rollout_verdicts import add_verdict, keep_look
from pilotage.store.rollouts import (
    StoredRollout,
    find_rollout,
    save_rollout,
    take_fence,
    waves_of,
    yield_fence,
)
from pilotage.store.zero_traffic import clock_offset, seconds_to_zero, seconds_to_zero_streams

LOG: Final = logging.getLogger("pilotage.rollout")
MOST_MOVES: Final = 4
TICK: Final = timedelta(milliseconds=500)
_SLOW: Final = timedelta(seconds=30)
_REMIND: Final = (timedelta(hours=24), timedelta(hours=48))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    connection: Connection
    instance: Instance
    ports: RolloutPorts
    deed: Deed


def reconcile_rollout(
    connection: Connection, instance: Instance, ports: RolloutPorts, identifier: str
) -> StoredRollout | None:
    """Do what is to be done now; return the rollout as it is then, None when another process holds it."""
    if take_fence(connection, identifier, ports.owner) is None:
        return None
    stored = find_rollout(connection, identifier, lock=True)
    if stored is None:
        return None
    turn = _Turn(connection=connection, instance=instance, ports=ports, deed=machine_deed(instance.clock.now()))
    if stored.state.is_over or stored.state in BACKING_OUT:
        watch_left_spaces(connection, instance, ports, stored, turn.deed)
    # Askers leave a candidate when this commits, so a look that takes it out ends there.
    left = frozenset() if stored.state is State.ROLLING_BACK else frozenset({State.ROLLING_BACK})
    if stored.state is State.SHADOWING:
        stored = advance_phases(connection, instance, stored, turn.deed)
    if stored.state in {State.VALIDATING, State.ROLLBACK_FAILED}:
        stored = _silent(turn, stored)
    for _ in range(MOST_MOVES):
        if stored.state.is_over or stored.state in left:
            break
        seen = _look(turn, stored)
        stored = _remembered(turn, stored, seen)
        action = next_action(seen.facts, turn.deed.at)
        if action is None:
            _looked(turn, stored, seen)
            waits = seen.unproven or (standing_against(seen.facts) if stored.state is State.ADVANCING else ())
            stored = _told(turn, stored, Refusal(reasons=waits)) if waits else stored
            return _reminded(turn, stored)
        moved = _PERFORM[action.event](turn, stored, seen, action)
        if isinstance(moved, Refusal):
            return _told(turn, stored, moved)
        stored = moved
    return stored


def _silent(turn: _Turn, stored: StoredRollout) -> StoredRollout:
    """Keep when the last stream of what was taken out had ended, once that is known."""
    seconds = None if stored.zero_streams_s is not None else seconds_to_zero_streams(turn.connection, stored.id)
    if seconds is None:
        return stored
    after = replace(stored, zero_streams_s=seconds)
    save_rollout(turn.connection, after)
    return after


def _look(turn: _Turn, stored: StoredRollout) -> Seen:
    """Return what is known: of a candidate that has to go only that, so nothing else delays it."""
    counted = count_waves(turn.connection, turn.instance, turn.ports, stored, turn.deed.at)
    trip = read_trip(turn.connection, stored, counted, turn.deed.at)
    if trip is not None:
        return trip
    return read_facts(turn.connection, turn.instance, turn.ports, stored, turn.deed.at, counted=counted)


def _remembered(turn: _Turn, stored: StoredRollout, seen: Seen) -> StoredRollout:
    """Keep guards that fired: they stay fired until a person decides."""
    verdict = seen.facts.verdict
    if verdict is None or verdict.fired == stored.latched:
        return stored
    latched = replace(stored, latched=tuple(sorted({*stored.latched, *verdict.fired})))
    if latched != stored:
        save_rollout(turn.connection, latched)
    return latched


def _looked(turn: _Turn, stored: StoredRollout, seen: Seen) -> None:
    """Keep how the verdict stands while nothing is to be done; sums of a newer version are left to its processes."""
    verdict = seen.facts.verdict
    if seen.observed is not None and not seen.observed.is_readable:
        yield_fence(turn.connection, stored.id, turn.ports.owner)
    if verdict is not None:
        slot = slot_start(turn.deed.at, slot_length(stored.plan.waves[stored.place.wave]))
        keep_look(turn.connection, stored.id, verdict, place=stored.place, at=turn.deed.at, slot=slot)


def _reminded(turn: _Turn, stored: StoredRollout) -> StoredRollout:
    """Say after one and two days that a rollout still waits, and page once for a rollback that is slow."""
    if stored.state is State.ROLLING_BACK:
        return _paged(turn, stored)
    if stored.state not in {State.PAUSED, State.HELD} or stored.reminded >= len(_REMIND):
        return stored
    if turn.deed.at - stored.state_at < _REMIND[stored.reminded]:
        return stored
    hours = _REMIND[stored.reminded] // timedelta(hours=1)
    text = f"Rollout {stored.id} of {stored.workflow} in {stored.space} has been {stored.state} for {hours} h."
    notice = Notice(title=f"{stored.workflow}: rollout still {stored.state}", text=text, links={"rollout": stored.id})
    send(turn.connection, turn.instance, (Notify.OWNER, Notify.ON_CALL), notice, at=turn.deed.at)
    after = replace(stored, reminded=stored.reminded + 1)
    save_rollout(turn.connection, after)
    return after


def _paged(turn: _Turn, stored: StoredRollout) -> StoredRollout:
    """Page when traffic is not zero 30 s after the flip."""
    if stored.reminded or stored.flipped_at is None or turn.deed.at - stored.flipped_at < _SLOW:
        return stored
    behind = ", ".join(behind_of(turn.connection, stored))
    text = f"{stored.release[:19]} still has traffic 30 s after its rollback {stored.id}: {behind} did not follow."
    notice = Notice(title=f"{stored.workflow}: rollback is slow", text=text, links={"rollout": stored.id})
    send(turn.connection, turn.instance, (Notify.PAGE, Notify.WAR_ROOM), notice, at=turn.deed.at)
    after = replace(stored, reminded=1)
    save_rollout(turn.connection, after)
    return after


def _told(turn: _Turn, stored: StoredRollout, refusal: Refusal) -> StoredRollout:
    """Keep why a move could not be made, for status; it is tried again."""
    after = replace(stored, why=refusal.reasons)
    if after != stored:
        save_rollout(turn.connection, after)
    return after


def _move(
    turn: _Turn, stored: StoredRollout, action: Action, *, changes: Mapping[str, Any], data: Mapping[str, Json]
) -> StoredRollout | Refusal:
    move = Move(event=action.event, reasons=action.reasons, changes=changes, data=data)
    return move_rollout(turn.connection, turn.instance, stored, move, turn.deed)


def _plain(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    return _move(turn, stored, action, changes={"reminded": 0}, data={})


def _refuse(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    moved = _move(turn, stored, action, changes={}, data={})
    if not isinstance(moved, Refusal):
        release_waiting(turn.connection, moved, turn.deed)
    return moved


def _start_shadow(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    data: dict[str, Json] = {"phases": [label.value for label in phases_of(stored.plan)]}
    moved = _move(turn, stored, action, changes={"reminded": 0}, data=data)
    if isinstance(moved, Refusal):
        return moved
    return advance_phases(turn.connection, turn.instance, moved, turn.deed)


def _start(turn: _Turn, stored: StoredRollout, seen: Seen, action: Action) -> StoredRollout | Refusal:
    # Gate and freeze were read on this connection a moment ago: the same snapshot as the write.
    if seen.facts.gate is None or seen.facts.gate:
        reasons = seen.facts.gate or (Reason(code="GATE_NOT_MET", text="The gates could not be evaluated."),)
        return Refusal(reasons=reasons)
    return begin_step(turn.connection, turn.instance, stored, Place(), action.event, turn.deed)


def _step(turn: _Turn, stored: StoredRollout, seen: Seen, action: Action) -> StoredRollout | Refusal:
    following = stored.place.after(stored.plan)
    if following is None or seen.facts.gate != () or seen.facts.frozen:
        return Refusal(reasons=seen.facts.frozen or seen.facts.gate or ())
    if following.wave != stored.place.wave:
        place_candidate(turn.connection, stored, stored.plan.waves[following.wave].space, turn.deed)
    return begin_step(turn.connection, turn.instance, stored, following, action.event, turn.deed)


def _conclude(turn: _Turn, stored: StoredRollout, seen: Seen, action: Action) -> StoredRollout | Refusal:
    verdict = seen.facts.verdict
    if verdict is None:
        return Refusal(reasons=())
    add_verdict(turn.connection, stored.id, verdict, place=stored.place, at=turn.deed.at, is_decision=True)
    changes = {"decision": verdict.digest, "decision_outcome": verdict.outcome}
    data: dict[str, Json] = {
        "verdict": verdict.digest,
        "outcome": verdict.outcome.value,
        "attempt": verdict.attempt,
        "ledger_to": verdict.subject.ledger_to,
    }
    return _move(turn, stored, action, changes=changes, data=data)


def _hold(turn: _Turn, stored: StoredRollout, seen: Seen, action: Action) -> StoredRollout | Refusal:
    verdict = seen.facts.verdict
    data: dict[str, Json] = {}
    changes: dict[str, Any] = {"reminded": 0}
    if verdict is not None:
        add_verdict(turn.connection, stored.id, verdict, place=stored.place, at=turn.deed.at, is_decision=True)
        data = {"verdict": verdict.digest, "outcome": verdict.outcome.value}
        changes |= {"decision": verdict.digest, "decision_outcome": verdict.outcome}
    trouble = Trouble(
        workflow=stored.workflow,
        space=stored.space,
        spaces=(stored.space,),
        release=stored.release,
        cause="rollout held",
        severity=Severity.SEV3,
        summary=" ".join(reason.text for reason in action.reasons[:3]),
        rollout=stored.id,
        verdict=None if verdict is None else verdict.digest,
    )
    changes["incident"] = open_incident(turn.connection, turn.instance, trouble, turn.deed).id
    return _move(turn, stored, action, changes=changes, data=data)


def _roll_back(turn: _Turn, stored: StoredRollout, seen: Seen, action: Action) -> StoredRollout | Refusal:
    if any(reason.code == CRITICAL for reason in action.reasons):
        return _impaired(turn, stored, action)
    verdict = seen.trip if seen.trip is not None else seen.facts.verdict
    is_statistical = verdict is not None and verdict.effect is Effect.ROLLBACK
    if verdict is not None and is_statistical:
        add_verdict(turn.connection, stored.id, verdict, place=stored.place, at=turn.deed.at, is_decision=True)
        stored = replace(stored, decision=verdict.digest, decision_outcome=Judgement.NO_GO)
    ending = Ending(
        event=action.event,
        reasons=action.reasons,
        spaces=None if seen.tripped is None else frozenset({seen.tripped}),
        cause="statistical trip" if is_statistical else "go-live not confirmed",
    )
    return take_back(turn.connection, turn.instance, stored, ending, turn.deed)


def _impaired(turn: _Turn, stored: StoredRollout, action: Action) -> StoredRollout | Refusal:
    """Take the release out of every space and cut its streams: a critical function is impaired, a hard event."""
    kind = HardKind.BUSINESS_FUNCTION
    ending = Ending(event=action.event, reasons=action.reasons, cause=kind.value, severity=kind.severity, is_hard=True)
    moved = take_back(turn.connection, turn.instance, stored, ending, turn.deed)
    request = RollbackRequest(
        workflow=stored.workflow, reason=action.reasons[0].text, hard=kind, release=stored.release
    )
    elsewhere = take_out_by_holder(turn.connection, turn.instance, request=request, deed=turn.deed)
    if isinstance(elsewhere, Refusal):
        LOG.error("Release %s stays where others hold it: %s", stored.release, elsewhere.reasons[0].text)
    return moved


def _time_out(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    ending = Ending(event=action.event, reasons=action.reasons)
    return take_back(turn.connection, turn.instance, stored, ending, turn.deed)


def _zero(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    seconds, offset = seconds_to_zero(turn.connection, stored.id), clock_offset(turn.connection, stored.id)
    changes = {"zero_at": turn.deed.at, "zero_s": seconds, "clock_offset_s": offset}
    data: dict[str, Json] = {
        "milliseconds_to_zero_traffic": round(1000 * seconds),
        "clock_offset_ms": None if offset is None else round(1000 * offset),
    }
    warnings = target_warnings(turn.connection, turn.instance, turn.ports, stored, turn.deed)
    for one in warnings:
        _incident_line(turn, stored, one.text, None)
    return _move(turn, stored, replace(action, reasons=warnings), changes=changes, data=data)


def _verify(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    _incident_line(turn, stored, "The rollback is verified.", IncidentState.MITIGATED)
    streams = stored.zero_streams_s
    data: dict[str, Json] = {
        "target": stored.target,
        "spaces": list(stored.flipped),
        "milliseconds_to_zero_streams": None if streams is None else round(1000 * streams),
    }
    warnings = tuple(one for one in stored.why if one.code == NOT_APPROVED)
    return _move(turn, stored, replace(action, reasons=warnings), changes={}, data=data)


def _fail(turn: _Turn, stored: StoredRollout, _seen: Seen, action: Action) -> StoredRollout | Refusal:
    why = " ".join(reason.text for reason in action.reasons[:3])
    _incident_line(turn, stored, f"The rollback failed: {why}", None)
    trouble = Trouble(
        workflow=stored.workflow,
        space=stored.flipped[0] if stored.flipped else stored.space,
        spaces=tuple(stored.flipped),
        release=stored.release,
        cause="rollback failed",
        severity=Severity.SEV1,
        summary=why,
        rollout=stored.id,
        freezes=True,
    )
    opened = open_and_tell(turn.connection, turn.instance, trouble, turn.deed)
    move = Move(event=action.event, reasons=action.reasons, is_told=opened.is_told)
    return move_rollout(turn.connection, turn.instance, stored, move, turn.deed)


def _incident_line(turn: _Turn, stored: StoredRollout, text: str, state: IncidentState | None) -> None:
    """Tell the rollback's own incident what happened."""
    if stored.incident is None:
        return
    found = find_incident(turn.connection, stored.incident, lock=True)
    if found is None:
        return
    after = found
    if state is not None and found.state in {IncidentState.OPEN, IncidentState.ACKNOWLEDGED}:
        after = replace(found, state=state, mitigated_at=turn.deed.at)
        save_incident(turn.connection, after)
    write_line(turn.connection, after, turn.deed, text)


def _complete(turn: _Turn, stored: StoredRollout, _seen: Seen, _action: Action) -> StoredRollout | Refusal:
    return complete(turn.connection, turn.instance, stored, turn.deed)


_Perform = Callable[[_Turn, StoredRollout, Seen, Action], StoredRollout | Refusal]

_PERFORM: Mapping[Event, _Perform] = {
    Event.REFUSE: _refuse,
    Event.START_SHADOW: _start_shadow,
    Event.START: _start,
    Event.CONCLUDE: _conclude,
    Event.HOLD: _hold,
    Event.DECIDE: _plain,
    Event.STEP: _step,
    Event.TIME_OUT: _time_out,
    Event.FILL: _plain,
    Event.COMPLETE: _complete,
    Event.ROLL_BACK: _roll_back,
    Event.TRAFFIC_ZERO: _zero,
    Event.VERIFY: _verify,
    Event.FAIL: _fail,
}


def next_look(connection: Connection, stored: StoredRollout | None, now: datetime) -> datetime | None:
    """Return when to look again; None when the rollout is over and no space still has its candidate."""
    if stored is not None and stored.state.is_over:
        left = any(wave.state is WaveState.LEFT for wave in waves_of(connection, stored.id))
        return now + TICK if left else None
    return now + TICK
