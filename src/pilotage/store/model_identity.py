"""As which models a provider answered for a release in a space: those of its first answers, and later ones.

Rule: answers count in the ledger's order, each once; what came from the cache or was asked by no person says nothing.
Fail mode: a record counts when the ledger has numbered it, however late that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.evaluation.answering_model import Identity
from pilotage.evaluation.run import Arm

FIRST: Final = 20
"""How many answers after a promotion fix what the model calls itself (gates.md 1.4)."""

_AT_ONCE: Final = 200_000
"""How many ledger entries one look reads at most."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Change:
    """Another identity than the first answers had, the answer it was seen in first, and when that was noticed."""

    at: datetime
    interaction: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a release answers."""

    workflow: WorkflowName
    space: SpaceName
    release: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """What is known of one place. `answers` counts up to 20; `reference` also holds what a run found good."""

    place: Place
    answers: int = 0
    reference: frozenset[Identity] = frozenset()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer: among the first 20 of a look each one, behind them the first of each identity."""

    interaction: str
    identity: Identity


_ANSWERED = text(
    "WITH named AS (SELECT i.workflow, i.space, i.release, i.id, d.detail ->> 'model_used' AS model,"
    " coalesce(d.detail ->> 'fingerprint_used', '') AS fingerprint,"
    " row_number() OVER (PARTITION BY i.workflow, i.space, i.release ORDER BY e.seq) AS nth"
    " FROM ledger_entry e JOIN interaction i ON i.id = e.subject"
    " LEFT JOIN interaction_closing k ON k.interaction = i.id"
    " CROSS JOIN LATERAL (SELECT coalesce(k.detail, i.detail) AS detail) d"
    " WHERE e.seq > :after AND e.seq <= :upto AND e.kind = 'interaction.recorded'"
    " AND i.kind IN ('user', 'failover') AND i.release IS NOT NULL"
    " AND coalesce(d.detail ->> 'model_used', '') <> '' AND d.detail -> 'cached' IS DISTINCT FROM 'true')"
    " SELECT * FROM named WHERE nth <= :first"
    " UNION ALL (SELECT DISTINCT ON (workflow, space, release, model, fingerprint) * FROM named WHERE nth > :first"
    " ORDER BY workflow, space, release, model, fingerprint, nth)"
    " ORDER BY workflow, space, release, nth"
)
_LOOKED = text("SELECT (SELECT seq FROM model_look) AS after, coalesce(max(seq), -1) AS newest FROM ledger_entry")
_LOOK = text(
    "INSERT INTO model_look (seq, looked_at) VALUES (:upto, :at)"
    " ON CONFLICT (is_one) DO UPDATE SET seq = EXCLUDED.seq,"
    " looked_at = CASE WHEN :is_caught_up THEN EXCLUDED.looked_at ELSE model_look.looked_at END"
)
_LOOKED_AT = text("SELECT looked_at FROM model_look")
_OF_RELEASE = text("SELECT * FROM model_identity WHERE release = :release AND answers >= :first")
_IN_RUN = text(
    "SELECT DISTINCT model, coalesce(fingerprint, '') AS fingerprint FROM evaluation_task"
    " WHERE run = :run AND arm = :arm AND state = 'done' AND model IS NOT NULL"
)
_ONE = text("SELECT * FROM model_identity WHERE workflow = :workflow AND space = :space AND release = :release")
_OPEN = text("SELECT * FROM model_identity WHERE changes <> '[]' ORDER BY workflow, space, release")
_OPEN_IN = text(
    "SELECT * FROM model_identity WHERE changes <> '[]' AND workflow = :workflow AND space = :space ORDER BY release"
)
_PUT = text(
    "INSERT INTO model_identity (workflow, space, release, answers, reference, changes, changed_at)"
    " VALUES (:workflow, :space, :release, :answers, :reference, :changes, :changed_at)"
    " ON CONFLICT (workflow, space, release) DO UPDATE SET answers = EXCLUDED.answers,"
    " reference = EXCLUDED.reference, changes = EXCLUDED.changes,"
    " changed_at = greatest(model_identity.changed_at, EXCLUDED.changed_at)"
).bindparams(bindparam("reference", type_=JSONB), bindparam("changes", type_=JSONB))
_CHANGED = text("SELECT max(changed_at) FROM model_identity WHERE release = :release")


