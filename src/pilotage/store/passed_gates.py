"""What was decided at a release's gates when something followed: it entered a space, or its traffic began there.

Rule: reads what was written in the transaction of that event. Fail mode: a database error; no event is no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pilotage.core.ids import SpaceName

PASSED = """
SELECT space, at, promoted_by AS by, basis, gate_reports AS reports FROM deployment WHERE release = :release
UNION ALL
SELECT w.space, min(s.started_at), r.started_by, 'traffic', '[]'::jsonb FROM rollout r
  JOIN rollout_wave w ON w.rollout = r.id JOIN rollout_step s ON s.rollout = w.rollout AND s.wave = w.number
  WHERE r.release = :release GROUP BY r.id, r.started_by, w.space
ORDER BY at, space
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One event. `basis`: normal, standard, emergency, or traffic, which has no reports of its own.

    `reports`: gate, status and input_digest of each gate on the way into the space.
    """

    space: SpaceName
    at: datetime
    by: str
    basis: str
    reports: Sequence[Mapping[str, str]]
