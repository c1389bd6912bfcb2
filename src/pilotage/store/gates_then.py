"""What stood about a release's gates at a moment: what it had passed, who had signed, which risks were accepted then.

Rule: one statement; reads what was written when each happened. Fail mode: a database error; no event is no row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.store.passed_gates import PASSED, Passed

_THEN = text(f"""
SELECT CAST(json_build_object(
  'passed', (SELECT json_agg(p) FROM ({PASSED}) p WHERE p.at <= :at),
  'votes', (SELECT json_agg(v ORDER BY v.at, v.id) FROM (
    SELECT DISTINCT ON (gate, role, person) id, gate, role, person, decision, at FROM gate_vote
    WHERE release = :release AND half = 'pre' AND at <= :at ORDER BY gate, role, person, at DESC, id DESC) v),
  'risks', (SELECT json_agg(json_build_object('gate', r.gate, 'risk', r.body ->> 'risk',
      'severity', r.body ->> 'severity', 'owner', r.body ->> 'owner', 'approvers', r.approvers, 'expires', r.expires)
      ORDER BY r.created, r.id)
    FROM risk_acceptance r WHERE r.release = :release AND r.created <= :at AND r.expires > :at
      AND (r.withdrawn_at IS NULL OR r.withdrawn_at > :at))
) AS text)
""")  # noqa: S608 - our own texts


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesThen:
    """`passed` oldest first; `votes`: each person's last in each role; `risks`: accepted, not ended at that moment."""

    passed: Sequence[Passed]
    votes: Sequence[Mapping[str, Any]]
    risks: Sequence[Mapping[str, Any]]


def gates_then(connection: Connection, release: Digest, at: datetime) -> GatesThen:
    """Return what stood about the gates of a release at this moment."""
    found = json.loads(connection.execute(_THEN, {"release": release, "at": at}).scalar_one())
    passed = [{**row, "at": datetime.fromisoformat(row["at"])} for row in found["passed"] or ()]
    return GatesThen(
        passed=tuple(Passed(**row) for row in passed), votes=found["votes"] or (), risks=found["risks"] or ()
    )