def answered_now(connection: Connection, at: datetime) -> Iterator[tuple[Place, tuple[Answered, ...]]]:
    """Yield what answered since the look before, by place and in the ledger's order, and note how far it was looked.

    The first look of an installation only notes: what stands in the ledger by then was answered under older rules.
    """
    row = connection.execute(_LOOKED).one()
    after = row.newest if row.after is None else row.after
    upto = min(row.newest, after + _AT_ONCE)
    found = connection.execute(_ANSWERED, {"after": after, "upto": upto, "first": FIRST}).all()
    connection.execute(_LOOK, {"upto": upto, "at": at, "is_caught_up": upto == row.newest})
    for (workflow, space, release), rows in groupby(found, key=lambda one: (one.workflow, one.space, one.release)):
        place = Place(workflow=WorkflowName(workflow), space=SpaceName(space), release=Digest(release))
        identity = [(one.id, Identity(model=one.model, fingerprint=one.fingerprint)) for one in rows]
        yield place, tuple(Answered(interaction=name, identity=each) for name, each in identity)


def looked_at(connection: Connection) -> datetime | None:
    """Return when all that had answered was last looked at; a look that did not come to the end is none."""
    found: datetime | None = connection.scalar(_LOOKED_AT)
    return found


def known_identities(connection: Connection, release: Digest, space: SpaceName | None) -> frozenset[Identity] | None:
    """Return as what a release answers: as it first did and as a run found good, and as a run there is to judge.

    None where nothing is fixed yet. Where it is fixed in the space, that alone counts. Elsewhere it counts wherever it
    is fixed, without what a run of another space is still to judge.
    """
    rows = connection.execute(_OF_RELEASE, {"release": release, "first": FIRST}).mappings()
    fixed = [_read(row) for row in rows]
    if not fixed:
        return None
    for one in fixed:
        if one.place.space == space:
            return one.reference | {change.identity for change in one.changes}
    return frozenset(identity for one in fixed for identity in one.reference)


def answered_in(connection: Connection, run: str, arm: Arm = Arm.CANDIDATE) -> frozenset[Identity]:
    """Return as what a release answered in a run, itself by default; empty where every answer came from the cache."""
    rows = connection.execute(_IN_RUN, {"run": run, "arm": arm.value})
    return frozenset(Identity(model=row.model, fingerprint=row.fingerprint) for row in rows)


def identities_of(connection: Connection, place: Place) -> Identities:
    """Return what is known of a place, nothing counted where nothing was answered yet."""
    row = connection.execute(_ONE, asdict(place)).mappings().one_or_none()
    return Identities(place=place) if row is None else _read(row)


def open_identities(
    connection: Connection, workflow: str | None = None, space: str | None = None
) -> tuple[Identities, ...]:
    """Return the places whose changes no run has judged yet, of one workflow in one space or all."""
    query = _OPEN if workflow is None else _OPEN_IN
    values = {} if workflow is None else {"workflow": workflow, "space": space}
    return tuple(_read(row) for row in connection.execute(query, values).mappings())


def identity_changed(connection: Connection, release: Digest) -> datetime | None:
    """Return when an answer of this release last came from another model than its first ones, None when none did."""
    found: datetime | None = connection.scalar(_CHANGED, {"release": release})
    return found


def put_identities(connection: Connection, found: Identities) -> None:
    """Keep what is known of a place now."""
    values = asdict(found.place) | {
        "answers": found.answers,
        "reference": [asdict(identity) for identity in sorted(found.reference)],
        "changes": [
            {"at": to_text(change.at), "interaction": change.interaction, **asdict(change.identity)}
            for change in found.changes
        ],
        "changed_at": max((change.at for change in found.changes), default=None),
    }
    connection.execute(_PUT, values)


def _read(row: Mapping[Any, Any]) -> Identities:
    return Identities(
        place=Place(workflow=row["workflow"], space=row["space"], release=Digest(row["release"])),
        answers=row["answers"],
        reference=frozenset(Identity(**identity) for identity in row["reference"]),
        changes=tuple(
            Change(
                at=from_text(change["at"]),
                interaction=change["interaction"],
                identity=Identity(model=change["model"], fingerprint=change["fingerprint"]),
            )
            for change in row["changes"]
        ),
    )
