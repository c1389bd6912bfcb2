"""Everything a decision about a rollout looks at, read on one connection, so that what was seen is what is decided on.

Rule: nothing here writes but the counting of new records; whether a candidate has to go is read first and alone, so
that neither gates nor health delay it. Fail mode: what cannot be read is unknown (None), which never lets traffic up; a
gate that raises does not hold.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.verdict import Code, Effect, Verdict
from pilotage.control.instance import Instance
from pilotage.control.rollback_facts import unverified
from pilotage.control.rollout_ports import Observed, RolloutPorts
from pilotage.control.rollout_verdict import judge_place
from pilotage.control.shadow_proof import shadow_proof
from pilotage.control.space_fitness import Candidate, Fitness, space_fitness
from pilotage.core.errors import PilotageError
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason
from pilotage.gate.emergency import standing
from pilotage.identity.roles import Role
from pilotage.rollout.freezes import frozen
from pilotage.rollout.machine import Facts, Place
from pilotage.rollout.states import State, WaveState
from pilotage.store.emergencies import emergencies_of
from pilotage.store.excuses import excused_of
from pilotage.store.incidents import incident_freezes, incidents_about
from pilotage.store.probes import failed_rounds
from pilotage.store.quarantine import quarantined_spaces
from pilotage.store.rollout_verdicts import signatures_of
from pilotage.store.rollouts import StoredRollout, StoredStep, StoredWave, attempts_before, steps_of, waves_of
from pilotage.store.routes import acks_of, not_following, read_route
from pilotage.workspace.principals import roles_of

LOG = logging.getLogger("pilotage.rollout")
CRITICAL = "CRITICAL_IMPAIRED"
_GUARDED = frozenset({Code.GUARD_FIRED.value, Code.SAMPLE_RATIO.value, Code.OBSERVATION_GAP.value})
_NONE: tuple[int | None, Verdict | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The facts, and the numbers behind them. `tripped` names the space whose verdict takes the candidate out.

    `unproven`: critical questions that a candidate has still to pass, after shadow or replay said GO.
    """

    facts: Facts
    observed: Observed | None = None
    tripped: SpaceName | None = None
    trip: Verdict | None = None
    unproven: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The spaces of a rollout, and what was counted in those with traffic, by number of the wave."""

    waves: tuple[StoredWave, ...]
    steps: tuple[StoredStep, ...]
    observed: Mapping[int, Observed]


def count_waves(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout, now: datetime
) -> Counted:
    """Count what is new in every space with traffic."""
    waves, steps = waves_of(connection, stored.id), steps_of(connection, stored.id)
    live = [wave for wave in waves if wave.state is WaveState.LIVE] if stored.state.has_traffic else []
    observed = {wave.number: ports.observe(connection, instance, stored, wave, now) for wave in live}
    return Counted(waves=waves, steps=steps, observed=observed)


def read_trip(connection: Connection, stored: StoredRollout, counted: Counted, now: datetime) -> Seen | None:
    """Return what takes the candidate out now, None for nothing; no gate, freeze or space's health is asked."""
    if not stored.state.has_traffic:
        return None
    impaired = impairments(connection, stored, counted.waves)
    judged = {
        number: judge_place(stored, _place(stored, counted, number), one, gate=(), steps=counted.steps, now=now)
        for number, one in counted.observed.items()
    }
    tripped, trip = _tripped(judged)
    if not impaired and trip is None:
        return None
    here = stored.place.wave
    facts = Facts(
        state=stored.state,
        plan=stored.plan,
        place=stored.place,
        state_at=stored.state_at,
        verdict=judged.get(here),
        trips=impaired or (() if trip is None else trip.reasons),
    )
    return Seen(facts=facts, observed=counted.observed.get(here), tripped=_space(stored, tripped), trip=trip)


