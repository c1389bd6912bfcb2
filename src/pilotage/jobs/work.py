"""Doing leased work: take the lease, act, finish; and the queue worker that is told what to take.

Rule: a job whose generation is old ends at once, so a repeated, late or revived job has no effect. Fail mode: a failure
is counted on the run's row; the job itself never fails, because nobody reads the queue for the truth.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import Any, Final

import psycopg
from procrastinate import App, PsycopgConnector
from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.instance import Instance
from pilotage.core.ids import new_ulid
from pilotage.jobs.failures import count_failure
from pilotage.jobs.handlers import LOG, Registry, describe_failure
from pilotage.jobs.lease import Lease
from pilotage.jobs.queue import QUEUE, SILENCE, TASK
from pilotage.store.engine import psycopg_url, url_of
from pilotage.store.runs import LeaseLost, finish_run, take_lease

CONCURRENCY: Final = 4
_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0


def worker_name(instance: Instance) -> str:
    """Return a name no other process start has: host, process id and a ULID."""
    return f"{socket.gethostname()}-{os.getpid()}-{new_ulid(instance.clock.now())}"


def do_work(instance: Instance, registry: Registry, *, kind: str, key: str, generation: int, owner: str) -> bool:
    """Do one queued run if it is still due at this generation; tell whether it was taken."""
    work = registry.works.get(kind)
    if work is None:
        return False
    with instance.engine.begin() as connection:
        run = take_lease(connection, kind=kind, key=key, generation=generation, owner=owner, now=instance.clock.now())
    if run is None:
        return False
    try:
        with Lease(instance.engine, run) as lease:
            outcome = work.act(instance, lease)
            if not lease.finished:
                with instance.engine.begin() as connection:
                    finish_run(connection, run, outcome)
    except LeaseLost as lost:
        LOG.warning("%s", lost)
    except Exception as error:  # noqa: BLE001 - the edge of a worker: whatever work raises is counted on its row
        with instance.engine.begin() as connection:
            count_failure(connection, instance, registry, run, error)
    return True


async def _enter_queue(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let a connection find the queue's tables, which it names without their schema."""
    await connection.execute("SET search_path TO procrastinate")
    await connection.commit()


class QueueWorker:
    """Takes jobs from the queue: `QueueWorker(instance, registry).run(stop)` in a thread of its own.

    The queue listens, so it needs sessions: `listen_url` is `DATABASE_LISTEN_URL` where that is set.
    """

    def __init__(
        self, instance: Instance, registry: Registry, *, name: str | None = None, listen_url: str | None = None
    ) -> None:
        self._instance = instance
        self._registry = registry
        self.name = name or worker_name(instance)
        self._url = psycopg_url(listen_url or url_of(instance.engine))

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then finish what is running."""
        asyncio.run(self._run(stop))

    def drain(self) -> None:
        """Do the jobs that are queued now, then return."""
        asyncio.run(self._work(wait=False))

    async def _run(self, stop: threading.Event) -> None:
        """Keep a worker going; one that the database threw out is started again."""
        while not stop.is_set():
            worker = asyncio.create_task(self._work(wait=True))
            while not stop.is_set() and not worker.done():
                await asyncio.wait([worker], timeout=0.2)
            worker.cancel()
            (ended,) = await asyncio.gather(worker, return_exceptions=True)
            if isinstance(ended, Exception):
                LOG.warning("The queue worker ended (%s); starting it again.", describe_failure(ended))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _work(self, *, wait: bool) -> None:
        """Run one Procrastinate worker."""
        app = self._app()
        async with app.open_async():
            await app.run_worker_async(
                queues=[QUEUE],
                name=self.name,
                concurrency=CONCURRENCY,
                wait=wait,
                listen_notify=wait,
                fetch_job_polling_interval=_POLL_SECONDS,
                install_signal_handlers=False,
                stalled_worker_timeout=SILENCE.total_seconds(),
            )

    def _app(self) -> App:
        """Build the queue's side: its tables stand in a schema of their own."""
        connector = PsycopgConnector(
            conninfo=self._url,
            kwargs={"application_name": "pilotage queue"},
            configure=_enter_queue,
            min_size=1,
            max_size=CONCURRENCY + 2,
        )
        app = App(connector=connector)
        app.task(name=TASK, queue=QUEUE)(self._job)
        return app

    def _job(self, kind: str, key: str, generation: int) -> None:
        """Do one job; a database that went away leaves the row to the next one."""
        try:
            do_work(self._instance, self._registry, kind=kind, key=key, generation=generation, owner=self.name)
        except SQLAlchemyError as error:
            # The edge of the queue: the lease runs out by itself, and the row brings the work back.
            LOG.warning("%s:%s: %s.", kind, key, describe_failure(error))
