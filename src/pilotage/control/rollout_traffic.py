"""Sending more traffic to a candidate: a step begins, with its routing row, in one transaction (rollouts.md 7.2, 3.1).

Rule: the caller has checked gate and freeze on this very connection; the fraction is frozen here, for the whole step.
Fail mode: a Refusal for an empty cohort, Conflict when the routing row moved; the weight stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed, Move, move_rollout
from pilotage.core.canonical import Json
from pilotage.core.errors import Conflict
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.fraction import StepTraffic, step_traffic
from pilotage.rollout.machine import Place
from pilotage.rollout.states import WaveState
from pilotage.rollout.transitions import Event
from pilotage.store.cohorts import cohort_share
from pilotage.store.ledger_entries import append
from pilotage.store.rollouts import (
    StoredRollout,
    StoredStep,
    add_step,
    end_steps,
    save_wave,
    waves_of,
)
from pilotage.store.routes import Route, read_route, write_route


def begin_step(
    connection: Connection, instance: Instance, stored: StoredRollout, place: Place, event: Event, deed: Deed
) -> StoredRollout | Refusal:
    """Move a rollout to `place` with its traffic; `event` is START for the first step, STEP for later ones."""
    step = place.of(stored.plan)
    space = stored.plan.waves[place.wave].space
    gone = _gone(connection, stored, place)
    if gone is not None:
        return gone
    members = _members(instance, step.cohort)
    share = (
        1.0 if not step.cohort else cohort_share(connection, space, stored.workflow, now=deed.at, groups=step.cohort)
    )
    traffic = step_traffic(step.weight, share, members=members)
    if isinstance(traffic, Refusal):
        return traffic
    before = read_route(connection, space, stored.workflow, lock=True)
    wish = replace(
        before,
        candidate=stored.release,
        fraction_ppm=traffic.fraction_ppm,
        cohort=cohort_json(step.cohort),
        salt=stored.salt,
        shadow=None,
        shadow_ppm=0,
        rollout=stored.id,
        closed="not_released" if before.stable is None else None,
        reason=f"rollout {stored.id} step {step.name}",
    )
    after = written(connection, before, wish, stored, deed)
    _enter(connection, stored, place, traffic, after, deed)
    data = _entry_data(stored, place, traffic, after)
    changes: dict[str, Any] = {
        "place": place,
        "step_at": deed.at,
        "extended_s": 0,
        "decision": None,
        "decision_outcome": None,
        "zeroed": False,
    }
    move = Move(event=event, reasons=traffic.warnings, changes=changes, data=data)
    return move_rollout(connection, instance, stored, move, deed)


def _gone(connection: Connection, stored: StoredRollout, place: Place) -> Refusal | None:
    """Refuse a space that was taken out of this rollout by another command."""
    wave = waves_of(connection, stored.id)[place.wave]
    if wave.state in {WaveState.WAITING, WaveState.LIVE}:
        return None
    text = f"{wave.space} left this rollout ({wave.state}); abort it, or start a new one there."
    return Refusal(reasons=(Reason(code="SPACE_LEFT", text=text, where=wave.space),))


def _entry_data(stored: StoredRollout, place: Place, traffic: StepTraffic, route: Route) -> dict[str, Json]:
    return {
        "space": route.space,
        "weight_ppm": round(1_000_000 * place.of(stored.plan).weight),
        "fraction_ppm": traffic.fraction_ppm,
        "cohort_share_ppm": round(1_000_000 * traffic.cohort_share),
        "salt": stored.salt,
        "generation": route.generation,
    }


def _members(instance: Instance, cohort: tuple[str, ...]) -> int | None:
    """Return how many declared people are in the cohort; None where it is everybody or people come from outside."""
    if not cohort or instance.workspace.identity.oidc is not None:
        return None
    groups = frozenset(cohort)
    return sum(1 for person in instance.workspace.people.values() if not groups.isdisjoint(person.groups))


def cohort_json(cohort: tuple[str, ...]) -> dict[str, Any]:
    """Return the routing row's form of a step's cohort."""
    return {"groups": sorted(cohort)} if cohort else {"all": True}


def set_weight(
    connection: Connection, stored: StoredRollout, space: SpaceName, fraction_ppm: int, deed: Deed, *, reason: str
) -> Route:
    """Give a space's candidate another fraction within its step, for a pause with weight 0 and its end."""
    before = read_route(connection, space, stored.workflow, lock=True)
    wish = replace(before, fraction_ppm=fraction_ppm, reason=f"rollout {stored.id} {reason}")
    return written(connection, before, wish, stored, deed)


def place_candidate(connection: Connection, stored: StoredRollout, space: SpaceName, deed: Deed) -> Route:
    """Name the candidate in a space's row with no traffic, so that every process loads and verifies it first."""
    before = read_route(connection, space, stored.workflow, lock=True)
    wish = replace(
        before,
        candidate=stored.release,
        fraction_ppm=0,
        cohort={},
        salt=stored.salt,
        rollout=stored.id,
        closed="not_released" if before.stable is None else None,
        reason=f"rollout {stored.id} loads",
    )
    return written(connection, before, wish, stored, deed)


def written(connection: Connection, before: Route, wish: Route, stored: StoredRollout, deed: Deed) -> Route:
    """Write a row under the rollout's token with its ledger entry; Conflict when it moved."""
    after = write_route(connection, before, wish, fence=max(stored.fence, before.fence), at=deed.at)
    if after is None:
        message = f"The routing row of {stored.workflow} in {before.space} moved; nothing was changed."
        raise Conflict("ROUTE_MOVED", message, hint="It is read and decided again.")
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=EntryKind.ROUTE_CHANGED,
        at=deed.at,
        actor=deed.actor,
        subject=f"{after.space}/{after.workflow}",
        space=after.space,
        data={
            "workflow": after.workflow,
            "release": after.stable,
            "candidate": after.candidate,
            "fraction_ppm": after.fraction_ppm,
            "generation": after.generation,
            "rollout": stored.id,
        },
    )
    append(connection, entry)
    return after


def _enter(
    connection: Connection, stored: StoredRollout, place: Place, traffic: StepTraffic, route: Route, deed: Deed
) -> None:
    """Close the step before and open this one; a new wave goes live."""
    end_steps(connection, stored.id, stored.place.wave, deed.at)
    wave = waves_of(connection, stored.id)[place.wave]
    if wave.state is WaveState.WAITING:
        save_wave(
            connection,
            replace(wave, state=WaveState.LIVE, stable=route.stable, started_at=deed.at),
        )
    add_step(
        connection,
        StoredStep(
            rollout=stored.id,
            wave=place.wave,
            step=place.step,
            generation=route.generation,
            fraction_ppm=traffic.fraction_ppm,
            cohort_share=traffic.cohort_share,
            started_at=deed.at,
        ),
    )
