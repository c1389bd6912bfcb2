"""Releases that another may be compared with (evaluation.md 7.1): GO in a gating run that stands, and not taken back.

Rule: only a completed gating run of the whole golden set that was not voided makes a release a GO one; a withdrawn
release, or one of which the newest rollout was rolled back, is none. Fail mode: nothing found is None.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import WorkflowName

_STANDS: Final = (
    "r.state NOT IN ('quarantined', 'revoked') AND NOT coalesce((SELECT o.state IN"
    " ('rolling_back', 'validating', 'rolled_back', 'rollback_failed') FROM rollout AS o"
    " WHERE o.release = r.digest ORDER BY o.created_at DESC, o.id DESC LIMIT 1), false)"
)
_GO: Final = (
    "e.release = r.digest AND e.kind = 'evaluation' AND e.is_gating AND e.state = 'completed' AND e.verdict = 'go'"
    " AND e.voided_at IS NULL"
)
# Constants alone are put together here and below; every value is bound.
_IS_STANDING: Final = text(f"SELECT {_STANDS} FROM release AS r WHERE r.digest = :release")  # noqa: S608
_IS_GO: Final = text(
    f"SELECT EXISTS (SELECT FROM release AS r JOIN evaluation_run AS e ON {_GO} WHERE r.digest = :release)"  # noqa: S608
)
_OLDEST: Final = text(
    f"SELECT r.digest FROM release AS r JOIN evaluation_run AS e ON {_GO}"  # noqa: S608
    " WHERE r.workflow = :workflow AND r.digest <> :release AND e.finished_at >= :since AND e.finished_at < :until"
    f" AND {_STANDS} ORDER BY e.finished_at, e.id LIMIT 1"
)


def is_standing(connection: Connection, release: Digest) -> bool:
    """Tell whether a release was neither withdrawn nor rolled back."""
    return bool(connection.scalar(_IS_STANDING, {"release": release}))


def is_go(connection: Connection, release: Digest) -> bool:
    """Tell whether a release came to GO in a gating run that stands."""
    return bool(connection.scalar(_IS_GO, {"release": release}))


def oldest_go(
    connection: Connection, workflow: WorkflowName, *, other_than: Digest, since: datetime, until: datetime
) -> Digest | None:
    """Return the release of a workflow whose GO within this time is the oldest, None without any."""
    values = {"workflow": workflow, "release": other_than, "since": since, "until": until}
    found = connection.scalar(_OLDEST, values)
    return None if found is None else Digest(found)
