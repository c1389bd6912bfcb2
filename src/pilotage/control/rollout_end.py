"""How a rollout ends: taken back in some or all of its spaces, or complete.

Rule: flip, quarantine, incident, freeze and state are one transaction; a statistical trip takes back its own space and
leaves the others with their weight, everything else takes back all. Fail mode: Conflict or LeaseLost, nothing written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, update

from pilotage import __version__
from pilotage.control.begin_watch import begin_watch
from pilotage.control.flip_traffic import Flipped, Withdrawal, flip
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Opened, Trouble, open_and_tell
from pilotage.control.rollout_moves import Deed, Move, move_rollout
from pilotage.control.rollout_traffic import written
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.states import WaveState
from pilotage.rollout.target import TargetKind
from pilotage.rollout.transitions import Event
from pilotage.store.emergencies import basis_in
from pilotage.store.ledger_entries import append
from pilotage.store.rollouts import StoredRollout, end_steps, save_wave, waves_of
from pilotage.store.routes import read_route
from pilotage.store.tables.serving import deployment
from pilotage.store.zero_traffic import mark_flip

CLOSED: Final = "nothing left that may serve"
"""The cause of the incident where an abort or a time-out closed the door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it is taken out. `spaces` None: wherever it has traffic. `cause` None: no quarantine, and no incident.

    `is_hard`: streams of the release are cut, not finished. `to`: the target a person named.
    """

    event: Event
    reasons: tuple[Reason, ...]
    spaces: frozenset[SpaceName] | None = None
    cause: str | None = None
    severity: Severity = Severity.SEV2
    is_drill: bool = False
    is_hard: bool = False
    to: Digest | None = None


def take_back(
    connection: Connection, instance: Instance, stored: StoredRollout, ending: Ending, deed: Deed
) -> StoredRollout | Refusal:
    """Redirect, open the incident, and move to rolling_back; the rollout's row is locked and its token the caller's."""
    waves = [wave for wave in waves_of(connection, stored.id) if wave.state in {WaveState.LIVE, WaveState.LEFT}]
    chosen = [wave for wave in waves if ending.spaces is None or wave.space in ending.spaces]
    withdrawal = Withdrawal(
        workflow=stored.workflow,
        release=stored.release,
        rollout=stored.id,
        reason=_first(ending),
        quarantine=ending.cause is not None,
        is_hard=ending.is_hard,
        to=ending.to,
    )
    flipped = [flip(connection, wave.space, withdrawal, fence=stored.fence, deed=deed) for wave in chosen]
    for wave in waves:
        end_steps(connection, stored.id, wave.number, deed.at)
        state = WaveState.ROLLED_BACK if wave in chosen else WaveState.LEFT
        save_wave(connection, replace(wave, state=state, ended_at=deed.at if wave in chosen else None))
    release_waiting(connection, stored, deed)
    opened = _incident(connection, instance, stored, ending, flipped, deed)
    incident = None if opened is None else opened.incident.id
    changes: dict[str, Any] = {
        "flipped_at": deed.at,
        "flipped": tuple(one.after.space for one in flipped),
        "target": flipped[0].target.release if flipped else None,
        "incident": incident,
        "zero_at": None,
        "zero_s": None,
        "zero_streams_s": None,
        "clock_offset_s": None,
        "reminded": 0,
    }
    data: dict[str, Json] = {
        "spaces": [one.after.space for one in flipped],
        "target": flipped[0].target.release if flipped else None,
        "generations": [one.after.generation for one in flipped],
        "incident": incident,
    }
    is_told = opened is not None and opened.is_told
    move = Move(event=ending.event, reasons=ending.reasons, changes=changes, data=data, is_told=is_told)
    mark_flip(connection, stored.id)
    return move_rollout(connection, instance, stored, move, deed)


def _first(ending: Ending) -> str:
    return ending.reasons[0].text if ending.reasons else ending.event.value


def release_waiting(connection: Connection, stored: StoredRollout, deed: Deed) -> None:
    """Let go of spaces that had not begun, where the candidate may have been loaded or shadowed already."""
    for wave in waves_of(connection, stored.id):
        if wave.state is not WaveState.WAITING:
            continue
        save_wave(connection, replace(wave, state=WaveState.DONE))
        before = read_route(connection, wave.space, stored.workflow, lock=True)
        if before.rollout == stored.id:
            wish = before.without_candidate(stable=before.stable, closed=before.closed)
            written(connection, before, replace(wish, reason=f"rollout {stored.id} let go"), stored, deed)


def _incident(
    connection: Connection,
    instance: Instance,
    stored: StoredRollout,
    ending: Ending,
    flipped: list[Flipped],
    deed: Deed,
) -> Opened | None:
    is_closed = any(one.target.kind is TargetKind.MAINTENANCE for one in flipped)
    if not flipped or (ending.cause is None and not is_closed):
        return None
    spaces = tuple(one.after.space for one in flipped)
    trouble = Trouble(
        workflow=stored.workflow,
        space=spaces[0],
        spaces=spaces,
        release=stored.release,
        cause=ending.cause or CLOSED,
        severity=Severity.SEV1 if is_closed else ending.severity,
        summary=f"{stored.release} was taken out of {', '.join(spaces)}; {flipped[0].target.told}. {_first(ending)}",
        rollout=stored.id,
        verdict=stored.decision,
        started_at=stored.step_at,
        freezes=True,
        is_drill=ending.is_drill,
    )
    return open_and_tell(connection, instance, trouble, deed)


def complete(connection: Connection, instance: Instance, stored: StoredRollout, deed: Deed) -> StoredRollout | Refusal:
    """Make the candidate the stable release of every space of the plan, with its deployment record."""
    for wave in waves_of(connection, stored.id):
        if wave.state is not WaveState.LIVE:
            continue
        before = read_route(connection, wave.space, stored.workflow, lock=True)
        wish = before.without_candidate(stable=stored.release, closed=None)
        written(connection, before, replace(wish, reason=f"rollout {stored.id} completed"), stored, deed)
        _deploy(connection, stored, wave.space, previous=wave.stable, deed=deed)
        end_steps(connection, stored.id, wave.number, deed.at)
        save_wave(connection, replace(wave, state=WaveState.DONE, ended_at=deed.at))
        begin_watch(connection, stored, wave, at=deed.at)
    return move_rollout(connection, instance, stored, Move(event=Event.COMPLETE), deed)


def _deploy(
    connection: Connection, stored: StoredRollout, space: SpaceName, *, previous: str | None, deed: Deed
) -> None:
    earlier = (deployment.c.space == space) & (deployment.c.workflow == stored.workflow)
    connection.execute(update(deployment).where(earlier, deployment.c.state == "active").values(state="superseded"))
    identifier = new_ulid(deed.at)
    basis = basis_in(connection, stored.release, space, deed.at)
    connection.execute(
        deployment.insert().values(
            id=identifier,
            workflow=stored.workflow,
            space=space,
            release=stored.release,
            basis=basis,
            engine=__version__,
            promoted_by=stored.started_by,
            at=deed.at,
            previous=previous,
            state="active",
        )
    )
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=EntryKind.DEPLOYMENT_PROMOTED,
        at=deed.at,
        actor=deed.actor,
        subject=identifier,
        space=space,
        data={
            "workflow": stored.workflow,
            "release": stored.release,
            "rollout": stored.id,
            "previous": previous,
            "basis": basis,
        },
    )
    append(connection, entry)
