"""The one writer of interaction records in a process (serving.md 7.1, 7.2).

`offer` (async spaces) buffers and returns at once; the buffer leaves every 50 ms or 256 records, and 5,000 records or
8 MiB are its limit. `commit` (fail_closed spaces) returns when the record is durable; whatever arrived meanwhile goes
into the next commit. `settle` hurries what was offered, when somebody is about to refer to it. Fail mode: a full buffer
refuses (`recorder_saturated`), a store that does not answer refuses (`store_unavailable`); a record that was accepted
is tried until it is written or the process ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from pilotage.serving.ending import end
from pilotage.serving.ports import RecordSink
from pilotage.serving.refusal import Code, Refusal
from pilotage.store.serving_records import RecordRows

logger = logging.getLogger(__name__)

BATCH_RECORDS = 256
BUFFER_RECORDS = 5_000
BUFFER_BYTES = 8 * 1024 * 1024
COMMIT_WAIT_S = 5.0
SETTLE_WAIT_S = 2.0
_RETRY_S = 0.25
_STOP_S = 10.0


@dataclass(slots=True, eq=False)
class _Waiting:
    rows: RecordRows
    done: asyncio.Future[None] | None
    since: float = field(default_factory=time.monotonic)


class Recorder:
    """Buffers and writes records. `connect` opens a sink, again after every failure. `flush_s` is at most 1."""

    def __init__(self, connect: Callable[[], Awaitable[RecordSink]], *, flush_s: float = 0.05) -> None:
        self._connect = connect
        self._flush_s = flush_s
        self._sink: RecordSink | None = None
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._urgent = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.written = 0
        self.unwritable = 0
        self.failing_since: float | None = None

    @property
    def waiting(self) -> int:
        """Records that are accepted and not yet durable."""
        return len(self._queue)

    @property
    def lag_s(self) -> float:
        """Seconds since the oldest of them was accepted; 0 when nothing waits."""
        return time.monotonic() - self._queue[0].since if self._queue else 0.0

    @property
    def is_saturated(self) -> bool:
        """Tell whether the next record would be refused."""
        return len(self._queue) >= BUFFER_RECORDS or self._bytes >= BUFFER_BYTES

    async def start(self) -> None:
        """Start the writer. The first connection is made by the first record."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> int:
        """Write what is buffered, for at most 10 s; return how many records were lost."""
        self._stopping = True
        self._wake.set()
        self._hurry.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=_STOP_S)
            if not done:
                await end(self._task)
        if self._queue:
            logger.error("The recorder stopped with %d records unwritten: the store did not answer.", len(self._queue))
        await self._disconnect()
        return len(self._queue)

    def offer(self, rows: RecordRows) -> Refusal | None:
        """Accept a record for the next flush, or refuse."""
        if self.is_saturated or self._stopping:
            return Refusal(
                code=Code.RECORDER_SATURATED, message="Too many records wait for the store. Try again.", retry_after_s=2
            )
        self._add(_Waiting(rows, None))
        return None

    async def commit(self, rows: RecordRows) -> Refusal | None:
        """Return None when the record is durable, or the refusal when that is not known within 5 s."""
        if self.is_saturated or self._stopping:
            return self.offer(rows)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        item = _Waiting(rows, done)
        self._urgent += 1
        self._add(item)
        self._hurry.set()
        try:
            async with asyncio.timeout(COMMIT_WAIT_S):
                await done
        except (TimeoutError, psycopg.DataError):
            # It may still become durable: a record without an answer is harmless, an answer without a record is not.
            return Refusal(
                code=Code.STORE_UNAVAILABLE, message="The record of this answer could not be written.", retry_after_s=2
            )
        finally:
            self._urgent -= 1
        return None

    async def settle(self, within_s: float = SETTLE_WAIT_S) -> bool:
        """Write now what was accepted so far; tell whether it is durable within the time (s)."""
        if not self._queue:
            return True
        last = self._queue[-1]
        if last.done is None:
            last.done = asyncio.get_running_loop().create_future()
        self._urgent += 1
        self._hurry.set()
        try:
            done, _ = await asyncio.wait({last.done}, timeout=within_s)
        finally:
            self._urgent -= 1
        return bool(done) and last.done.exception() is None

    def _add(self, item: _Waiting) -> None:
        self._queue.append(item)
        self._bytes += item.rows.size
        self._wake.set()
        if len(self._queue) >= BATCH_RECORDS:
            self._hurry.set()

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
            await self._window()
            if self._queue:
                await self._flush()

    async def _window(self) -> None:
        """Wait for the flush window, or until a record is urgent or the batch is full."""
        if self._urgent or self._stopping or len(self._queue) >= BATCH_RECORDS:
            return
        self._hurry.clear()
        try:
            async with asyncio.timeout(self._flush_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _flush(self) -> None:
        batch = [self._queue[index] for index in range(min(len(self._queue), BATCH_RECORDS))]
        try:
            await self._write([item.rows for item in batch])
        except psycopg.DataError as error:
            await self._write_singly(batch, error)
        except (psycopg.Error, OSError) as error:
            await self._failed(error)
            return
        self.failing_since = None
        for item in batch:
            self._queue.popleft()
            self._bytes -= item.rows.size
            if item.done is not None and not item.done.done():
                item.done.set_result(None)

    async def _write(self, rows: Sequence[RecordRows]) -> None:
        if self._sink is None:
            self._sink = await self._connect()
        await self._sink.write(rows)
        self.written += len(rows)

    async def _write_singly(self, batch: Sequence[_Waiting], error: psycopg.DataError) -> None:
        """One record the store can never take must not hold the others back: it is dropped loudly and not answered."""
        logger.error("A batch of %d records was refused (%s); writing them one by one.", len(batch), error.sqlstate)
        for item in batch:
            try:
                await self._write([item.rows])
            except psycopg.DataError as single:
                self.unwritable += 1
                # The error's text could quote the record, so only its SQLSTATE is logged.
                logger.error("Record %s cannot be stored (%s).", item.rows.entry.subject, single.sqlstate)  # noqa: TRY400
                if item.done is not None and not item.done.done():
                    item.done.set_exception(single)

    async def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self.failing_since is None:
            self.failing_since = now
            logger.error("Records cannot be written (%s); %d wait.", type(error).__name__, len(self._queue))
        await self._disconnect()
        await asyncio.sleep(_RETRY_S)

    async def _disconnect(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                await sink.close()
            except (psycopg.Error, OSError):
                logger.debug("The broken connection of the recorder did not close cleanly.")
