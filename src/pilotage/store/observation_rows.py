"""Recorded requests in ledger order: what verdicts are counted from (rollouts.md 5.2).

A request is read when its final record has a number in the ledger; one that was only opened comes when it is closed.
Rule: each record is read once, by its number; who was eligible stands in the record's own groups. Fail mode: a database
error; nothing is skipped, because the number of the last record read is kept with the sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.rollout.tally import Book

BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One record. `groups` are the asker's, None when no text was stored; `detail` as recorded."""

    seq: int
    id: str
    at: datetime
    arm: str
    release: str | None
    principal: str
    kind: str
    outcome: str
    refused: bool
    groups: tuple[str, ...] | None
    detail: Mapping[str, Any]


# Each entry looks its own rows up (LIMIT 1 keeps it so): a join that reads what was recorded since a step began costs
# more with every request, twice a second, and a verdict waits for it.
_ROWS = text(
    "SELECT e.seq, i.id, i.at, i.arm, i.release, i.principal, i.kind, coalesce(c.outcome, i.outcome) AS outcome,"
    " coalesce(c.refused, i.refused) AS refused, t.groups,"
    " CASE WHEN c.interaction IS NULL OR c.detail = '{}' THEN i.detail ELSE c.detail END AS detail"
    " FROM ledger_entry e"
    " CROSS JOIN LATERAL (SELECT * FROM interaction WHERE id = e.subject AND at >= :since LIMIT 1) AS i"
    " LEFT JOIN LATERAL (SELECT * FROM interaction_closing WHERE interaction = i.id LIMIT 1) AS c ON true"
    " LEFT JOIN LATERAL (SELECT groups FROM interaction_text WHERE id = i.id LIMIT 1) AS t ON true"
    " WHERE e.seq > :after AND e.seq <= :upto AND e.kind IN ('interaction.recorded', 'interaction.closed')"
    " AND i.space = :space AND i.workflow = :workflow ORDER BY e.seq"
)
_WINDOW = text(
    "SELECT e.seq, i.id, i.at, i.arm, i.release, i.principal, i.kind, coalesce(c.outcome, i.outcome) AS outcome,"
    " coalesce(c.refused, i.refused) AS refused, t.groups,"
    " CASE WHEN c.interaction IS NULL OR c.detail = '{}' THEN i.detail ELSE c.detail END AS detail"
    " FROM interaction i"
    " JOIN ledger_entry e ON e.subject = i.id AND e.kind IN ('interaction.recorded', 'interaction.closed')"
    " LEFT JOIN LATERAL (SELECT * FROM interaction_closing WHERE interaction = i.id LIMIT 1) AS c ON true"
    " LEFT JOIN LATERAL (SELECT groups FROM interaction_text WHERE id = i.id LIMIT 1) AS t ON true"
    " WHERE i.space = :space AND i.workflow = :workflow AND i.at >= :since AND i.at < :until"
    " AND e.seq >= :first AND e.seq <= :last ORDER BY e.seq"
)
_UPTO = text("SELECT max(seq) FROM (SELECT seq FROM ledger_entry WHERE seq > :after ORDER BY seq LIMIT :most) AS page")


def read_rows(
    connection: Connection, space: str, workflow: str, *, after: int, since: datetime
) -> tuple[tuple[RecordRow, ...], int]:
    """Return the next records of a workflow in a space, and the ledger number up to which there are no others."""
    upto = connection.execute(_UPTO, {"after": after, "most": BATCH}).scalar_one_or_none()
    if upto is None:
        return (), after
    values = {"space": space, "workflow": workflow, "after": after, "upto": upto, "since": since}
    rows = connection.execute(_ROWS, values).mappings()
    return tuple(RecordRow(**{**row, "groups": _groups(row["groups"])}) for row in rows), int(upto)


def read_window(
    connection: Connection, space: str, workflow: str, *, window: tuple[datetime, datetime], seqs: tuple[int, int]
) -> tuple[RecordRow, ...]:
    """Return the records of requests that came in a window, of those with these ledger numbers (both included)."""
    values = {"since": window[0], "until": window[1], "first": seqs[0], "last": seqs[1]}
    rows = connection.execute(_WINDOW, {"space": space, "workflow": workflow, **values}).mappings()
    return tuple(RecordRow(**{**row, "groups": _groups(row["groups"])}) for row in rows)


