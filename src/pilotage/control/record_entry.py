"""One ledger entry about what a use case did, in its transaction: digests, counts and states; names as pseudonyms."""

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
    actor: Principal | str | None,
    at: datetime,
    subject: str,
    data: Mapping[str, Json],
    space: str = "",
    opened: Mapping[str, str] | None = None,
) -> str:
    """Append one entry in the caller's transaction and return its id; `opened` goes in as commitments.

    `actor` as text is a pseudonym already known or a part of the system (`system:...`); None is the gates' machinery.
    """
    texts = {name: normalise_line(text) for name, text in (opened or {}).items() if text}
    disclosures = disclosures_of(texts, entropy=secrets.token_bytes) if texts else ()
    entry = encode_entry(
        id=new_ulid(at),
        kind=kind,
        at=at,
        actor=_name(connection, actor),
        subject=subject,
        space=space,
        data=data,
        commit=commitments_of(disclosures),
    )
    append(connection, entry, disclosures)
    return entry.id


def _name(connection: Connection, actor: Principal | str | None) -> str:
    if actor is None:
        return SYSTEM
    return actor if isinstance(actor, str) else pseudonym_of(connection, actor.id)