def read_facts(
    connection: Connection,
    instance: Instance,
    ports: RolloutPorts,
    stored: StoredRollout,
    now: datetime,
    *,
    counted: Counted | None = None,
) -> Seen:
    """Return what is known about a rollout now; `counted` when its spaces were counted just before."""
    if counted is None:
        counted = count_waves(connection, instance, ports, stored, now)
    next_space = _next_space(stored)
    gate = gate_reasons(connection, instance, ports, stored, next_space, now)
    fitness = _fitness(connection, stored, _spaces_of(stored, counted.waves, next_space), now)
    row = _Row(gate=gate, fitness=fitness, attempt=attempt_in(connection, stored))
    judged = _judged(stored, counted, row, now)
    here = judged.get(stored.place.wave)
    is_proven, unproven = shadow_proof(connection, instance, ports, stored)
    tripped, trip = _tripped({number: one for number, (_, one) in judged.items()})
    facts = Facts(
        state=stored.state,
        plan=stored.plan,
        place=stored.place,
        state_at=stored.state_at,
        step_at=stored.step_at,
        extended_s=stored.extended_s,
        is_loaded=_is_loaded(connection, stored),
        shadow_done=is_proven and not unproven,
        verdict=None if here is None else here[1],
        decision=stored.decision_outcome,
        gate=gate,
        frozen=freezes_of(connection, instance, stored, next_space, now),
        incidents=_incidents(connection, stored, now),
        unfit=(*fitness.holding, *_held_elsewhere(judged, stored.place.wave)),
        unseen=fitness.unseen,
        trips=impairments(connection, stored, counted.waves) or (_unconfirmed(gate) if trip is None else trip.reasons),
        post_confirmed=gate == (),
        signed=_signed(connection, instance, stored),
        flipped_at=stored.flipped_at,
        is_zero=is_zero(connection, stored),
        unverified=unverified(connection, instance, ports, stored, now),
    )
    return Seen(
        facts=facts,
        observed=None if here is None else here[0],
        tripped=_space(stored, tripped),
        trip=trip,
        unproven=unproven,
    )


def attempt_in(connection: Connection, stored: StoredRollout) -> int:
    """Return which attempt this is in the space it stands in: each space counts its own (rollouts.md 6.6).

    Every window that was excused here makes it a later one.
    """
    excused = len(excused_of(connection, stored.id, stored.place.wave))
    if stored.place.wave == 0:
        return stored.attempt + excused
    return 1 + attempts_before(connection, stored.workflow, stored.space, but=stored.id) + excused


def _held_elsewhere(judged: Mapping[int, tuple[Observed, Verdict]], here: int) -> tuple[Reason, ...]:
    """Return the guards that fired in other spaces of the rollout: the release goes up nowhere meanwhile."""
    return tuple(
        replace(reason, where=verdict.subject.space)
        for number, (_, verdict) in judged.items()
        if number != here and verdict.effect is Effect.HOLD
        for reason in verdict.reasons
        if reason.code in _GUARDED
    )


def _tripped(judged: Mapping[int, Verdict]) -> tuple[int | None, Verdict | None]:
    """Return the first space whose verdict takes the candidate out."""
    return next(((wave, one) for wave, one in judged.items() if one.effect is Effect.ROLLBACK), _NONE)


def _space(stored: StoredRollout, wave: int | None) -> SpaceName | None:
    return None if wave is None else stored.plan.waves[wave].space


def _incidents(connection: Connection, stored: StoredRollout, now: datetime) -> tuple[Reason, ...]:
    """Return critical incidents since the step began, without the one an emergency change names."""
    found = incidents_about(
        connection,
        workflow=stored.workflow,
        release=stored.release,
        space=stored.space,
        since=stored.step_at or stored.created_at,
    )
    emergency = standing(emergencies_of(connection, stored.release), stored.space, now)
    return found if emergency is None else tuple(one for one in found if one.where != emergency.incident)


def _unconfirmed(gate: tuple[Reason, ...] | None) -> tuple[Reason, ...]:
    """Return a go-live nobody confirmed in time: its post half takes the release back (gates.md 4.8)."""
    return tuple(reason for reason in gate or () if reason.code == "POST_UNCONFIRMED")


def impairments(
    connection: Connection,
    stored: StoredRollout,
    waves: Iterable[StoredWave],
    *,
    among: WaveState = WaveState.LIVE,
) -> tuple[Reason, ...]:
    """Return where the candidate fails critical questions that stable passes, twice in a row (rollouts.md 8.1)."""
    found: list[Reason] = []
    for wave in waves:
        route = read_route(connection, wave.space, stored.workflow)
        if wave.state is not among or route.candidate != stored.release:
            continue
        rounds = failed_rounds(
            connection,
            space=wave.space,
            workflow=stored.workflow,
            generation=route.generation,
            release=stored.release,
        )
        for one in rounds:
            text = (
                f"The candidate passes {one.passed} of {one.asked} critical questions in {one.process}, twice in a row;"
                f" stable passes all."
            )
            observed = f"{one.passed} of {one.asked}"
            found.append(Reason(code=CRITICAL, text=text, where=wave.space, observed=observed, limit=str(one.asked)))
    return tuple(found)


def _next_space(stored: StoredRollout) -> SpaceName:
    """Return the space whose gate and calendar decide what comes next."""
    following = stored.place.after(stored.plan)
    if stored.state is State.ADVANCING and following is not None:
        return stored.plan.waves[following.wave].space
    return stored.space


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    gate: tuple[Reason, ...] | None
    fitness: Fitness
    attempt: int

    def health(self, space: SpaceName) -> tuple[Reason, ...]:
        """Return what stands against the health of a space, as reasons of a verdict."""
        against = [one for one in (*self.fitness.holding, *self.fitness.unseen) if one.where == space]
        return tuple(replace(one, code=Code.SPACE_HEALTH.value) for one in against)


