"""Delivery of the outbox: the only place that acts outside on a decision's behalf.

Each turn charges an attempt, commits, delivers, and writes how it went. Rule: at least once, in order within one target
of one kind; targets drop repeats by the idempotency key. Fail mode: what a target that is down never
takes is dead after its last attempt and visible, and the next one has its turn.
"""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.instance import Instance
from pilotage.core.errors import PilotageError
from pilotage.jobs.handlers import LOG, Registry, describe_failure
from pilotage.store.outbox import Message, bury_exhausted, claim_message, mark_delivered, mark_failed

TURN_SECONDS: Final = 1.0


class OutboxDelivery:
    """Runs in its own thread: `OutboxDelivery(instance, registry).run(stop)`."""

    def __init__(self, instance: Instance, registry: Registry) -> None:
        self._instance = instance
        self._registry = registry

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set."""
        while not stop.is_set():
            try:
                delivered = self.turn()
            except (SQLAlchemyError, PilotageError, OSError) as error:
                # The edge of a worker loop: a database that is away must not end it.
                LOG.warning("The outbox's turn failed: %s.", describe_failure(error))
                delivered = False
            if not delivered:
                stop.wait(TURN_SECONDS)

    def turn(self) -> bool:
        """Try one due message; tell whether there was one."""
        now = self._instance.clock.now()
        with self._instance.engine.begin() as connection:
            for message_id in bury_exhausted(connection, now):
                LOG.error("Outbox message %s is dead: no attempt came to an end.", message_id)
            message = claim_message(connection, self._registry.deliverers.keys(), now)
        if message is None:
            return False
        try:
            self._registry.deliverers[message.kind](self._instance, message)
        except Exception as error:  # noqa: BLE001 - the edge to the outside: whatever a deliverer raises is a failed attempt
            self._failed(message, error)
            return True
        with self._instance.engine.begin() as connection:
            mark_delivered(connection, message)
        return True

    def _failed(self, message: Message, error: Exception) -> None:
        """Write a failed attempt down."""
        why = describe_failure(error)
        with self._instance.engine.begin() as connection:
            dead = mark_failed(connection, message, why, self._instance.clock.now())
        LOG.log(
            40 if dead else 30,
            "Outbox message %s to %s, attempt %d: %s",
            message.id,
            message.kind,
            message.attempt,
            why,
        )
