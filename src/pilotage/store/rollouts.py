"""Rollout rows: state with its fencing token, the spaces of a plan, and the steps that were taken.

Rule: a row is written only with the token that was taken last (`take_fence`), so a writer that was overtaken changes
nothing; one rollout at a time holds a (workflow, space). Fail mode: LeaseLost for an old token, None or an empty tuple
for what does not exist; a plan that does not read raises ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Text,
    bindparam,
    exists,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from pilotage.analysis.verdict import Judgement
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.rollout.machine import Place
from pilotage.rollout.plan_form import plan_json, read_plan
from pilotage.rollout.states import ACTIVE, State, WaveState
from pilotage.store.runs import LeaseLost
from pilotage.store.tables.rollouts import rollout, rollout_excuse, rollout_step, rollout_wave
from pilotage.store.tables.shadow import rollout_shadow
from pilotage.workspace.plan import Plan

LEASE: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRollout:
    """One row. Times are UTC; `decision` is the digest that deciders sign; `why` the reasons of the last move."""

    id: str
    workflow: WorkflowName
    release: Digest
    plan: Plan
    plan_digest: Digest
    salt: str
    state: State
    state_at: datetime
    state_before: State | None = None
    place: Place = field(default_factory=Place)
    step_at: datetime | None = None
    extended_s: int = 0
    decision: Digest | None = None
    decision_outcome: Judgement | None = None
    latched: tuple[str, ...] = ()
    attempt: int = 1
    zeroed: bool = False
    why: tuple[Reason, ...] = ()
    started_by: str
    preflight: Mapping[str, Any] = field(default_factory=dict)
    flipped_at: datetime | None = None
    flipped: tuple[SpaceName, ...] = ()
    target: Digest | None = None
    zero_at: datetime | None = None
    zero_s: float | None = None
    zero_streams_s: float | None = None
    clock_offset_s: float | None = None
    incident: str | None = None
    reminded: int = 0
    fence: int = 0
    created_at: datetime
    ended_at: datetime | None = None

    @property
    def space(self) -> SpaceName:
        """The space of the wave it stands in."""
        return self.plan.waves[self.place.wave].space


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWave:
    """One space of a rollout. `stable` is what served there before; `cursor` the last ledger number counted.

    `ratings`: of each release, rated answers since the wave began and how many of them were rated down.
    """

    rollout: str
    number: int
    workflow: WorkflowName
    space: SpaceName
    state: WaveState
    stable: Digest | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cursor: int = -1
    counted_from: int | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)
    ratings: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """A step that began. Requests admitted from `generation` on belong to it."""

    rollout: str
    wave: int
    step: int
    generation: int
    fraction_ppm: int
    cohort_share: float
    started_at: datetime
    ended_at: datetime | None = None


def add_rollout(connection: Connection, stored: StoredRollout, waves: tuple[StoredWave, ...]) -> bool:
    """Insert a rollout with its spaces; False, and nothing written, when another holds one of them."""
    try:
        with connection.begin_nested():
            connection.execute(rollout.insert().values({"id": stored.id, **_values(stored)}))
            connection.execute(rollout_wave.insert(), [_wave_values(wave) for wave in waves])
    except IntegrityError as error:
        if "rollout_one_active" in str(error.orig):
            return False
        raise
    return True


_NAMED = bindparam("rollout", type_=Text)
_FIND = select(rollout).where(rollout.c.id == _NAMED)
_FIND_LOCKED = _FIND.with_for_update()
_WAVES = select(rollout_wave).where(rollout_wave.c.rollout == _NAMED).order_by(rollout_wave.c.number)
_STEPS = select(rollout_step).where(rollout_step.c.rollout == _NAMED).order_by(rollout_step.c.wave, rollout_step.c.step)


def find_rollout(connection: Connection, identifier: str, *, lock: bool = False) -> StoredRollout | None:
    """Return a rollout by its id, locked until the caller's transaction ends when asked."""
    row = connection.execute(_FIND_LOCKED if lock else _FIND, {"rollout": identifier}).mappings().one_or_none()
    return None if row is None else _stored(row)