def _fitness(connection: Connection, stored: StoredRollout, spaces: tuple[SpaceName, ...], now: datetime) -> Fitness:
    candidate = Candidate(workflow=stored.workflow, release=stored.release, since=stored.created_at)
    return space_fitness(connection, spaces, of=candidate, now=now)


def _spaces_of(stored: StoredRollout, waves: tuple[StoredWave, ...], next_space: SpaceName) -> tuple[SpaceName, ...]:
    """Return where the rollout has traffic or is about to have it."""
    live = [wave.space for wave in waves if wave.state is WaveState.LIVE]
    return (stored.space, next_space, *live)


def _judged(stored: StoredRollout, counted: Counted, row: _Row, now: datetime) -> dict[int, tuple[Observed, Verdict]]:
    """Judge every space with traffic."""
    found: dict[int, tuple[Observed, Verdict]] = {}
    for number, one in counted.observed.items():
        observed = replace(one, blockers=(*one.blockers, *row.health(stored.plan.waves[number].space)))
        place = _place(stored, counted, number)
        tried = replace(stored, attempt=row.attempt)
        verdict = judge_place(tried, place, observed, gate=row.gate, steps=counted.steps, now=now)
        found[number] = (observed, verdict)
    return found


def _place(stored: StoredRollout, counted: Counted, number: int) -> Place:
    """Return where a space stands; an earlier one is watched at its last step."""
    if number == stored.place.wave:
        return stored.place
    return Place(wave=number, step=max((one.step for one in counted.steps if one.wave == number), default=0))


def gate_reasons(
    connection: Connection,
    instance: Instance,
    ports: RolloutPorts,
    stored: StoredRollout,
    space: SpaceName,
    now: datetime,
) -> tuple[Reason, ...] | None:
    """Return what stands against the gates of a space; None when they could not be evaluated."""
    if stored.state.is_over or stored.state in {State.ROLLING_BACK, State.VALIDATING, State.ROLLBACK_FAILED}:
        return ()
    kept_out = quarantine_reasons(connection, stored.workflow, stored.release)
    try:
        with connection.begin_nested():
            return (*kept_out, *ports.gate(connection, instance, release=stored.release, space=space, now=now))
    except PilotageError as error:
        LOG.warning("The gates of %s for %s cannot be evaluated: %s", space, stored.release, error.code)
        return None


def quarantine_reasons(connection: Connection, workflow: str, release: str) -> tuple[Reason, ...]:
    """Return why a release that was rolled back in one space goes up in none (rollouts.md 6.6)."""
    return tuple(
        Reason(
            code="RELEASE_QUARANTINED",
            text=f"Release {release} was rolled back in {space}; two people and new evidence: `release lift`.",
            where=space,
        )
        for space in quarantined_spaces(connection, workflow, release)
    )


def freezes_of(
    connection: Connection, instance: Instance, stored: StoredRollout, space: SpaceName, now: datetime
) -> tuple[Reason, ...]:
    """Return the freeze windows and incident freezes that keep traffic from going up; none in an emergency."""
    if standing(emergencies_of(connection, stored.release), space, now) is not None:
        return ()
    return (
        *frozen(instance.workspace.freezes, space, now),
        *incident_freezes(connection, stored.workflow),
    )


def _is_loaded(connection: Connection, stored: StoredRollout) -> bool:
    """Tell whether every live process of the space has verified what the row names."""
    if stored.state not in {State.PLANNED, State.SHADOWING}:
        return True
    route = read_route(connection, stored.space, stored.workflow)
    wanted = {digest for digest in (route.stable, route.candidate) if digest is not None}
    live = [ack for ack in acks_of(connection, stored.space, stored.workflow) if ack.is_alive]
    return bool(live) and all(ack.generation >= route.generation and wanted <= ack.loaded for ack in live)


def _signed(connection: Connection, instance: Instance, stored: StoredRollout) -> frozenset[Role]:
    """Return the roles that signed and are still held by who signed in them."""
    if stored.decision is None:
        return frozenset()
    found = [
        (PersonId(one.person), Role(one.role))
        for one in signatures_of(connection, stored.id, stored.decision, kind="go")
    ]
    return frozenset(role for person, role in found if role in roles_of(instance.workspace, person))


def is_zero(connection: Connection, stored: StoredRollout) -> bool:
    """Tell whether no process can send anybody to the candidate any more: acknowledged, or fenced by itself."""
    return stored.state is State.ROLLING_BACK and not behind_of(connection, stored)


def behind_of(connection: Connection, stored: StoredRollout) -> tuple[str, ...]:
    """Return the processes that may still send somebody to the candidate."""
    return tuple(one for space in stored.flipped for one in not_following(connection, space, stored.workflow))
