"""Ledger entries about evidence, gates and deployments: digests, counts and states; names only as pseudonyms."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.ids import new_ulid
from pilotage.corpus.text import normalise_line
from pilotage.identity.principal import Principal
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of

SYSTEM = "system:gates"


def record(  # noqa: PLR0913 - the fields of an entry
    connection: Connection,
    kind: EntryKind,
    *,
    actor: Principal | None,
    at: datetime,
    subject: str,
    data: Mapping[str, Json],
    space: str = "",
    opened: Mapping[str, str] | None = None,
) -> str:
    """Append one entry in the caller's transaction and return its id; `opened` goes in as commitments."""
    texts = {name: normalise_line(text) for name, text in (opened or {}).items() if text}
    disclosures = disclosures_of(texts, entropy=secrets.token_bytes) if texts else ()
    entry = encode_entry(
        id=new_ulid(at),
        kind=kind,
        at=at,
        actor=SYSTEM if actor is None else pseudonym_of(connection, actor.id),
        subject=subject,
        space=space,
        data=data,
        commit=commitments_of(disclosures),
    )
    append(connection, entry, disclosures)
    return entry.id


def fixed(claims: Mapping[str, float]) -> dict[str, Json]:
    """Return numbers as the ledger takes them: no fractions, so six digits of text."""
    return {name: int(value) if value == int(value) else f"{value:.6g}" for name, value in sorted(claims.items())}
