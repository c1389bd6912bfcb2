"""One worker process: sequencer, reconcilers, queue, outbox and heartbeat, a thread each, until told to stop.

Rollouts have a reconciler of their own, and so have releases that completed: what has to go waits for no other step.
Fail mode: a loop that ends stops the process, which is started again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from pilotage.adapters.clock import SystemClock
from pilotage.control.begin_watch import RUN_KIND as LATE
from pilotage.control.instance import Instance
from pilotage.core.reason import Reason
from pilotage.jobs.handlers import Registry
from pilotage.jobs.heartbeat import Heartbeat, identify
from pilotage.jobs.outbox import OutboxDelivery
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.rollout_reconciler import KIND as ROLLOUT
from pilotage.jobs.schedules import schedule_all
from pilotage.jobs.sequencer import Sequencer
from pilotage.jobs.work import QueueWorker

logger = logging.getLogger(__name__)

_JOIN_S = 30.0
DELIVERERS = 2
"""Of the outbox: one target is served by one at a time, so that a chat that hangs does not keep a page from a pager."""


def run_worker(instance: Instance, registry: Registry, stop: threading.Event, *, listen_url: str | None = None) -> None:
    """Run every loop until `stop` is set, then wait for what is under way."""
    schedule_all(instance)
    worker = QueueWorker(instance, registry, listen_url=listen_url)
    clock = SystemClock()
    loops: tuple[Callable[[threading.Event], None], ...] = (
        Sequencer(instance, alert=_alert).run,
        *(Reconciler(instance, part).run for part in apart(registry)),
        *(OutboxDelivery(instance, registry).run for _ in range(DELIVERERS)),
        worker.run,
        Heartbeat(instance.engine, clock, identify("worker", worker.name, clock)).run,
    )
    threads = [threading.Thread(target=loop, args=(stop,), name=f"worker-{n}") for n, loop in enumerate(loops)]
    for thread in threads:
        thread.start()
    while not stop.wait(1.0):
        if not all(thread.is_alive() for thread in threads):
            logger.critical("a loop of the worker ended; the process stops so that it is started again")
            stop.set()
    for thread in threads:
        thread.join(_JOIN_S)


def apart(registry: Registry) -> tuple[Registry, ...]:
    """Return the steps of rollouts, those of releases that completed, and everything else, for a reconciler each."""
    alone = [{kind: step for kind, step in registry.steps.items() if kind == one} for one in (ROLLOUT, LATE)]
    others = {kind: step for kind, step in registry.steps.items() if kind not in {ROLLOUT, LATE}}
    return (*(Registry(steps=one, endless=registry.endless) for one in alone), replace(registry, steps=others))


def _alert(reason: Reason) -> None:
    logger.error("%s: %s", reason.code, reason.text)
