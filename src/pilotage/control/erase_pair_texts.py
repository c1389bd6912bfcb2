"""The texts of shadow and replay pairs end after seven days (rollouts.md 9); results and counts stay.

Rule: what was erased is in the ledger, in the transaction that erased it. Fail mode: a database error, nothing erased.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.core.clock import to_text
from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_entries import append
from pilotage.store.shadow_pairs import erase_texts

KEPT: Final = timedelta(days=7)
ACTOR: Final = "system:rollout"


def erase_pair_texts(connection: Connection, now: datetime) -> int:
    """Erase the texts of pairs of more than seven days ago; return of how many."""
    before = now - KEPT
    erased = erase_texts(connection, before=before)
    if erased:
        entry = encode_entry(
            id=new_ulid(now),
            kind=EntryKind.ROLLOUT_TEXTS_ERASED,
            at=now,
            actor=ACTOR,
            subject="rollout_pair_text",
            space="",
            data={"pairs": erased, "before": to_text(before)},
        )
        append(connection, entry)
    return erased