def holder_of(connection: Connection, workflow: str, space: str) -> str | None:
    """Return the id of the rollout that holds a workflow's space, or None."""
    held = rollout_wave.c.state.in_([WaveState.WAITING, WaveState.LIVE, WaveState.LEFT])
    found: str | None = connection.scalar(
        select(rollout_wave.c.rollout).where(rollout_wave.c.workflow == workflow, rollout_wave.c.space == space, held)
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFilter:
    """Which rollouts to list: of a workflow, with a wave in a space, below the one of this id; None: all."""

    workflow: str | None = None
    space: str | None = None
    before: str | None = None


def list_rollouts(
    connection: Connection, wanted: RolloutFilter | None = None, *, most: int = 100
) -> tuple[StoredRollout, ...]:
    """Return rollouts, newest first; an id that names none begins with the first."""
    wanted = wanted or RolloutFilter()
    query = select(rollout).where(*_which(wanted))
    last = None if wanted.before is None else find_rollout(connection, wanted.before)
    if last is not None:
        query = query.where(tuple_(rollout.c.created_at, rollout.c.id) < tuple_(last.created_at, last.id))
    query = query.order_by(rollout.c.created_at.desc(), rollout.c.id.desc()).limit(most)
    return tuple(_stored(row) for row in connection.execute(query).mappings())


def count_rollouts(connection: Connection, wanted: RolloutFilter, *, most: int) -> tuple[int, int]:
    """Return how many rollouts there are, counted up to `most`, and how many of all are on the way."""
    counted = select(rollout.c.id).where(*_which(wanted)).limit(most).subquery()
    active = rollout.c.state.in_([state.value for state in ACTIVE])
    running = select(func.count()).select_from(rollout).where(active, *_which(wanted)).scalar_subquery()
    total, on_the_way = connection.execute(select(func.count(), running).select_from(counted)).one()
    return int(total), int(on_the_way)


def _which(wanted: RolloutFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.workflow is not None:
        found.append(rollout.c.workflow == wanted.workflow)
    if wanted.space is not None:
        waves = rollout_wave.c.rollout == rollout.c.id, rollout_wave.c.space == wanted.space
        found.append(exists().where(*waves))
    return found


def deciding_rollouts(connection: Connection) -> tuple[StoredRollout, ...]:
    """Return the rollouts that wait for a decision under a fixed verdict, oldest first."""
    query = select(rollout).where(rollout.c.state == State.DECIDING.value, rollout.c.decision.is_not(None))
    return tuple(_stored(row) for row in connection.execute(query.order_by(rollout.c.state_at)).mappings())


def active_ids(connection: Connection) -> tuple[str, ...]:
    """Return the ids of rollouts that are not over, oldest first."""
    query = select(rollout.c.id).where(rollout.c.state.in_([state.value for state in ACTIVE]))
    return tuple(connection.scalars(query.order_by(rollout.c.created_at, rollout.c.id)))


_TAKE = text(
    "UPDATE rollout SET lease_owner = :owner, lease_until = clock_timestamp() + :lease,"
    " fence = CASE WHEN lease_owner = :owner THEN fence ELSE fence + 1 END"
    " WHERE id = :id AND (lease_owner IS NULL OR lease_owner = :owner OR lease_until < clock_timestamp())"
    " RETURNING fence"
)
_OVERTAKE = text(
    "UPDATE rollout SET lease_owner = NULL, lease_until = NULL, fence = fence + 1 WHERE id = :id RETURNING fence"
)

_YIELD = text("UPDATE rollout SET lease_owner = NULL, lease_until = NULL WHERE id = :id AND lease_owner = :owner")


def take_fence(connection: Connection, identifier: str, owner: str) -> int | None:
    """Take or renew a reconciler's lease for 10 s and return its token; None while another holds it."""
    values = {"id": identifier, "owner": owner, "lease": LEASE}
    token: int | None = connection.execute(_TAKE, values).scalar_one_or_none()
    return token


def overtake(connection: Connection, identifier: str) -> int | None:
    """Take a newer token for a person's command: whoever reconciled before is refused at its next write."""
    token: int | None = connection.execute(_OVERTAKE, {"id": identifier}).scalar_one_or_none()
    return token


def yield_fence(connection: Connection, identifier: str, owner: str) -> None:
    """Give a lease back, so that whoever looks next may take it; what another holds stays."""
    connection.execute(_YIELD, {"id": identifier, "owner": owner})


def save_rollout(connection: Connection, stored: StoredRollout) -> None:
    """Write the row under its token; LeaseLost when a newer one was taken."""
    statement = update(rollout).where(rollout.c.id == stored.id, rollout.c.fence == stored.fence)
    if connection.execute(statement.values(_values(stored))).rowcount != 1:
        message = f"Rollout {stored.id} was taken over (token {stored.fence} is old); nothing was written."
        raise LeaseLost("LEASE_LOST", message, hint="The other writer goes on with it.")


def waves_of(connection: Connection, identifier: str) -> tuple[StoredWave, ...]:
    """Return the spaces of a rollout in their order."""
    return tuple(_wave(row) for row in connection.execute(_WAVES, {"rollout": identifier}).mappings())


def save_wave(connection: Connection, wave: StoredWave) -> None:
    """Write a wave's row; its rollout's row is locked by the caller."""
    key = (rollout_wave.c.rollout == wave.rollout) & (rollout_wave.c.number == wave.number)
    connection.execute(update(rollout_wave).where(key).values(_wave_values(wave)))


def add_step(connection: Connection, step: StoredStep) -> None:
    """Record that a step began."""
    connection.execute(
        rollout_step.insert().values({name: getattr(step, name) for name in StoredStep.__dataclass_fields__})
    )


def end_steps(connection: Connection, identifier: str, wave: int, at: datetime) -> None:
    """Close the open step of a wave."""
    key = (rollout_step.c.rollout == identifier) & (rollout_step.c.wave == wave) & rollout_step.c.ended_at.is_(None)
    connection.execute(update(rollout_step).where(key).values(ended_at=at))


def steps_of(connection: Connection, identifier: str) -> tuple[StoredStep, ...]:
    """Return the steps that began, in order."""
    return tuple(StoredStep(**row) for row in connection.execute(_STEPS, {"rollout": identifier}).mappings())


def attempts_before(connection: Connection, workflow: str, space: str, *, but: str = "") -> int:
    """Return how many rollouts judged anything here since the last completed one, shadow included (rollouts.md 6.6).

    Each window they excused counts as one more. `but` is a rollout that is not counted.
    """
    joined = rollout_wave.join(rollout, rollout.c.id == rollout_wave.c.rollout)
    excused = select(func.count()).where(
        rollout_excuse.c.rollout == rollout_wave.c.rollout,
        rollout_excuse.c.wave == rollout_wave.c.number,
        rollout_excuse.c.second_by.is_not(None),
    )
    query = (
        select(rollout.c.state, excused.scalar_subquery())
        .select_from(joined)
        .where(
            rollout_wave.c.workflow == workflow,
            rollout_wave.c.space == space,
            rollout.c.id != but,
            rollout_wave.c.started_at.is_not(None) | exists().where(rollout_shadow.c.rollout == rollout.c.id),
        )
        .order_by(rollout.c.created_at.desc(), rollout.c.id.desc())
    )
    count = 0
    for state, windows in connection.execute(query):
        if state == State.COMPLETED:
            break
        count += 1 + windows
    return count


def _values(stored: StoredRollout) -> dict[str, Any]:
    return {
        "workflow": stored.workflow,
        "release": stored.release,
        "plan": plan_json(stored.plan),
        "plan_digest": stored.plan_digest,
        "salt": stored.salt,
        "state": stored.state.value,
        "state_at": stored.state_at,
        "state_before": None if stored.state_before is None else stored.state_before.value,
        "wave": stored.place.wave,
        "step": stored.place.step,
        "step_at": stored.step_at,
        "extended_s": stored.extended_s,
        "decision": stored.decision,
        "decision_outcome": None if stored.decision_outcome is None else stored.decision_outcome.value,
        "latched": list(stored.latched),
        "attempt": stored.attempt,
        "zeroed": stored.zeroed,
        "why": [reason.as_json() for reason in stored.why],
        "started_by": stored.started_by,
        "preflight": dict(stored.preflight),
        "flipped_at": stored.flipped_at,
        "flipped": list(stored.flipped),
        "target": stored.target,
        "zero_at": stored.zero_at,
        "zero_s": stored.zero_s,
        "zero_streams_s": stored.zero_streams_s,
        "clock_offset_s": stored.clock_offset_s,
        "incident": stored.incident,
        "reminded": stored.reminded,
        "created_at": stored.created_at,
        "ended_at": stored.ended_at,
    }


def _stored(row: RowMapping) -> StoredRollout:
    plain = {name: row[name] for name in StoredRollout.__dataclass_fields__ if name in row and name not in _TYPED}
    return StoredRollout(
        workflow=WorkflowName(row["workflow"]),
        release=Digest(row["release"]),
        plan=read_plan(row["plan"]),
        plan_digest=Digest(row["plan_digest"]),
        state=State(row["state"]),
        state_before=None if row["state_before"] is None else State(row["state_before"]),
        place=Place(wave=row["wave"], step=row["step"]),
        decision=None if row["decision"] is None else Digest(row["decision"]),
        decision_outcome=None if row["decision_outcome"] is None else Judgement(row["decision_outcome"]),
        latched=tuple(row["latched"]),
        why=tuple(Reason(**reason) for reason in row["why"]),
        flipped=tuple(map(SpaceName, row["flipped"])),
        target=None if row["target"] is None else Digest(row["target"]),
        **plain,
    )


_TYPED = frozenset(
    {
        *("workflow", "release", "plan", "plan_digest", "state", "state_before", "place", "decision"),
        *("decision_outcome", "latched", "why", "flipped", "target"),
    }
)


def _wave_values(wave: StoredWave) -> dict[str, Any]:
    values = {name: getattr(wave, name) for name in StoredWave.__dataclass_fields__}
    return {**values, "state": wave.state.value, "totals": dict(wave.totals), "ratings": dict(wave.ratings)}


def _wave(row: RowMapping) -> StoredWave:
    ratings = {release: (rated, down) for release, (rated, down) in row["ratings"].items()}
    return StoredWave(**{**row, "state": WaveState(row["state"]), "ratings": ratings})
