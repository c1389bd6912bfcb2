"""Hard events that the machine sees in the records: what broke a promise after it was sent (rollouts.md 8.1).

Every reader returns rows that are a violation, or what one is told by; a healthy system gives none. Rule: what a guard
stopped before it was sent is not among them, and what moved after the answer's permission decision is not a breach of
it. So a takedown counts where that decision had seen it: an answer of a process that had not is missed until a minute
after the purge has ended, and one whose document the purge touches before the look is missed too. Fail mode: a database
error; the look is repeated from where the last whole one ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.incident.records import HardKind


class Look(StrEnum):
    """What is looked through, each by a look of its own."""

    RECORDS = "records"
    RELEASES = "releases"


class Standing(StrEnum):
    """The conditions that last, by the first word of their subject: one that begins again is declared again."""

    PLACE = "place"
    LEDGER = "ledger"
    RELEASE = "release"

    def subject(self, *names: str) -> str:
        """Return the subject of such a condition."""
        return " ".join((self.value, *names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One violation. `release` None: no release is to blame.

    `subject` is what it was seen on: the id of an interaction or, for what lasts, a word of `Standing` and names.
    """

    kind: HardKind
    subject: str
    workflow: str
    space: str
    release: Digest | None
    summary: str


_SENT: Final = (
    " FROM interaction i LEFT JOIN interaction_closing k ON k.interaction = i.id"
    " WHERE i.at >= :since AND i.at < :until AND i.release IS NOT NULL AND i.kind IN ('user', 'failover')"
    " AND coalesce(k.outcome, i.outcome) = 'ok' AND NOT coalesce(k.refused, i.refused)"
)
"""Answers that left, to people."""

_WRITTEN: Final = _SENT + " AND i.id IN (SELECT e.subject FROM ledger_entry e WHERE e.id >= :written)"  # noqa: S608 - constants
"""Those among them whose record was written since: the id of an entry begins with its time."""

