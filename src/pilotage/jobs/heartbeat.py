"""The heartbeat of a process: says it lives, how its clock stands, and what it has applied.

Rule: the wall clock is read just before the row is written. Fail mode: a heartbeat that cannot be written is logged and
tried again; after 30 s others count the process as dead.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pilotage.core.clock import Clock
from pilotage.core.reason import Reason
from pilotage.jobs.handlers import LOG, describe_failure
from pilotage.store.processes import BEAT_EVERY, Identity, beat, forget_dead, sign_off_process, skew_reason


def identify(kind: str, name: str, clock: Clock) -> Identity:
    """Return who this process is; `name` is unique per process start (`jobs.work.worker_name`)."""
    return Identity(id=name, kind=kind, host=socket.gethostname(), pid=os.getpid(), started_at=clock.now())


class Heartbeat:
    """Runs in its own thread: `Heartbeat(engine, wall_clock, identity, applied).run(stop)`.

    `wall_clock` is the machine's, also where the product's is simulated. `applied` is asked at each beat.
    """

    def __init__(
        self, engine: Engine, wall_clock: Clock, identity: Identity, applied: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._engine = engine
        self._clock = wall_clock
        self._identity = identity
        self._applied = applied
        self.skew: Reason | None = None

    def run(self, stop: threading.Event) -> None:
        """Beat every 10 s until `stop` is set, then remove the row."""
        while True:
            try:
                self.beat()
                if stop.wait(BEAT_EVERY.total_seconds()):
                    with self._engine.begin() as connection:
                        sign_off_process(connection, self._identity.id)
                    return
            except SQLAlchemyError as error:
                # The edge of a worker loop: a database that is away must not end it.
                LOG.warning("The heartbeat failed: %s.", describe_failure(error))
                if stop.wait(1):
                    return

    def beat(self) -> None:
        """Write one heartbeat; `skew` says why this process is unfit, or None."""
        with self._engine.begin() as connection:
            forget_dead(connection)
            skew_ms = beat(connection, self._identity, now=self._clock.now(), applied=self._applied())
        self.skew = skew_reason(skew_ms, self._identity.id)
