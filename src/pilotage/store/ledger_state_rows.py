"""State rows without a ledger entry, and entries without their state row.

The subject forms of ledger/kinds.py make this a join. Rows that retention or erasure may delete (interactions,
feedback) are compared in one direction only. Fail mode: every unmatched row is named, at most `limit` per kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, TextClause, text


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTable:
    """A table whose rows each have an entry: the SQL of their subject, the kinds that may speak of them, a filter."""

    table: str
    subject: str
    kinds: str
    rows: str = "true"
    both_ways: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A row without an entry (`entry_missing`), or an entry without its row."""

    table: str
    subject: str
    entry_missing: bool


STATE_TABLES: Final = (
    StateTable(
        table="corpus_version",
        subject="r.corpus || '@' || r.number",
        kinds="corpus.version_%",
        rows="r.state <> 'building'",
    ),
    StateTable(table="takedown", subject="r.id", kinds="takedown.requested"),
    StateTable(table="release", subject="r.digest", kinds="release.sealed"),
    StateTable(table="evidence", subject="r.id", kinds="evidence.%"),
    StateTable(table="gate_vote", subject="r.id", kinds="gate.signed_off"),
    StateTable(table="risk_acceptance", subject="r.id", kinds="gate.risk_accepted"),
    StateTable(table="standard_template", subject="r.id", kinds="gate.standard_proposed"),
    StateTable(table="standard_vote", subject="r.id", kinds="gate.standard_signed"),
    StateTable(table="standard_change", subject="r.id", kinds="gate.standard_declared"),
    StateTable(table="mitigation", subject="r.id", kinds="evaluation.mitigation_opened"),
    StateTable(table="mitigation", subject="r.id", kinds="evaluation.mitigation_closed", rows="r.decision IS NOT NULL"),
    StateTable(table="deployment", subject="r.id", kinds="deployment.promoted"),
    StateTable(table="service_key", subject="r.id", kinds="key.created"),
    StateTable(table="routing", subject="r.space || '/' || r.workflow", kinds="route.%"),
    StateTable(table="interaction", subject="r.id", kinds="interaction.%", both_ways=False),
    StateTable(table="feedback", subject="r.id", kinds="feedback.recorded", both_ways=False),
)


def unmatched(connection: Connection, *, limit: int = 20) -> Iterator[Unmatched]:
    """Yield every state row without an entry and every entry without its row."""
    for state in STATE_TABLES:
        for subject in connection.execute(_rows(state), {"kinds": state.kinds, "limit": limit}).scalars():
            yield Unmatched(table=state.table, subject=subject, entry_missing=True)
        if state.both_ways:
            for subject in connection.execute(_entries(state), {"kinds": state.kinds, "limit": limit}).scalars():
                yield Unmatched(table=state.table, subject=subject, entry_missing=False)


def _rows(state: StateTable) -> TextClause:
    # Table and subject come from the constants above, never from a caller; so too below.
    return text(
        f"SELECT {state.subject} AS subject FROM {state.table} AS r WHERE {state.rows} AND NOT EXISTS"  # noqa: S608
        f" (SELECT FROM ledger_entry AS e WHERE e.subject = {state.subject} AND e.kind LIKE :kinds) LIMIT :limit"
    )


def _entries(state: StateTable) -> TextClause:
    return text(
        f"SELECT DISTINCT e.subject FROM ledger_entry AS e WHERE e.kind LIKE :kinds AND NOT EXISTS"  # noqa: S608
        f" (SELECT FROM {state.table} AS r WHERE {state.subject} = e.subject) LIMIT :limit"
    )
