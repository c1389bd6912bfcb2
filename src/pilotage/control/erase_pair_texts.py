"""The texts of shadow and replay pairs end after seven days (rollouts.md 9); results and counts stay.

Rule: what was erased is in the ledger, in the transaction that erased it. Fail mode: a database error, nothing erased.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.ledger.entry import EntryKind
from pilotage.store.shadow_pairs import erase_texts

KEPT: Final = timedelta(days=7)
ACTOR: Final = "system:rollout"


def erase_pair_texts(connection: Connection, now: datetime) -> int:
    """Erase the texts of pairs of more than seven days ago; return of how many."""
    before = now - KEPT
    erased = erase_texts(connection, before=before)
    if erased:
        data: dict[str, Json] = {"pairs": erased, "before": to_text(before)}
        record(connection, EntryKind.ROLLOUT_TEXTS_ERASED, actor=ACTOR, at=now, subject="rollout_pair_text", data=data)
    return erased
