"""The routing table as control writes it: one row per (space, workflow), a new generation with every change.

Rule: a row is written only over the generation that was read and with a fencing token that is not older than the last
writer's (rollouts.md 3.3); the notification leaves with the commit. Fail mode: False, and nothing written: read again
and decide again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.store.notify import Channel, notify
from pilotage.store.tables.serving import deployment, routing
from pilotage.store.together import StoredRow

SELF_FENCED: Final = timedelta(seconds=3)
DEAD: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row. `generation` 0: the space never served the workflow. `closed`: not_released, maintenance or None.

    `down`: the space sends its askers to `failover`, or refuses them where that is None.
    """

    space: SpaceName
    workflow: WorkflowName
    generation: int = 0
    stable: Digest | None = None
    candidate: Digest | None = None
    fraction_ppm: int = 0
    cohort: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    salt: str = ""
    paused: bool = False
    fence: int = 0
    shadow: Digest | None = None
    shadow_ppm: int = 0
    rollout: str | None = None
    closed: str | None = None
    drill: Mapping[str, Any] | None = None
    down: bool = False
    failover: SpaceName | None = None
    reason: str = ""

    def without_candidate(self, *, stable: Digest | None, closed: str | None) -> Route:
        """Return the row after everything was taken back to `stable`."""
        return replace(
            self,
            stable=stable,
            closed=closed,
            candidate=None,
            fraction_ppm=0,
            cohort={},
            salt="",
            shadow=None,
            shadow_ppm=0,
            rollout=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What one serving process has taken over. `age_s`: seconds since it said so, on the database's clock."""

    process: str
    generation: int
    loaded: frozenset[str]
    age_s: float

    @property
    def is_alive(self) -> bool:
        """Whether it confirmed within 30 s."""
        return self.age_s <= DEAD.total_seconds()


def read_route(connection: Connection, space: str, workflow: str, *, lock: bool = False) -> Route:
    """Return the row, locked until the caller's transaction ends when asked; generation 0 where there is none."""
    query = select(routing).where(routing.c.space == space, routing.c.workflow == workflow)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        return Route(space=SpaceName(space), workflow=WorkflowName(workflow))
    return route_from(row)


def route_from(row: StoredRow) -> Route:
    """Return a routing row from its columns."""
    return Route(**{name: row[name] for name in Route.__dataclass_fields__})


def write_route(connection: Connection, seen: Route, wanted: Route, *, fence: int, at: datetime) -> Route | None:
    """Write `wanted` over `seen` as a new generation; None when the row moved or a newer writer holds it."""
    new = replace(wanted, generation=seen.generation + 1, fence=max(fence, seen.fence))
    values = {name: getattr(new, name) for name in Route.__dataclass_fields__ if name not in _KEY}
    values["changed_at"] = at
    if seen.generation == 0:
        row = insert(routing).values(space=seen.space, workflow=seen.workflow, **values).on_conflict_do_nothing()
        written = len(connection.execute(row.returning(routing.c.space)).all())
    else:
        statement = update(routing).where(
            routing.c.space == seen.space,
            routing.c.workflow == seen.workflow,
            routing.c.generation == seen.generation,
            routing.c.fence <= fence,
        )
        written = connection.execute(statement.values(values)).rowcount
    if written != 1:
        return None
    notify(connection, Channel.ROUTING, f"{new.space}:{new.workflow}:{new.generation}")
    return new


_KEY = frozenset({"space", "workflow"})

_ACKS = text(
    "SELECT a.process, a.generation, a.loaded, extract(epoch FROM clock_timestamp() - a.at)::float8 AS age_s"
    " FROM route_ack a WHERE a.space = :space AND a.workflow = :workflow ORDER BY a.process"
)


def acks_of(connection: Connection, space: str, workflow: str) -> tuple[Ack, ...]:
    """Return what every serving process said last about a row."""
    rows = connection.execute(_ACKS, {"space": space, "workflow": workflow}).mappings()
    return tuple(ack_from(row) for row in rows)


_BEHIND = text(
    "SELECT a.process FROM route_ack a JOIN routing r USING (space, workflow)"
    " WHERE a.space = :space AND a.workflow = :workflow AND a.generation < r.generation"
    " AND greatest(a.at, r.written_at) >= clock_timestamp() - CAST(:fenced AS interval) ORDER BY a.process"
)


def not_following(connection: Connection, space: str, workflow: str) -> tuple[str, ...]:
    """Return the processes that may still route by an earlier row: neither acknowledged nor fenced by themselves.

    A process whose acknowledgements fail may have read the earlier row until the newer one was committed: its silence
    is counted from there, on the database's clock, however long it has said nothing. The database dates the row.
    """
    values = {"space": space, "workflow": workflow, "fenced": SELF_FENCED}
    return tuple(connection.execute(_BEHIND, values).scalars())


def ack_from(row: StoredRow) -> Ack:
    """Return an acknowledgement from its row."""
    return Ack(
        process=row["process"], generation=row["generation"], loaded=frozenset(row["loaded"]), age_s=row["age_s"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admissions:
    """Requests routed to a release, over all processes."""

    admitted: int
    last_at: datetime | None


_ADMISSIONS = text(
    "SELECT coalesce(sum(admitted), 0)::bigint AS admitted, max(last_at) AS last_at FROM route_admission"
    " WHERE space = :space AND workflow = :workflow AND release = :release"
)


def admissions_of(connection: Connection, space: str, workflow: str, release: str) -> Admissions:
    """Return how many requests the processes sent to a release, and when the last one was."""
    values = {"space": space, "workflow": workflow, "release": release}
    return Admissions(**connection.execute(_ADMISSIONS, values).mappings().one())


def served_before(connection: Connection, space: str, workflow: str) -> tuple[Digest, ...]:
    """Return the releases that were in force in a space, newest first, each once."""
    query = (
        select(deployment.c.release)
        .where(deployment.c.space == space, deployment.c.workflow == workflow)
        .where(deployment.c.state.in_(["active", "superseded", "retired"]))
        .order_by(deployment.c.at.desc(), deployment.c.id.desc())
    )
    return tuple(dict.fromkeys(Digest(found) for found in connection.scalars(query)))


def database_time(connection: Connection) -> datetime:
    """Return the database's clock, the one that times of several processes are measured on."""
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


_FOLLOWED = text(
    "SELECT process, generation >= :generation AS is_done,"
    " greatest(0, extract(epoch FROM at - :since))::float8 AS seconds FROM route_ack"
    " WHERE space = :space AND workflow = :workflow AND at > clock_timestamp() - interval '30 s'"
)


def followed_within(
    connection: Connection, space: str, workflow: str, *, generation: int, since: datetime
) -> Mapping[str, float] | None:
    """Return how long each live process took at most to acknowledge a generation.

    None while one has not, or when none lives. The acknowledgement may be a later one than the first: the true time is
    never longer than what is returned.
    """
    values = {"space": space, "workflow": workflow, "generation": generation, "since": since}
    rows = connection.execute(_FOLLOWED, values).all()
    if not rows or not all(row.is_done for row in rows):
        return None
    return {row.process: row.seconds for row in rows}
