"""Reads that facts of a gate rest on: what a space answered lately, who confirmed, what is open. Counts only.

Fail mode: None where nothing was seen; the fact is then absent and its criterion inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from pilotage.core.ids import new_ulid
from pilotage.store.tables.gates import stated_fact


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
_LAST = text("SELECT max(at) FROM interaction WHERE space = :space AND workflow = :workflow AND at >= :since")
_UNRECORDED = text(
    "SELECT count(*) FROM interaction i WHERE i.workflow = :workflow AND i.at >= :since AND i.at < :until"
    " AND NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.subject = i.id)"
)
_OVERDUE = text(
    "SELECT count(*) FROM takedown WHERE corpus = ANY(:corpora) AND requested_at < :before"
    " AND state IN ('hidden', 'erasing', 'purge_failed')"
)


def answering(connection: Connection, space: str, workflow: str, release: str, *, since: datetime) -> Answering:
    """Return what a release answered in a space since a moment."""
    values = {"space": space, "workflow": workflow, "release": release, "since": since}
    return Answering(**connection.execute(_ANSWERING, values).mappings().one())


def last_interaction(connection: Connection, space: str, workflow: str, *, since: datetime) -> datetime | None:
    """Return when a space last recorded an interaction of the workflow."""
    found = connection.scalar(_LAST, {"space": space, "workflow": workflow, "since": since})
    return found if isinstance(found, datetime) else None


def unrecorded(connection: Connection, workflow: str, *, since: datetime, until: datetime) -> int:
    """Return how many recorded interactions have no ledger entry."""
    return int(connection.scalar(_UNRECORDED, {"workflow": workflow, "since": since, "until": until}) or 0)


def overdue_takedowns(connection: Connection, corpora: tuple[str, ...], now: datetime) -> int:
    """Return how many takedowns are unfinished for more than a day."""
    values = {"corpora": list(corpora), "before": now - timedelta(days=1)}
    return int(connection.scalar(_OVERDUE, values) or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedFact:
    """Something a person said happened: an alert that fired, a page that was acknowledged."""

    kind: str
    by_person: str
    at: datetime
    detail: Mapping[str, Any]


def state_fact(connection: Connection, kind: str, *, workflow: str, by_person: str, at: datetime) -> str:
    """Write a stated fact and return its id."""
    name = new_ulid(at)
    connection.execute(
        stated_fact.insert().values(id=name, kind=kind, workflow=workflow, by_person=by_person, at=at, detail={})
    )
    return name


def newest_fact(connection: Connection, kind: str, *, workflow: str) -> StatedFact | None:
    """Return the newest stated fact of a kind."""
    table = stated_fact
    query = select(table).where(table.c.kind == kind, table.c.workflow == workflow).order_by(table.c.at.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    if row is None:
        return None
    return StatedFact(kind=row["kind"], by_person=row["by_person"], at=row["at"], detail=row["detail"])


_FIRST_TRAFFIC = text(
    "SELECT min(s.started_at) FROM rollout_step s JOIN rollout_wave w ON w.rollout = s.rollout AND w.number = s.wave"
    " JOIN rollout r ON r.id = s.rollout WHERE r.release = :release AND r.workflow = :workflow AND w.space = :space"
    " AND s.ended_at IS NULL"
)


def first_traffic(connection: Connection, space: str, workflow: str, release: str) -> datetime | None:
    """Return since when a release has had traffic in a space by a rollout that is under way; None: it has none."""
    found = connection.scalar(_FIRST_TRAFFIC, {"space": space, "workflow": workflow, "release": release})
    return found if isinstance(found, datetime) else None
