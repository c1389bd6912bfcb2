"""As which models a provider answered for a release since it was promoted: those of its first answers, and later ones.

Rule: of a deployment the newest stated fact counts; what was answered from the cache says nothing new. Fail mode: no
fact until the first answers are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.store.deployments import Deployment
from pilotage.store.tables.gates import stated_fact

KIND: Final = "model_identity"
FIRST: Final = 20
"""How many answers after a promotion fix what the model calls itself (gates.md 1.4)."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Identity:
    """What a provider calls the model that answered; `fingerprint` empty where it tells none."""

    model: str
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.model} ({self.fingerprint})" if self.fingerprint else self.model


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Change:
    """Another identity than the first answers had, the answer it was seen in first, and when."""

    at: datetime
    interaction: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """What is known of one deployment. `reference` also holds what a run found good; `changes` are the open ones."""

    deployment: str
    release: Digest
    reference: frozenset[Identity]
    changes: tuple[Change, ...] = ()


_NAMED: Final = (
    "SELECT i.id, i.at, d.detail ->> 'model_used' AS model,"
    " coalesce(d.detail ->> 'fingerprint_used', '') AS fingerprint"
    " FROM interaction i LEFT JOIN interaction_closing k ON k.interaction = i.id"
    " CROSS JOIN LATERAL (SELECT coalesce(k.detail, i.detail) AS detail) d"
    " WHERE i.workflow = :workflow AND i.space = :space AND i.release = :release AND i.at >= :since"
    " AND coalesce(d.detail ->> 'model_used', '') <> '' AND d.detail -> 'cached' IS DISTINCT FROM 'true'"
)
_FIRST = text(f"{_NAMED} ORDER BY i.at, i.id LIMIT :most")
_SINCE = text(
    f"SELECT DISTINCT ON (n.model, n.fingerprint) n.* FROM ({_NAMED}) n"  # noqa: S608 - constants
    " ORDER BY n.model, n.fingerprint, n.at, n.id"
)
_KNOWN = text(
    "SELECT DISTINCT ON (detail ->> 'deployment') detail FROM stated_fact"
    " WHERE kind = :kind AND workflow = :workflow AND space = :space"
    " ORDER BY detail ->> 'deployment', at DESC, id DESC"
)
_CHANGED = text(
    "SELECT max(at) FROM stated_fact WHERE kind = :kind AND detail ->> 'release' = :release"
    " AND jsonb_array_length(detail -> 'changes') > 0"
)


def first_answers(connection: Connection, one: Deployment) -> tuple[Identity, ...]:
    """Return what answered first since the promotion, in order; at most as many as fix the reference."""
    rows = connection.execute(_FIRST, _of(one, one.at) | {"most": FIRST})
    return tuple(Identity(model=row.model, fingerprint=row.fingerprint) for row in rows)


def answered_since(connection: Connection, one: Deployment, since: datetime) -> tuple[Change, ...]:
    """Return each identity that answered since a moment, with the first answer of it."""
    rows = connection.execute(_SINCE, _of(one, max(one.at, since)))
    return tuple(
        Change(at=row.at, interaction=row.id, identity=Identity(model=row.model, fingerprint=row.fingerprint))
        for row in rows
    )


def _of(one: Deployment, since: datetime) -> dict[str, Any]:
    return {"workflow": one.workflow, "space": one.space, "release": one.release, "since": since}


def identities_in(connection: Connection, workflow: WorkflowName, space: SpaceName) -> dict[str, Identities]:
    """Return what is known of each deployment of a workflow in a space."""
    rows = connection.scalars(_KNOWN, {"kind": KIND, "workflow": workflow, "space": space})
    return {found.deployment: found for found in map(_read, rows)}


def identity_changed(connection: Connection, release: Digest) -> datetime | None:
    """Return when an answer of this release last came from another model than its first ones, None when none did."""
    found: datetime | None = connection.scalar(_CHANGED, {"kind": KIND, "release": release})
    return found


def state_identities(connection: Connection, one: Deployment, found: Identities, *, by: str, at: datetime) -> None:
    """Note what is known now."""
    detail = {
        "deployment": found.deployment,
        "release": found.release,
        "reference": [asdict(identity) for identity in sorted(found.reference)],
        "changes": [
            {"at": to_text(change.at), "interaction": change.interaction, **asdict(change.identity)}
            for change in found.changes
        ],
    }
    values = {"id": new_ulid(at), "kind": KIND, "workflow": one.workflow, "space": one.space, "by_person": by, "at": at}
    connection.execute(stated_fact.insert().values(**values, detail=detail))


def _read(detail: Mapping[str, Any]) -> Identities:
    return Identities(
        deployment=detail["deployment"],
        release=Digest(detail["release"]),
        reference=frozenset(Identity(**identity) for identity in detail["reference"]),
        changes=tuple(
            Change(
                at=from_text(change["at"]),
                interaction=change["interaction"],
                identity=Identity(model=change["model"], fingerprint=change["fingerprint"]),
            )
            for change in detail["changes"]
        ),
    )
