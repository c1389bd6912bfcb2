"""Where people's and models' texts quote a document that was taken down: every such row is read once.

Rows are streamed, so that memory does not grow with them. Rule: what stays in another document is no quote of this one,
and proves nothing. Fail mode: a database error; nothing was written before the caller's transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.corpus.takedown_quotes import Quotable
from pilotage.evaluation.candidate import TAKEN_DOWN

_ROWS: Final = 500
_STAYING: Final = text(
    "SELECT t.heading, t.body FROM chunk_text t WHERE EXISTS (SELECT FROM chunk c JOIN revision r USING (corpus, rev)"
    " JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE c.corpus = t.corpus AND c.content_hash = t.content_hash"
    " AND (d.tombstone IS NULL OR d.tombstone <> ALL(CAST(:erased AS text[]))))"
)
_SAID: Final = text(
    "SELECT id, question AS first, answer AS second FROM interaction_text"
    " UNION ALL SELECT interaction, comment, correction FROM feedback"
    " WHERE comment IS NOT NULL OR correction IS NOT NULL"
)
_CANDIDATES: Final = text('SELECT id, "row", reason, sources[1] AS source FROM golden_candidate ORDER BY id')
# One that waits can only be rejected now.
_ERASE: Final = text(
    'UPDATE golden_candidate SET "row" = :row, reason = :reason,'
    " state = CASE WHEN state = 'open' THEN 'blocked' ELSE state END,"
    " blocked_by = CASE WHEN state IN ('open', 'blocked') THEN :taken_down ELSE blocked_by END WHERE id = :id"
).bindparams(bindparam("row", type_=JSONB), taken_down=TAKEN_DOWN)


def staying_texts(connection: Connection, *, erased: Collection[str] | None = None) -> Iterator[str]:
    """Yield every heading and body that is not taken down, in any corpus and version.

    With `erased`, those too that another takedown than these has hidden: they stay on the disk as long as it waits.
    """
    values = {"erased": None if erased is None else list(erased)}
    with connection.execute(_STAYING, values, execution_options={"yield_per": _ROWS}) as rows:
        for row in rows:
            yield row.heading
            yield row.body


def quoting_interactions(connection: Connection, quotable: Quotable) -> tuple[str, ...]:
    """Return the interactions whose question, answer, comment or correction quotes."""
    if not quotable:
        return ()
    with connection.execute(_SAID, execution_options={"yield_per": _ROWS}) as rows:
        found = {
            row.id: None
            for row in rows
            if any(said and quotable.is_quoted_in(said) for said in (row.first, row.second))
        }
    return tuple(found)


def erase_candidates(connection: Connection, quotable: Quotable, *, interactions: Collection[str], removed: str) -> int:
    """Erase quotes wherever they stand in golden candidates; return how many were changed.

    Nothing of the question and of what is expected stays where any part quotes, or where the first source, whose words
    they are, is one of these `interactions`.
    """
    sources = frozenset(interactions)
    changed = 0
    for one in connection.execute(_CANDIDATES).all():
        row = quotable.without_quotes_in(one.row, removed=removed)
        if row != one.row or one.source in sources:
            row |= {"question": removed, "expect": {}}
        reason = quotable.without_quotes(one.reason, removed=removed)
        if (row, reason) != (one.row, one.reason):
            connection.execute(_ERASE, {"id": one.id, "row": row, "reason": reason})
            changed += 1
    return changed
