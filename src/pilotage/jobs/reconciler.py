"""The loop that makes due rows move: in every worker, twice a second, and at once when told.

Steps are done here, each in one transaction, so `kill -9` at any instruction loses and repeats nothing. Leased work is
put on the queue, from the rows: wiping the queue loses nothing. Fail mode: a failing run waits longer each time, pages
at the fifth failure and is given up then unless it recurs; an error of the loop itself is logged and the loop goes on.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.instance import Instance
from pilotage.core.errors import PilotageError
from pilotage.jobs.failures import count_failure, tell_abandoned
from pilotage.jobs.handlers import LOG, Registry, describe_failure
from pilotage.jobs.queue import put_back, recover_dead, remove_old
from pilotage.store.runs import BATCH, fail_abandoned, finish_run, lock_due

TURN_SECONDS: Final = 0.5
_TIDY_EVERY: Final = timedelta(hours=1)


class Reconciler:
    """Runs in its own thread: `Reconciler(instance, registry).run(stop)`."""

    def __init__(self, instance: Instance, registry: Registry) -> None:
        self._instance = instance
        self._registry = registry
        self._wake = threading.Event()
        self._tidy_at = instance.clock.now()

    def wake(self) -> None:
        """Take the next turn now: a listener heard of new work."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Take turns until `stop` is set; a stop is noticed within a second."""
        while not stop.is_set():
            try:
                moved = self.turn()
            except (SQLAlchemyError, PilotageError, OSError) as error:
                # The edge of a worker loop: a database that is away must not end it.
                LOG.warning("The reconciler's turn failed: %s.", describe_failure(error))
                moved = 0
            if moved < BATCH:
                self._wake.wait(TURN_SECONDS)
                self._wake.clear()

    def turn(self) -> int:
        """Do up to 32 due steps, queue due work, recover the queue; return how many steps were done."""
        moved = 0
        while moved < BATCH and self._step():
            moved += 1
        with self._instance.engine.begin() as connection:
            for run in fail_abandoned(connection):
                tell_abandoned(connection, self._instance, run)
            recover_dead(connection)
            put_back(connection, self._registry, self._instance.clock.now())
            self._tidy(connection)
        return moved

    def _step(self) -> bool:
        """Do the oldest due step; tell whether there was one."""
        now = self._instance.clock.now()
        with self._instance.engine.connect() as connection:
            transaction = connection.begin()
            due = lock_due(connection, self._registry.steps.keys(), now, limit=1)
            if not due:
                transaction.rollback()
                return False
            run = due[0]
            try:
                finish_run(connection, run, self._registry.steps[run.kind](self._instance, connection, run))
                transaction.commit()
            except Exception as error:  # noqa: BLE001 - the edge of a worker loop: whatever a step raises is counted on its row
                transaction.rollback()
                with connection.begin():
                    count_failure(connection, self._instance, self._registry, run, error)
        return True

    def _tidy(self, connection: Connection) -> None:
        """Remove old queue rows, once an hour."""
        now = self._instance.clock.now()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_EVERY
            remove_old(connection)
