"""Reads that facts of a gate rest on: what a space answered lately, who confirmed, what is open. Counts only.

Fail mode: None where nothing was seen; the fact is then absent and its criterion inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.store.tables.gates import stated_fact
from pilotage.store.together import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What a release answered in a space: how often, how it went last, and when."""

    answered: int
    failed: int
    last_at: datetime | None


_ANSWERING = text(
    "SELECT count(*) FILTER (WHERE code IS NULL) AS answered, count(*) FILTER (WHERE code IS NOT NULL) AS failed,"
    " max(at) FILTER (WHERE code IS NULL) AS last_at"
    " FROM interaction WHERE space = :space AND workflow = :workflow AND release = :release AND at >= :since"
)


def answering(connection: Connection, space: str, workflow: str, release: str, *, since: datetime) -> Answering:
    """Return what a release answered in a space since a moment."""
    values = {"space": space, "workflow": workflow, "release": release, "since": since}
    return Answering(**connection.execute(_ANSWERING, values).mappings().one())


def state_fact(connection: Connection, kind: str, *, workflow: str, by_person: str, at: datetime) -> str:
    """Write a stated fact and return its id."""
    name = new_ulid(at)
    connection.execute(
        stated_fact.insert().values(id=name, kind=kind, workflow=workflow, by_person=by_person, at=at, detail={})
    )
    return name


_LAST_STATED = text("SELECT max(at) FROM stated_fact WHERE kind = :kind AND workflow = :workflow")


def last_stated(connection: Connection, kind: str, workflow: str) -> datetime | None:
    """Return when a fact was stated of a workflow last."""
    found: datetime | None = connection.scalar(_LAST_STATED, {"kind": kind, "workflow": workflow})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A version of Pilotage, and when it was first seen after another one."""

    version: str
    since: datetime


_ENGINE = text(
    "SELECT detail ->> 'version' AS version, at FROM stated_fact WHERE kind = 'engine'"
    " ORDER BY at DESC, id DESC LIMIT 1"
)


def engine_from(rows: Rows) -> Engine | None:
    """Return the version seen last, from its rows; None: none was."""
    return next((Engine(version=row["version"], since=row["at"]) for row in rows), None)


def engine_seen(connection: Connection) -> Engine | None:
    """Return the version of Pilotage seen last; None: none was."""
    return engine_from(connection.execute(_ENGINE).mappings().all())


def see_engine(connection: Connection, version: str, *, at: datetime) -> bool:
    """Note a version of Pilotage that takes the place of another; True when it does."""
    seen = engine_seen(connection)
    if seen is not None and seen.version == version:
        return False
    values = {"id": new_ulid(at), "kind": "engine", "by_person": "system:engine", "at": at}
    connection.execute(stated_fact.insert().values(**values, detail={"version": version}))
    return True


_ENGINE_RUNS = text(
    "SELECT detail ->> 'release' FROM stated_fact WHERE kind = 'engine_run' AND detail ->> 'version' = :version"
)


def engine_runs(connection: Connection, version: str) -> frozenset[Digest]:
    """Return the releases for which a run of this version was asked for, or could not be."""
    return frozenset(Digest(one) for one in connection.execute(_ENGINE_RUNS, {"version": version}).scalars())


def state_engine_run(
    connection: Connection, version: str, release: Digest, *, workflow: str, by_person: str, at: datetime
) -> None:
    """Note that a run of this version was asked for."""
    values = {"id": new_ulid(at), "kind": "engine_run", "workflow": workflow, "by_person": by_person, "at": at}
    connection.execute(stated_fact.insert().values(**values, detail={"version": version, "release": release}))


_FIRST_TRAFFIC = text(
    "SELECT min(s.started_at) FROM rollout_step s JOIN rollout_wave w ON w.rollout = s.rollout AND w.number = s.wave"
    " JOIN rollout r ON r.id = s.rollout WHERE r.release = :release AND r.workflow = :workflow AND w.space = :space"
    " AND s.ended_at IS NULL"
)


_HAD_TRAFFIC = text(
    "SELECT EXISTS (SELECT 1 FROM rollout_step s JOIN rollout_wave w ON w.rollout = s.rollout AND w.number = s.wave"
    " JOIN rollout r ON r.id = s.rollout WHERE r.release = :release AND r.workflow = :workflow AND w.space = :space)"
    " OR EXISTS (SELECT 1 FROM deployment WHERE release = :release AND workflow = :workflow AND space = :space"
    " AND state <> 'waiting')"
)


_UNDER_WAY = text(
    "SELECT r.release, w.space, min(s.started_at) AS since FROM rollout_step s"
    " JOIN rollout_wave w ON w.rollout = s.rollout AND w.number = s.wave JOIN rollout r ON r.id = s.rollout"
    " WHERE s.ended_at IS NULL GROUP BY r.release, w.space"
)


def traffic_under_way(connection: Connection) -> dict[str, dict[str, datetime]]:
    """Return since when each release of a rollout that is under way has had traffic, by release and space."""
    found: dict[str, dict[str, datetime]] = {}
    for row in connection.execute(_UNDER_WAY):
        found.setdefault(row.release, {})[row.space] = row.since
    return found


def had_traffic(connection: Connection, space: str, workflow: str, release: str) -> bool:
    """Tell whether a release ever had traffic in a space, by a rollout that is over too."""
    return bool(connection.scalar(_HAD_TRAFFIC, {"space": space, "workflow": workflow, "release": release}))


def first_traffic(connection: Connection, space: str, workflow: str, release: str) -> datetime | None:
    """Return since when a release has had traffic in a space by a rollout that is under way; None: it has none."""
    found = connection.scalar(_FIRST_TRAFFIC, {"space": space, "workflow": workflow, "release": release})
    return found if isinstance(found, datetime) else None
