"""Health of spaces as rows: what processes reported, and how the workers judged it.

Rule: ages are measured on the database's clock. Fail mode: a space without a row, or whose row nobody renewed for 65 s,
is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.space.health import RESUMED, HealthState, Report
from pilotage.store.tables.serving import routing

FRESH: Final = timedelta(seconds=65)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHealth:
    """One space. `since` is when the state began; `age_s` how long ago it was judged; `failover` where askers are."""

    space: SpaceName
    state: HealthState
    since: datetime
    age_s: float = 0.0
    reasons: tuple[Reason, ...] = ()
    failover: SpaceName | None = None
    failover_at: datetime | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the judgement still says something."""
        return self.age_s <= FRESH.total_seconds()

    @property
    def is_blind(self) -> bool:
        """Whether nobody had looked until a moment ago, so that silence says nothing yet."""
        return any(reason.code == RESUMED for reason in self.reasons)

    def as_json(self) -> dict[str, Json]:
        """Return the judgement for the CLI and the API; one that nobody renewed is unknown."""
        return {
            "space": self.space,
            "state": self.state.value if self.is_fresh else HealthState.UNKNOWN.value,
            "since": to_text(self.since),
            "failover": self.failover,
            "failover_at": None if self.failover_at is None else to_text(self.failover_at),
            "reasons": [dict(reason.as_json()) for reason in self.reasons],
        }


_REPORTS = text(
    "SELECT process, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s, failures, successes, reasons"
    " FROM space_report WHERE space = :space ORDER BY process"
)
_HEALTH = (
    "SELECT space, state, since, extract(epoch FROM clock_timestamp() - checked_at)::float8 AS age_s, reasons,"
    " failover, failover_at FROM space_health"
)
_SAVE = text(
    "INSERT INTO space_health (space, state, since, checked_at, reasons, failover, failover_at)"
    " VALUES (:space, :state, :since, clock_timestamp(), :reasons, :failover, :failover_at)"
    " ON CONFLICT (space) DO UPDATE SET state = EXCLUDED.state, since = EXCLUDED.since,"
    " checked_at = EXCLUDED.checked_at, reasons = EXCLUDED.reasons, failover = EXCLUDED.failover,"
    " failover_at = EXCLUDED.failover_at"
).bindparams(bindparam("reasons", type_=JSONB))
_FORGET = text("DELETE FROM space_report WHERE at < clock_timestamp() - CAST(:after AS interval)")


def reports_of(connection: Connection, space: str) -> tuple[Report, ...]:
    """Return what every process said last of a space."""
    rows = connection.execute(_REPORTS, {"space": space}).mappings()
    return tuple(Report(**{**row, "reasons": _reasons(row["reasons"])}) for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedIndex:
    """A workflow whose documents a process serves from an older index, and why the newer one could not be opened."""

    space: SpaceName
    workflow: str
    why: str


_REFUSED = text(
    "SELECT DISTINCT ON (r.space, w.key) r.space, w.key AS workflow, c.value ->> 'refused' AS why FROM space_report r,"
    " LATERAL jsonb_each(r.holds) w,"
    " LATERAL jsonb_each(CASE jsonb_typeof(w.value -> 'corpora') WHEN 'object' THEN w.value -> 'corpora'"
    " ELSE '{}' END) c"
    " WHERE c.value ->> 'refused' IS NOT NULL AND r.at > clock_timestamp() - interval '180 s'"
    " ORDER BY r.space, w.key, r.process"
)


def refused_indexes(connection: Connection) -> tuple[RefusedIndex, ...]:
    """Return what processes reported lately, one row a space and workflow."""
    rows = connection.execute(_REFUSED)
    return tuple(RefusedIndex(space=SpaceName(row.space), workflow=row.workflow, why=row.why) for row in rows)


def read_health(connection: Connection, space: str, *, lock: bool = False) -> StoredHealth | None:
    """Return how a space was judged last, locked until the caller's transaction ends when asked."""
    query = text(f"{_HEALTH} WHERE space = :space{' FOR UPDATE' if lock else ''}")
    row = connection.execute(query, {"space": space}).mappings().one_or_none()
    return None if row is None else _stored(row)


def list_health(connection: Connection) -> tuple[StoredHealth, ...]:
    """Return every judged space, by name."""
    return tuple(_stored(row) for row in connection.execute(text(f"{_HEALTH} ORDER BY space")).mappings())


def save_health(connection: Connection, found: StoredHealth) -> None:
    """Write a judgement; it is as of now."""
    values = {
        "space": found.space,
        "state": found.state.value,
        "since": found.since,
        "reasons": [reason.as_json() for reason in found.reasons],
        "failover": found.failover,
        "failover_at": found.failover_at,
    }
    connection.execute(_SAVE, values)


def served_spaces(connection: Connection) -> tuple[SpaceName, ...]:
    """Return the spaces that serve or served a workflow, by name."""
    query = select(routing.c.space).distinct().order_by(routing.c.space)
    return tuple(SpaceName(name) for name in connection.scalars(query))


def workflows_in(connection: Connection, space: str) -> tuple[str, ...]:
    """Return the workflows that have a routing row in a space, by name."""
    query = select(routing.c.workflow).where(routing.c.space == space).order_by(routing.c.workflow)
    return tuple(connection.scalars(query))


def forget_reports(connection: Connection, after: timedelta) -> None:
    """Remove reports of processes that are long gone."""
    connection.execute(_FORGET, {"after": after})


def _stored(row: Mapping[Any, Any]) -> StoredHealth:
    return StoredHealth(**{**row, "state": HealthState(row["state"]), "reasons": _reasons(row["reasons"])})


def _reasons(found: Iterable[Mapping[str, str]]) -> tuple[Reason, ...]:
    return tuple(Reason(**one) for one in found)
