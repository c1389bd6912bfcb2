"""The sequencer loop of a worker: one process numbers the ledger, every other one stands ready.

A standby looks for the lock twice a second; the server frees the lock of a frozen holder after 4 s, so a takeover takes
at most 5 s. Checkpoints are signed every 60 s when the tree grew and at once after decisions. Rule: failing to sign or
publish never stops numbering. Fail mode: everything unexpected becomes an alert and a new attempt a second later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.ledger_checkpoint import check_restore, sign_tree
from pilotage.control.ledger_instance import LedgerInstance
from pilotage.core.errors import PilotageError
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger.kinds import EntryKind, is_signed_at_once
from pilotage.store.ledger_sequencing import (
    BATCH_ENTRIES,
    MAX_MERGE_DELAY,
    Batch,
    database_now,
    give_up_leadership,
    number_batch,
    take_leadership,
    waiting,
)

CHECKPOINT_EVERY = timedelta(seconds=60)
_BATCH_WAIT_S = 0.1
_STANDBY_WAIT_S = 0.5
_RETRY_WAIT_S = 1.0
_SIGNED_AT_ONCE = frozenset(kind.value for kind in EntryKind if is_signed_at_once(kind))


class Sequencer:
    """Runs in its own thread. `alert` receives each reason once until it changes."""

    def __init__(self, instance: LedgerInstance, *, alert: Callable[[Reason], None]) -> None:
        self._instance = instance
        self._alert = alert
        self._alerted: dict[str, str] = {}
        self._signed_size = -1
        self._next_checkpoint: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Lead or stand by until `stop` is set."""
        while not stop.is_set():
            try:
                self._take_turn(stop)
            except (PilotageError, SQLAlchemyError, OSError) as error:
                # The edge of a worker loop: a lost connection, a fenced generation or a damaged tile must not end it.
                self._raise_alert("LEDGER_SEQUENCER", str(error).splitlines()[0])
                stop.wait(_RETRY_WAIT_S)

    def _take_turn(self, stop: threading.Event) -> None:
        with self._instance.engine.connect() as connection:
            generation = take_leadership(connection)
            if generation is None:
                self._watch(connection)
                stop.wait(_STANDBY_WAIT_S)
                return
            try:
                self._lead(connection, generation, stop)
            finally:
                give_up_leadership(connection)

    def _lead(self, connection: Connection, generation: int, stop: threading.Event) -> None:
        refusal = check_restore(self._instance)
        if refusal is not None:
            self._refused(refusal)
            stop.wait(_RETRY_WAIT_S)
            return
        self._alerted.pop("LEDGER_SEQUENCER", None)
        while not stop.is_set():
            batch = number_batch(connection, generation)
            self._watch(connection)
            self._sign_when_due(batch)
            if batch.numbered < BATCH_ENTRIES:
                stop.wait(_BATCH_WAIT_S)

    def _watch(self, connection: Connection) -> None:
        with connection.begin():
            rest = waiting(connection, before=database_now(connection) - MAX_MERGE_DELAY)
        if rest.entries:
            text = f"{rest.entries} ledger entries wait for their number for more than {MAX_MERGE_DELAY.seconds} s."
            self._raise_alert("LEDGER_MERGE_DELAY", text)
        else:
            self._alerted.pop("LEDGER_MERGE_DELAY", None)

    def _sign_when_due(self, batch: Batch) -> None:
        now = self._instance.clock.now()
        decided = bool(batch.kinds & _SIGNED_AT_ONCE)
        # A clock that was set back must not keep the tree unsigned until it has caught up.
        due = (
            self._next_checkpoint is None or not self._next_checkpoint - CHECKPOINT_EVERY <= now < self._next_checkpoint
        )
        if not decided and (not due or batch.size == self._signed_size):
            return
        self._next_checkpoint = now + CHECKPOINT_EVERY
        try:
            written = sign_tree(self._instance)
        except PilotageError as error:
            self._raise_alert("LEDGER_CHECKPOINT", str(error))
            return
        if isinstance(written, Refusal):
            self._refused(written)
            return
        self._signed_size = written.entries
        self._alerted.pop("LEDGER_CHECKPOINT", None)

    def _refused(self, refusal: Refusal) -> None:
        for reason in refusal.reasons:
            self._raise_alert(reason.code, reason.text)

    def _raise_alert(self, code: str, text: str) -> None:
        if self._alerted.get(code) != text:
            self._alerted[code] = text
            self._alert(Reason(code=code, text=text))
