"""Pairs of shadow and replay as the serving path writes them: result, redacted texts and cost, in one transaction.

Rule: a pair is settled once; only one that is still expected, or unknown, takes a result. Costs add up whatever became
of the pair. Fail mode: a database error; the pair stays expected, and is lost when it is due.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from sqlalchemy import Connection

from pilotage.rollout.pairing import Label, Result
from pilotage.store.serving_pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a phase may spend on a day, in nano-units. `cap_nano` None: no limit."""

    cap_nano: int | None
    spent_nano: int

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be asked today."""
        return self.cap_nano is not None and self.spent_nano >= self.cap_nano

    def cost_of(self, cost_nano: int | None) -> int:
        """Return what to count for an answer; one of unknown price counts as the whole allowance."""
        return (self.cap_nano or 0) if cost_nano is None else cost_nano


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One pair. Texts are redacted; `documents` are `<corpus>/<document>`, all that stood behind the two answers."""

    rollout: str
    label: Label
    interaction: str
    principal: str
    day: date
    state: str
    scorer: str
    at: datetime
    result: Result | None = None
    is_swapped: bool | None = None
    why: str | None = None
    cost_nano: int = 0
    question: str = ""
    stable: str = ""
    candidate: str = ""
    documents: tuple[str, ...] = ()


_ALLOWANCE: Final[LiteralString] = """
SELECT s.cap_nano, coalesce(c.cost_nano, 0) FROM rollout_shadow s
LEFT JOIN rollout_shadow_cost c ON c.rollout = s.rollout AND c.label = s.label AND c.day = %(day)s
WHERE s.rollout = %(rollout)s AND s.label = %(label)s AND s.ended_at IS NULL
"""
_SETTLE: Final[LiteralString] = """
INSERT INTO rollout_pair (rollout, label, interaction, principal, day, state, scorer, result, is_swapped, why,
  cost_nano)
VALUES (%(rollout)s, %(label)s, %(interaction)s, %(principal)s, %(day)s, %(state)s, %(scorer)s, %(result)s,
  %(is_swapped)s, %(why)s, %(cost_nano)s)
ON CONFLICT (rollout, label, interaction) DO UPDATE SET state = EXCLUDED.state, scorer = EXCLUDED.scorer,
  result = EXCLUDED.result, is_swapped = EXCLUDED.is_swapped, why = EXCLUDED.why, cost_nano = EXCLUDED.cost_nano
  WHERE rollout_pair.state = 'expected'
RETURNING interaction
"""
# A takedown that came in between waits for this lock, and erases; one that was earlier is seen, and nothing is kept.
_TEXT: Final[LiteralString] = """
WITH behind AS (
  SELECT d.tombstone FROM unnest(%(documents)s::text[]) AS named
  JOIN document d ON d.corpus = split_part(named, '/', 1) AND d.id = substr(named, strpos(named, '/') + 1)
  FOR SHARE OF d
)
INSERT INTO rollout_pair_text (rollout, label, interaction, question, stable, candidate, documents, at)
SELECT %(rollout)s, %(label)s, %(interaction)s, %(question)s, %(stable)s, %(candidate)s, %(documents)s, %(at)s
WHERE NOT EXISTS (SELECT FROM behind WHERE tombstone IS NOT NULL)
ON CONFLICT DO NOTHING
"""
_COST: Final[LiteralString] = """
INSERT INTO rollout_shadow_cost (rollout, label, day, cost_nano)
VALUES (%(rollout)s, %(label)s, %(day)s, %(cost_nano)s)
ON CONFLICT (rollout, label, day) DO UPDATE SET cost_nano = rollout_shadow_cost.cost_nano + EXCLUDED.cost_nano
"""


class PairWriter:
    """`serving.shadow.PairStore` over the serving path's pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def allowance(self, rollout: str, label: Label, day: date) -> Allowance | None:
        """Return what the phase may still spend on a day; None when it has ended."""
        values = {"rollout": rollout, "label": label.value, "day": day}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_ALLOWANCE, values)).fetchone()
        if row is None:
            return None
        cap, spent = row
        return Allowance(cap_nano=None if cap is None else int(str(cap)), spent_nano=int(str(spent)))

    async def write(self, row: PairRow) -> None:
        """Write the pair with its texts and its cost; one that is settled already stays as it is."""
        values = _values(row)
        async with self._pool.connection() as connection, connection.transaction():
            settled = await (await connection.execute(_SETTLE, values)).fetchone()
            if settled is not None and row.result is not None:
                await connection.execute(_TEXT, values)
            if row.cost_nano:
                await connection.execute(_COST, values)


def allowance_of(connection: Connection, rollout: str, label: Label, day: date) -> Allowance | None:
    """Return what a phase may still spend on a day; None when it has ended."""
    values = {"rollout": rollout, "label": label.value, "day": day}
    row = connection.exec_driver_sql(_ALLOWANCE, values).one_or_none()
    return None if row is None else Allowance(cap_nano=row[0], spent_nano=int(row[1]))


def settle_pair(connection: Connection, row: PairRow) -> None:
    """Write a pair as `PairWriter` does, in the caller's transaction."""
    values = _values(row)
    settled = connection.exec_driver_sql(_SETTLE, values).one_or_none()
    if settled is not None and row.result is not None:
        connection.exec_driver_sql(_TEXT, values)
    if row.cost_nano:
        connection.exec_driver_sql(_COST, values)


def _values(row: PairRow) -> dict[str, Any]:
    result = None if row.result is None else row.result.value
    return {**asdict(row), "label": row.label.value, "documents": list(row.documents), "result": result}
