"""What a person decided in the last days: votes, signatures under verdicts, reviewed corpus versions.

Rule: reads only, one statement. Fail mode: a database error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_DONE = text("""
SELECT * FROM (
  SELECT at, 'vote' AS kind, release AS subject, gate AS place, decision FROM gate_vote
    WHERE person = :person AND at >= :since
  UNION ALL
  SELECT at, 'signature', rollout, '', kind FROM rollout_signature WHERE person = :person AND at >= :since
  UNION ALL
  SELECT decided_at, 'version', corpus, number::text, state FROM corpus_version
    WHERE decided_by = :person AND decided_at >= :since
) AS done ORDER BY at DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """`kind` vote: `subject` is a release, `place` a gate. signature: a rollout. version: a corpus and its number."""

    at: datetime
    kind: str
    subject: str
    place: str
    decision: str


def deeds_of(connection: Connection, person: str, *, since: datetime, most: int = 20) -> tuple[Deed, ...]:
    """Return what the person decided since then, newest first."""
    rows = connection.execute(_DONE, {"person": person, "since": since, "most": most}).mappings()
    return tuple(Deed(**row) for row in rows)
