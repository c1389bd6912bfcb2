"""Withdrawing a release: its new state, the ledger entry and its leaving of all traffic, in the caller's transaction.

Rule: whoever calls has checked the right to. The spaces go back to the last release that may serve, with an incident.
Fail mode: where the redirect is refused the state stands all the same: a serving process answers nobody with a
release that is quarantined or revoked, whatever its row says.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import Deed
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Refusal
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_entries import append
from pilotage.store.releases import StoredRelease, set_state
from pilotage.store.rollouts import StoredRollout

ENTRY_OF: Mapping[ReleaseState, EntryKind] = {
    ReleaseState.DEPRECATED: EntryKind.RELEASE_DEPRECATED,
    ReleaseState.QUARANTINED: EntryKind.RELEASE_QUARANTINED,
    ReleaseState.REVOKED: EntryKind.RELEASE_REVOKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawing:
    """What happens to it. `cause` names the incident; `words` are people's and go into the ledger as commitments."""

    state: ReleaseState
    cause: str
    note: str
    data: Mapping[str, Json] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def withdraw_release(
    connection: Connection, instance: Instance, stored: StoredRelease, wanted: Withdrawing, deed: Deed
) -> tuple[StoredRollout, ...]:
    """Quarantine or revoke a release whose row is locked; return the rollbacks that take it out of its spaces."""
    record_state(connection, stored, wanted, deed)
    request = RollbackRequest(workflow=stored.workflow, reason=wanted.note, release=stored.digest, cause=wanted.cause)
    moved = take_out(connection, instance, request=request, deed=deed)
    return () if isinstance(moved, Refusal) else moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The releases that were withdrawn, and the rollbacks that take them out."""

    releases: tuple[Digest, ...]
    left: tuple[StoredRollout, ...]


def quarantine_content(
    connection: Connection, instance: Instance, same: Sequence[StoredRelease], wanted: Withdrawing, deed: Deed
) -> Withdrawn:
    """Quarantine every release of the same content, rows locked, that may still serve."""
    others = [one for one in same if one.state in {ReleaseState.SEALED, ReleaseState.DEPRECATED}]
    left = [moved for one in others for moved in withdraw_release(connection, instance, one, wanted, deed)]
    return Withdrawn(releases=tuple(one.digest for one in others), left=tuple(left))


def record_state(connection: Connection, stored: StoredRelease, wanted: Withdrawing, deed: Deed) -> None:
    """Write a new state with its ledger entry."""
    set_state(connection, stored.digest, wanted.state, note=wanted.note)
    record_release(connection, stored, ENTRY_OF[wanted.state], wanted, deed)


def record_release(
    connection: Connection, stored: StoredRelease, kind: EntryKind, wanted: Withdrawing, deed: Deed
) -> None:
    """Append one entry about a release."""
    opened = disclosures_of(wanted.words, entropy=secrets.token_bytes) if wanted.words else ()
    about = {"workflow": stored.workflow, "parts_digest": stored.parts_digest, "was": str(stored.state)}
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=kind,
        at=deed.at,
        actor=deed.actor,
        subject=stored.digest,
        data={**about, **wanted.data},
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)
