"""Drift rows: what a process holds that was not approved, while it lasts.

Rule: ages are measured on the database's clock. Fail mode: a space that nobody looked at for 180 s is unknown, and so
is a process whose reports could not be compared for as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.reason import Reason
from pilotage.monitoring.held import Drift, Part

UNKNOWN_AFTER: Final = timedelta(seconds=180)
SEEN: Final = 2
"""Reports in which content must differ before anything is done about it: one may have been on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrift:
    """One open row. `seen`: in how many reports."""

    process: str
    space: str
    workflow: str
    release: str
    part: Part
    observed: str
    approved: str
    opened_at: datetime
    report_at: datetime | None
    seen: int
    evicts: bool

    def counts(self, now: datetime) -> bool:
        """Whether it stands against traffic: a process that is new has 180 s to report for the first time."""
        is_new = self.part is Part.UNKNOWN and self.report_at is None
        return not is_new or now - self.opened_at >= UNKNOWN_AFTER

    def stands_against(self, release: str) -> bool:
        """Whether it can stand against more traffic of a release.

        A newer engine, other settings, or another model at the provider stand only against releases that were approved
        under the older ones, or nothing could ever follow.
        """
        return self.part not in {Part.ENGINE, Part.SPACE, Part.IDENTITY} or self.release == release

    @property
    def is_sure(self) -> bool:
        """Whether it was seen often enough to act on: content in one report only may have been on its way."""
        return self.seen >= SEEN or not self.part.is_content

    @property
    def reason(self) -> Reason:
        """The row as a reason."""
        found = Drift(part=self.part, release=self.release, observed=self.observed, approved=self.approved)
        return found.reason(process=self.process, space=self.space)

    def as_json(self) -> dict[str, Json]:
        """Return the row for the CLI and the API."""
        return {
            "process": self.process,
            "space": self.space,
            "workflow": self.workflow,
            "release": self.release,
            "since": to_text(self.opened_at),
            "evicted": self.evicts,
            **self.reason.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process said last that it holds in a space. `age_s` None: it never said."""

    process: str
    at: datetime | None
    age_s: float | None
    holds: Mapping[str, Any]

    @property
    def is_unknown(self) -> bool:
        """Whether it has not said anything for 180 s."""
        return self.age_s is None or self.age_s > UNKNOWN_AFTER.total_seconds()


# A live process that acknowledges the space's rows and never reports is as silent as one that stopped.
_HELD = text(
    "SELECT process, at, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s, holds FROM space_report"
    " WHERE space = :space UNION ALL"
    " SELECT DISTINCT a.process, NULL::timestamptz, NULL::float8, '{}'::jsonb FROM route_ack a WHERE a.space = :space"
    " AND a.at > clock_timestamp() - interval '30 s'"
    " AND NOT EXISTS (SELECT FROM space_report r WHERE r.process = a.process AND r.space = a.space)"
    " ORDER BY process"
)
_OPEN = "SELECT * FROM drift"
_PUT = text(
    "INSERT INTO drift (process, space, workflow, release, part, observed, approved, opened_at, report_at)"
    " VALUES (:process, :space, :workflow, :release, :part, :observed, :approved, :at, :report_at)"
    " ON CONFLICT (process, space, workflow, release, part) DO UPDATE SET observed = EXCLUDED.observed,"
    " approved = EXCLUDED.approved, report_at = EXCLUDED.report_at,"
    " seen = drift.seen + (EXCLUDED.report_at IS DISTINCT FROM drift.report_at)::int"
    " RETURNING *, xmax = 0 AS is_new"
)
_CLOSE = text(
    "DELETE FROM drift WHERE process = :process AND space = :space AND workflow = :workflow AND release = :release"
    " AND part = :part"
)
_EVICT = text(
    "UPDATE drift SET evicts = true WHERE process = :process AND space = :space AND workflow = :workflow"
    " AND release = :release AND part = :part"
)
_LOOKED = text("UPDATE space_health SET drift_at = clock_timestamp() WHERE space = :space")
_UNSEEN = text(
    "SELECT NOT coalesce(drift_at > clock_timestamp() - CAST(:after AS interval), false)"
    " FROM space_health WHERE space = :space"
)


def held_in(connection: Connection, space: str) -> tuple[Held, ...]:
    """Return what every process said last that it holds in a space, silent live processes among them."""
    return tuple(Held(**row) for row in connection.execute(_HELD, {"space": space}).mappings())


def open_drift(connection: Connection, *, space: str | None = None) -> tuple[StoredDrift, ...]:
    """Return the open rows, of one space or of all, in a fixed order."""
    where = "" if space is None else " WHERE space = :space"
    query = text(f"{_OPEN}{where} ORDER BY space, workflow, process, release, part")
    values = {} if space is None else {"space": space}
    return tuple(drift_from(row) for row in connection.execute(query, values).mappings())


def put_drift(
    connection: Connection, held: Held, found: Drift, *, space: str, workflow: str, at: datetime
) -> tuple[StoredDrift, bool]:
    """Open a row or see it again; return it and whether it is new."""
    values = {
        "process": held.process,
        "space": space,
        "workflow": workflow,
        "release": found.release,
        "part": found.part.value,
        "observed": found.observed,
        "approved": found.approved,
        "at": at,
        "report_at": held.at,
    }
    row = dict(connection.execute(_PUT, values).mappings().one())
    is_new = bool(row.pop("is_new"))
    return drift_from(row), is_new


def close_drift(connection: Connection, row: StoredDrift) -> None:
    """Remove a row that is no longer true."""
    connection.execute(_CLOSE, _key(row))


def evict(connection: Connection, row: StoredDrift) -> None:
    """Take the process out of the routing of this row."""
    connection.execute(_EVICT, _key(row))


def keep_lags(
    connection: Connection, space: str, lagging: Mapping[tuple[str, str], datetime]
) -> dict[tuple[str, str], timedelta]:
    """Note whose newest report of which workflow cannot be compared, and forget the others.

    `lagging` is when each of them was made; what is returned is for how long that process's reports could not be.
    """
    values = {
        "space": space,
        "processes": [process for process, _ in lagging],
        "workflows": [workflow for _, workflow in lagging],
        "times": list(lagging.values()),
    }
    connection.execute(_NO_LAG, values)
    connection.execute(_LAG, values)
    since = {(row.process, row.workflow): row.since for row in connection.execute(_LAGS, {"space": space})}
    return {key: at - since[key] for key, at in lagging.items()}


_NO_LAG = text(
    "DELETE FROM report_lag l WHERE space = :space AND NOT EXISTS (SELECT FROM"
    " unnest(CAST(:processes AS text[]), CAST(:workflows AS text[])) AS n (process, workflow)"
    " WHERE n.process = l.process AND n.workflow = l.workflow)"
)
_LAG = text(
    "INSERT INTO report_lag (process, space, workflow, since) SELECT n.process, :space, n.workflow, n.at FROM"
    " unnest(CAST(:processes AS text[]), CAST(:workflows AS text[]), CAST(:times AS timestamptz[]))"
    " AS n (process, workflow, at)"
    " ON CONFLICT DO NOTHING"
)
_LAGS = text("SELECT process, workflow, since FROM report_lag WHERE space = :space")


def mark_looked(connection: Connection, space: str) -> None:
    """Note that the drift of a space was looked at now."""
    connection.execute(_LOOKED, {"space": space})


def is_unlooked(connection: Connection, space: str) -> bool:
    """Tell whether nobody has looked at the drift of a space for 180 s."""
    found = _is_late(connection, space)
    return found is None or found


def is_resumed(connection: Connection, space: str) -> bool:
    """Tell whether a look now is the first at a judged space for 180 s."""
    return bool(_is_late(connection, space))


def _is_late(connection: Connection, space: str) -> bool | None:
    values = {"space": space, "after": UNKNOWN_AFTER}
    found: bool | None = connection.execute(_UNSEEN, values).scalar_one_or_none()
    return found


def _key(row: StoredDrift) -> dict[str, str]:
    return {
        "process": row.process,
        "space": row.space,
        "workflow": row.workflow,
        "release": row.release,
        "part": row.part.value,
    }


def drift_from(row: Mapping[Any, Any]) -> StoredDrift:
    """Return the typed row."""
    return StoredDrift(**{**row, "part": Part(row["part"])})
