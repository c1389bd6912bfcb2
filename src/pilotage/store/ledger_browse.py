"""Looking through the ledger, newest entry first, one page at a time.

Rule: reads only; what an entry says is decoded by `ledger.entry`, never here. Fail mode: a database error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.store.ledger_entries import StoredEntry

_PAGE = text("""
SELECT id, seq, kind, subject, bytes FROM ledger_entry
WHERE seq IS NOT NULL AND (CAST(:before AS bigint) IS NULL OR seq < CAST(:before AS bigint))
  AND (:kind = '' OR kind = :kind OR kind LIKE :noun) AND (:subject = '' OR subject = :subject)
  AND (:space = '' OR (seq >= (SELECT coalesce(CAST(:before AS bigint), max(seq) + 1) - :span FROM ledger_entry)
    AND CASE WHEN position(convert_to(:field, 'UTF8') IN bytes) > 0
      THEN CAST(convert_from(bytes, 'UTF8') AS jsonb) ->> 'space' = :space ELSE false END))
ORDER BY seq DESC LIMIT :most
""")
SPAN: Final = 100_000
"""How many entries are looked through for those of a space: it stands in their text alone, where no index leads."""
_SIGNED = text("SELECT size, root, signed_at, published_to FROM ledger_checkpoint ORDER BY signed_at DESC LIMIT 1")
_LAST = text("SELECT coalesce(max(seq), -1) FROM ledger_entry")
_WAITING = text("SELECT count(*) FROM (SELECT 1 FROM ledger_entry WHERE seq IS NULL LIMIT 1001) AS waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """What to show. `kind` is a whole kind or a noun; `before` the sequence number to start below.

    With a `space` the `SPAN` entries below `before`, or the newest, are looked through; older ones are not.
    """

    kind: str = ""
    subject: str = ""
    before: int | None = None
    space: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The newest checkpoint: how many entries it signs, under which root, when, and where it stands outside."""

    size: int
    root: bytes
    signed_at: datetime
    published_to: Sequence[str]


def browse_entries(connection: Connection, wanted: LedgerFilter, *, most: int) -> tuple[StoredEntry, ...]:
    """Return numbered entries, newest first."""
    values = {
        "kind": wanted.kind,
        "noun": wanted.kind.replace("%", "").replace("_", r"\_") + ".%",
        "subject": wanted.subject,
        "before": wanted.before,
        "space": wanted.space,
        "field": f'"space":{json.dumps(wanted.space, ensure_ascii=False)}',
        "span": SPAN,
        "most": most,
    }
    return tuple(StoredEntry(**row) for row in connection.execute(_PAGE, values).mappings())


def unseen_below(connection: Connection, wanted: LedgerFilter) -> int | None:
    """Return the number below which a search for a space goes on; None when it looked through everything."""
    if not wanted.space:
        return None
    above = wanted.before
    if above is None:
        above = connection.execute(_LAST).scalar_one() + 1
    return above - SPAN if above > SPAN else None


def newest_signed(connection: Connection) -> Signed | None:
    """Return the newest checkpoint of any origin."""
    row = connection.execute(_SIGNED).mappings().one_or_none()
    return None if row is None else Signed(**row)


def signed_size(connection: Connection) -> int | None:
    """Return how many entries the newest checkpoint signs."""
    found = newest_signed(connection)
    return None if found is None else found.size


def count_waiting(connection: Connection) -> int:
    """Return how many entries wait for their number; 1,001 stands for more than 1,000."""
    found: int = connection.execute(_WAITING).scalar_one()
    return found
