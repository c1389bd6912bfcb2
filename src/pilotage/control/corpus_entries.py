"""Ledger entries about corpora: who did what to which version or document, without text or a person's name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.corpus.diff import AclChange
from pilotage.corpus.text import normalise_line
from pilotage.identity.principal import Principal
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_entries import append, append_many
from pilotage.store.pseudonyms import pseudonym_of

REFRESH_JOB = "system:corpus-refresh"
_MOST_NAMES = 200
_MOST_BYTES = 12_000
"""Of the names in one list, and of the words about their source: an entry holds 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who acts, under the ledger's name for them, and when."""

    actor: str
    at: datetime


def deed_of(connection: Connection, actor: Principal | None, *, at: datetime) -> Deed:
    """Return the deed of a person, or of the scheduled refresh."""
    return Deed(actor=REFRESH_JOB if actor is None else pseudonym_of(connection, actor.id), at=at)


def person_of(actor: Principal | None) -> str:
    """Return who is recorded on the version: the person, else the principal, else the scheduled refresh."""
    return REFRESH_JOB if actor is None else str(actor.person or actor.id)


def record_corpus(
    connection: Connection, kind: EntryKind, deed: Deed, *, subject: str, data: Mapping[str, Json], note: str = ""
) -> str:
    """Append one entry about a corpus or version; a person's note goes in as a commitment. Return its id."""
    opened = disclosures_of({"note": note}, entropy=secrets.token_bytes) if note else ()
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=kind,
        at=deed.at,
        actor=deed.actor,
        subject=subject,
        data=data,
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)
    return entry.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionChange:
    """What changed about who may read a document; classification and region as they are now."""

    acl: AclChange
    source: str
    classification: str
    region: str


def record_permission_changes(
    connection: Connection, corpus: CorpusName, changes: Mapping[str, PermissionChange], deed: Deed
) -> None:
    """Append one entry per document.

    Groups and services stand in it by name; people are counted, since an entry can never be erased.
    """
    append_many(
        connection,
        [
            encode_entry(
                id=new_ulid(deed.at),
                kind=EntryKind.DOCUMENT_ACL_CHANGED,
                at=deed.at,
                actor=deed.actor,
                subject=f"{corpus}/{document}",
                data={
                    "added": _names(change.acl.added),
                    "removed": _names(change.acl.removed),
                    "source": normalise_line(change.source)[:1_000],
                    "classification": change.classification,
                    "region": change.region,
                },
            )
            for document, change in sorted(changes.items())
        ],
    )


def _names(names: Sequence[str]) -> dict[str, Json]:
    groups = [normalise_line(name) for name in names if not name.startswith("user:")]  # entries hold NFC only
    sizes = accumulate(len(name.encode()) for name in groups)
    shown: list[Json] = [name for name, size in zip(groups[:_MOST_NAMES], sizes, strict=False) if size <= _MOST_BYTES]
    return {"groups": shown, "groups_total": len(groups), "users": len(names) - len(groups)}