def _groups(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


_LAST = text("SELECT coalesce(max(seq), -1) FROM ledger_entry")


def last_number(connection: Connection) -> int:
    """Return the number of the newest numbered ledger entry, -1 in an empty ledger."""
    found: int = connection.execute(_LAST).scalar_one()
    return found


_WAITING = text(
    "SELECT extract(epoch FROM clock_timestamp() - min(inserted_at))::float8 FROM ledger_entry WHERE seq IS NULL"
)


def lag_seconds(connection: Connection) -> float:
    """Return how long the oldest entry has waited for its number."""
    found: float | None = connection.execute(_WAITING).scalar_one_or_none()
    return 0.0 if found is None else found


_BOOKS = text(
    "SELECT principal, counts FROM rollout_principal WHERE rollout = :rollout AND wave = :wave"
    " AND principal = ANY(:principals)"
)
_KEEP = text(
    "INSERT INTO rollout_principal (rollout, wave, principal, counts)"
    " SELECT :rollout, :wave, b.key, b.value FROM jsonb_each(:books) AS b"
    " ON CONFLICT (rollout, wave, principal) DO UPDATE SET counts = EXCLUDED.counts"
).bindparams(bindparam("books", type_=JSONB))


def read_books(connection: Connection, rollout: str, wave: int, principals: Sequence[str]) -> dict[str, Book]:
    """Return the books of these principals that exist."""
    values = {"rollout": rollout, "wave": wave, "principals": list(principals)}
    return {row.principal: row.counts for row in connection.execute(_BOOKS, values)}


def keep_books(connection: Connection, rollout: str, wave: int, books: Mapping[str, Book]) -> None:
    """Write books back."""
    if books:
        connection.execute(_KEEP, {"rollout": rollout, "wave": wave, "books": dict(books)})


_CARRY = text(
    "INSERT INTO rollout_principal (rollout, wave, principal, counts)"
    " SELECT :rollout, :wave, p.principal, (SELECT coalesce(jsonb_object_agg(b.key, b.value"
    " - CAST(:without AS text[])), '{}') FROM jsonb_each(p.counts) AS b) FROM rollout_principal p"
    " WHERE p.rollout = :earlier AND p.wave = :earlier_wave ON CONFLICT DO NOTHING"
)
_EARLIER = text(
    "SELECT w.rollout, w.number, w.totals, r.plan FROM rollout_wave w JOIN rollout r ON r.id = w.rollout"
    " WHERE w.workflow = :workflow AND w.space = :space AND r.release = :release AND w.rollout <> :rollout"
    " AND w.started_at IS NOT NULL ORDER BY w.started_at DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier attempt of the same release in the same space: its sums, and the plan they were counted under."""

    rollout: str
    wave: int
    totals: Mapping[str, Any]
    plan: Mapping[str, object]


def earlier_attempt(connection: Connection, *, rollout: str, workflow: str, space: str, release: str) -> Earlier | None:
    """Return the newest attempt before this one, or None."""
    values = {"rollout": rollout, "workflow": workflow, "space": space, "release": release}
    found = connection.execute(_EARLIER, values).one_or_none()
    if found is None:
        return None
    return Earlier(rollout=found.rollout, wave=found.number, totals=found.totals, plan=found.plan)


def carry_over(
    connection: Connection, earlier: Earlier, *, rollout: str, wave: int, without: Collection[str] = ()
) -> None:
    """Copy the books of an earlier attempt, but for metrics that mean something else by now."""
    copy = {"rollout": rollout, "wave": wave, "earlier": earlier.rollout, "earlier_wave": earlier.wave}
    connection.execute(_CARRY, {**copy, "without": sorted(without)})


_RATINGS = text(
    "SELECT last.release, count(*) AS rated, count(*) FILTER (WHERE last.rating = 'down') AS down FROM ("
    " SELECT DISTINCT ON (f.interaction) f.interaction, f.rating, i.principal, i.release FROM feedback f"
    " CROSS JOIN LATERAL (SELECT * FROM interaction WHERE id = f.interaction AND at >= :since LIMIT 1) AS i"
    " WHERE f.at >= :since AND i.space = :space AND i.workflow = :workflow AND i.release = ANY(:releases)"
    " AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:froms AS timestamptz[]), CAST(:tos AS timestamptz[])) AS w (a, b)"
    " WHERE i.at >= w.a AND i.at < w.b)"
    " AND i.kind = 'user' AND f.at <= i.at + interval '7 days' ORDER BY f.interaction, f.at DESC) AS last"
    " GROUP BY last.release, last.principal"
)


def ratings_of(
    connection: Connection,
    space: str,
    workflow: str,
    *,
    releases: Sequence[str],
    since: datetime,
    without: Sequence[tuple[datetime, datetime]] = (),
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return, of each release and for each principal, rated answers, and how many were rated down last.

    `without`: windows whose answers are left out.
    """
    spans = {"froms": [first for first, _ in without], "tos": [last for _, last in without]}
    values = {"space": space, "workflow": workflow, "releases": list(releases), "since": since, **spans}
    found: dict[str, list[tuple[int, int]]] = {}
    for row in connection.execute(_RATINGS, values):
        found.setdefault(row.release, []).append((row.rated, row.down))
    return {release: tuple(each) for release, each in found.items()}
