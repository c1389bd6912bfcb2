"""A lease on a run while work goes on outside the database: renewed by a thread, fenced at every write.

Rule: a holder that was paused past its lease finds out at its next write, which changes nothing. Fail mode: a renewal
that fails marks the lease lost; the work should look at `is_lost` between its steps and stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pilotage.store.runs import RENEW_EVERY, LeaseLost, Outcome, Run, finish_run, hold_lease, renew_lease


class Lease:
    """`with Lease(engine, run) as lease:` keeps the lease of a taken run alive inside the block."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self.run = run
        self.finished = False
        self._engine = engine
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name=f"lease {run.name}", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether the lease is known to be lost: stop working."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._renewer.join()

    @contextmanager
    def fenced(self) -> Iterator[Connection]:
        """Give a transaction in which the lease is held; LeaseLost, and nothing written, when it is not."""
        with self._engine.begin() as connection:
            hold_lease(connection, self.run)
            yield connection

    def finish(self, connection: Connection, outcome: Outcome) -> None:
        """End the run in the same transaction as the work's last writes (`connection` comes from `fenced`)."""
        finish_run(connection, self.run, outcome)
        self.finished = True

    def _renew(self) -> None:
        """Renew every 20 s until the block ends; a database that is down for a while is asked again."""
        while not self._stop.wait(RENEW_EVERY.total_seconds()):
            try:
                with self._engine.begin() as connection:
                    renew_lease(connection, self.run)
            except LeaseLost:
                self._lost.set()
                return
            except SQLAlchemyError:
                # The edge of a thread: an outage shorter than the lease must not end the work.
                continue
