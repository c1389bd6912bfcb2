"""Releases that completed, watched while they serve, as steps of a reconciler of their own.

Rule: one run for each rollout, looked at every second; a minute's sweep begins what was missed. Fail mode: a look that
fails is tried again for ever, and counts nothing twice.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.watch_completed import EVERY, watch_completed
from pilotage.store.runs import Again, Done, Outcome, Run


def look_at_completed(instance: Instance, connection: Connection, run: Run) -> Outcome:
    """Look once (`jobs.handlers.Step`)."""
    is_watched = watch_completed(connection, instance, run.key)
    return Again(at=instance.clock.now() + EVERY) if is_watched else Done()
