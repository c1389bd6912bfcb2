"""A release that completed goes on being watched for late regressions while it serves (rollouts.md 6.4).

Rule: the watch begins in the transaction that completes the rollout, with the e-CUSUMs and the place in the ledger
where the rollout stood. A release that serves again, or completed under an older version, begins anew from now on. Its
requests a year are those of the last 14 days, which preflight reckoned with only the quiet ones of.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.recorded_requests import ladder_of
from pilotage.control.rollout_verdict import per_day_of
from pilotage.rollout.late_watch import after_rollout, yearly
from pilotage.store.cohorts import Place, read_history
from pilotage.store.observation_rows import last_number
from pilotage.store.release_watches import ReleaseWatch, put_watch
from pilotage.store.rollouts import StoredRollout, StoredWave
from pilotage.store.runs import request_run

RUN_KIND: Final = "late_watch"


def begin_watch(
    connection: Connection, stored: StoredRollout, wave: StoredWave, *, at: datetime, anew: bool = False
) -> None:
    """Begin to watch a space of a rollout; `anew`: from the ledger's end, with sums that start at zero."""
    is_fresh = anew or wave.counted_from is None
    cursor = last_number(connection) if is_fresh else wave.cursor
    cusums = {} if is_fresh else wave.totals.get("cusums", {})
    here = Place(workflow=stored.workflow, space=wave.space)
    history = read_history(connection, [here], now=at)[(here.workflow, here.space)]
    steps = stored.plan.waves[wave.number].steps
    found = ReleaseWatch(
        rollout=stored.id,
        wave=wave.number,
        workflow=stored.workflow,
        space=wave.space,
        release=stored.release,
        since=at,
        cursor=cursor,
        counted_from=cursor + 1,
        per_year=yearly(history.days, per_day_of(stored, wave.number)),
        sums=after_rollout(cusums, ladder_of(steps, steps[-1])).as_json(),
    )
    put_watch(connection, found)
    request_run(connection, kind=RUN_KIND, key=stored.id, due_at=at)