# The permission decision was made at `acl_generation`; a document that changed later is judged by nobody here. The time
# of a takedown's request says little: its tombstone is seen only once it has committed, which may wait for a refresh.
# When its purge has ended it has been seen for long, whatever the decision knew; a minute covers clocks.
_CITED = text(
    "SELECT i.id, i.workflow, i.space, i.release, p.principal, t.groups,"
    " c.corpus, c.document, d.acl, d.tombstone IS NOT NULL AND"
    " (d.changed <= (coalesce(k.detail, i.detail)->>'acl_generation')::bigint"
    " OR w.finished_at + interval '60 s' < i.at) AS is_taken_down,"
    " d.changed <= (coalesce(k.detail, i.detail)->>'acl_generation')::bigint AS is_same_acl"
    + _WRITTEN.replace(
        " WHERE",
        " JOIN interaction_citation c ON c.interaction = i.id"
        " JOIN document d ON d.corpus = c.corpus AND d.id = c.document"
        " JOIN interaction_text t ON t.id = i.id"
        " LEFT JOIN principal_pseudonym p ON p.pseudonym = i.principal"
        " LEFT JOIN takedown w ON w.id = d.tombstone WHERE",
        1,
    )
    + " ORDER BY i.id, c.corpus, c.document"
)
_PLACES = text(
    "SELECT DISTINCT i.workflow, i.space, i.release, i.detail->>'failover_from' AS failover_from"
    + _WRITTEN
    + " ORDER BY 1, 2, 3, 4"
)
_LEAKED = text(
    "SELECT i.id, i.workflow, i.space, i.release, coalesce(k.detail, i.detail)->'sent' AS sent"
    + _WRITTEN
    + " AND coalesce(k.detail, i.detail) ? 'sent' ORDER BY i.id"
)
_UNRECORDED = text(
    "SELECT i.id, i.workflow, i.space, i.release" + _SENT + " AND NOT EXISTS"  # noqa: S608 - constants
    " (SELECT FROM ledger_entry e WHERE e.subject = i.id) ORDER BY i.id"
)
_LEDGER = text("SELECT stopped FROM ledger_head WHERE stopped IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A document that an answer cited, and whom it was shown to."""

    interaction: str
    workflow: str
    space: str
    release: Digest
    principal: str | None
    groups: tuple[str, ...]
    document: str
    acl: frozenset[str]
    is_taken_down: bool
    is_same_acl: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a release answered, and for which other space."""

    workflow: str
    space: str
    release: Digest
    failover_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The answers of a look: begun between `since` and `until`, and recorded since `written`."""

    since: datetime
    until: datetime
    written: datetime

    @property
    def values(self) -> Mapping[str, object]:
        """The parameters of its queries."""
        first = new_ulid(self.written, entropy=bytes(10))
        return {"since": self.since, "until": self.until, "written": first}


def citations_in(connection: Connection, window: Window) -> tuple[Citation, ...]:
    """Return what sent answers cited."""
    rows = connection.execute(_CITED, window.values).mappings()
    return tuple(
        Citation(
            interaction=row["id"],
            workflow=row["workflow"],
            space=row["space"],
            release=Digest(row["release"]),
            principal=row["principal"],
            groups=tuple(row["groups"]),
            document=f"{row['corpus']}/{row['document']}",
            acl=frozenset(row["acl"]),
            is_taken_down=bool(row["is_taken_down"]),
            is_same_acl=bool(row["is_same_acl"]),
        )
        for row in rows
    )


def places_in(connection: Connection, window: Window) -> tuple[Place, ...]:
    """Return where releases answered."""
    rows = connection.execute(_PLACES, window.values).mappings()
    return tuple(Place(**{**row, "release": Digest(row["release"])}) for row in rows)


def leaks_in(connection: Connection, window: Window) -> tuple[Mapping[str, Any], ...]:
    """Return answers in whose sent text the process itself found what may not leave, with the kinds."""
    return tuple(dict(row) for row in connection.execute(_LEAKED, window.values).mappings())


def unrecorded_between(connection: Connection, since: datetime, until: datetime) -> tuple[Mapping[str, Any], ...]:
    """Return answers that the ledger knows nothing of."""
    return tuple(dict(row) for row in connection.execute(_UNRECORDED, {"since": since, "until": until}).mappings())


def ledger_stopped(connection: Connection) -> str | None:
    """Return why the ledger stopped numbering, or None."""
    found: str | None = connection.scalar(_LEDGER)
    return found


_FOUND = text(
    "INSERT INTO hard_sign (kind, subject, workflow, space, release, summary, first_at)"
    " VALUES (:kind, :subject, :workflow, :space, :release, :summary, :at)"
    " ON CONFLICT (kind, subject) DO UPDATE SET summary = hard_sign.summary"
    " RETURNING xmax = 0 AS is_new, declared_at IS NOT NULL AS is_declared"
)
_DECLARED = text("UPDATE hard_sign SET declared_at = :at WHERE kind = :kind AND subject = :subject")


class Reading(StrEnum):
    """How often a sign was read: `first` now, `again` and still to be declared, or `declared` before."""

    FIRST = "first"
    AGAIN = "again"
    DECLARED = "declared"


def read_sign(connection: Connection, sign: Sign, *, at: datetime) -> Reading:
    """Note a sign, and tell how often it was read."""
    values = {
        "kind": sign.kind.value,
        "subject": sign.subject,
        "workflow": sign.workflow,
        "space": sign.space,
        "release": sign.release,
        "summary": sign.summary,
        "at": at,
    }
    row = connection.execute(_FOUND, values).one()
    if row.is_new:
        return Reading.FIRST
    return Reading.DECLARED if row.is_declared else Reading.AGAIN


def mark_declared(connection: Connection, sign: Sign, *, at: datetime) -> None:
    """Note that a sign was acted on."""
    connection.execute(_DECLARED, {"kind": sign.kind.value, "subject": sign.subject, "at": at})


_LOOKED = text(
    "INSERT INTO hard_look (name, until) VALUES (:name, :until) ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until"
)


def looked_until(connection: Connection, name: str) -> datetime | None:
    """Return up to when records were looked through, None before the first look."""
    found: datetime | None = connection.scalar(text("SELECT until FROM hard_look WHERE name = :name"), {"name": name})
    return found


def mark_look(connection: Connection, name: str, *, until: datetime) -> None:
    """Note up to when records were looked through."""
    connection.execute(_LOOKED, {"name": name, "until": until})


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """From when answers are judged by what is declared now. `is_other`: the last look was made under other regions."""

    since: datetime
    is_other: bool


def looked_under(connection: Connection, regions: Digest, *, at: datetime) -> Under:
    """Note what a look is made under, and tell from when that holds: always, where nothing else was looked under."""
    found: dict[str, datetime] = {row.name: row.until for row in connection.execute(_UNDER)}
    name = f"under {regions}"
    since = found.get(name)
    if since is None:
        since = at if found else datetime.fromtimestamp(0, UTC)
        connection.execute(_FORGET_UNDER)
        mark_look(connection, name, until=since)
    return Under(since=since, is_other=bool(found) and name not in found)


_UNDER: Final = text("SELECT name, until FROM hard_look WHERE name LIKE 'under %'")
_FORGET_UNDER: Final = text("DELETE FROM hard_look WHERE name LIKE 'under %'")


def mark_whole_look(connection: Connection, look: Look) -> None:
    """Note that a look ended now, on the database's clock, whatever it read."""
    connection.execute(_LOOKED_NOW, {"name": f"whole {look}"})


def stale_looks(connection: Connection) -> tuple[Look, ...]:
    """Return the looks that nobody has ended for 180 s, or ever."""
    fresh = set(connection.scalars(_FRESH_LOOKS, {"after": STALE_AFTER}))
    return tuple(look for look in Look if f"whole {look}" not in fresh)


STALE_AFTER: Final = timedelta(seconds=180)
_LOOKED_NOW = text(
    "INSERT INTO hard_look (name, until) VALUES (:name, clock_timestamp())"
    " ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until"
)
_FRESH_LOOKS = text(
    "SELECT name FROM hard_look WHERE name LIKE 'whole %' AND until > clock_timestamp() - CAST(:after AS interval)"
)


def forget_ended(
    connection: Connection, *, before: datetime, seen: Collection[Sign], standing: Collection[Standing]
) -> None:
    """Remove the signs that a look does not see now: those read once, before that time, and conditions that ended.

    `standing` are the conditions this look sees while they last.
    """
    kept = [f"{sign.kind.value} {sign.subject}" for sign in seen]
    values = {"before": before, "kept": kept, "standing": [one.value for one in standing]}
    connection.execute(_FORGET, values)


_FORGET = text(
    "DELETE FROM hard_sign WHERE kind || ' ' || subject <> ALL(CAST(:kept AS text[])) AND CASE"
    " WHEN declared_at IS NULL THEN first_at < :before"
    " ELSE split_part(subject, ' ', 1) = ANY(CAST(:standing AS text[])) END"
)
