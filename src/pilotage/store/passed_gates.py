"""What was decided at a release's gates when something followed: it entered a space, or its traffic began there.

Rule: reads what was written in the transaction of that event. Fail mode: a database error; no event is no row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.store.served import Served

PASSED = """
SELECT space, at, promoted_by AS by, basis, gate_reports AS reports FROM deployment WHERE release = :release
UNION ALL
SELECT w.space, min(s.started_at), r.started_by, 'traffic', '[]'::jsonb FROM rollout r
  JOIN rollout_wave w ON w.rollout = r.id JOIN rollout_step s ON s.rollout = w.rollout AND s.wave = w.number
  WHERE r.release = :release GROUP BY r.id, r.started_by, w.space
ORDER BY at, space
"""
_SERVED = """
SELECT r.space, r.workflow, r.stable, r.candidate, r.fraction_ppm, r.paused, r.reason, r.changed_at
FROM routing r JOIN release s ON s.digest IN (r.stable, r.candidate)
WHERE s.parts_digest = :parts ORDER BY r.workflow, r.space
"""
_ALONE = text(PASSED)
_BOTH = text(f"""
SELECT CAST(json_build_object(
  'served', (SELECT json_agg(s) FROM ({_SERVED}) s), 'passed', (SELECT json_agg(p) FROM ({PASSED}) p)) AS text)
""")  # noqa: S608 - our own texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One event. `basis`: normal, standard, emergency, or traffic, which has no reports of its own.

    `reports`: gate, status and input_digest of each gate into the space.
    """

    space: SpaceName
    at: datetime
    by: str
    basis: str
    reports: Sequence[Mapping[str, str]]


def passed_gates(connection: Connection, release: Digest) -> tuple[Passed, ...]:
    """Return what a release passed, oldest first."""
    rows = connection.execute(_ALONE, {"release": release}).mappings()
    return tuple(Passed(**row) for row in rows)


def served_and_passed(
    connection: Connection, release: Digest, parts: Digest
) -> tuple[tuple[Served, ...], tuple[Passed, ...]]:
    """Return where releases of exactly this content take traffic, and what this one passed, in one statement."""
    found = json.loads(connection.execute(_BOTH, {"release": release, "parts": parts}).scalar_one())
    served = [{**row, "changed_at": datetime.fromisoformat(row["changed_at"])} for row in found["served"] or ()]
    passed = [{**row, "at": datetime.fromisoformat(row["at"])} for row in found["passed"] or ()]
    return tuple(Served(**row) for row in served), tuple(Passed(**row) for row in passed)
