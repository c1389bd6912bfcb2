"""Tells the store each second, and at once after a change, which routing rows this process serves by.

Rule: only a table that the store has confirmed within 3 s is acknowledged, so a process that says nothing has sent
nobody to a candidate. Fail mode: an acknowledgement that cannot be written is tried again; the rollout counts the
process as fenced after 3 s and as gone after 30 s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import psycopg

from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.serving.admissions import Admissions
from pilotage.serving.ending import end
from pilotage.serving.routing import SELF_FENCED_S, RoutingTable
from pilotage.store.serving_acks import AckRow, AdmissionRow

logger = logging.getLogger(__name__)

EVERY_S = 1.0


class AckSink(Protocol):
    """Where acknowledgements go. Real: store/serving_acks.py."""

    async def write(self, acks: list[AckRow], admissions: list[AdmissionRow]) -> None:
        """Write all of them, on the database's clock."""
        ...

    async def forget(self) -> None:
        """Remove what this process said: it serves nobody any more."""
        ...


def process_name(at: datetime) -> str:
    """Return a name no other process start has."""
    return f"{socket.gethostname()}-{os.getpid()}-{new_ulid(at)}"


class Acknowledger:
    """Runs beside the routing watch of a process. `wake` acknowledges at once.

    `kept` counts the answers that are kept of a release: a row that a hard event cut one out of is acknowledged when
    none is left (rollouts.md 8.3).
    """

    def __init__(
        self,
        sink: AckSink,
        *,
        table: Callable[[], RoutingTable],
        admissions: Admissions,
        monotonic: Callable[[], float],
        kept: Callable[[Digest], int] = lambda _release: 0,
    ) -> None:
        self._sink = sink
        self._table = table
        self._admissions = admissions
        self._monotonic = monotonic
        self._kept = kept
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="acknowledge")

    def wake(self) -> None:
        """Acknowledge now."""
        self._woken.set()

    async def stop(self) -> None:
        """Say the last counts, take back what was said, and end."""
        if self._task is None:
            return
        await end(self._task)
        try:
            await self.acknowledge()
            await self._sink.forget()
        except (psycopg.Error, OSError, TimeoutError) as error:
            logger.warning("The acknowledgements could not be taken back (%s).", type(error).__name__)

    async def acknowledge(self) -> None:
        """Write what this process serves by now, unless nobody has confirmed it."""
        table = self._table()
        if self._monotonic() - table.confirmed_at > SELF_FENCED_S:
            return
        loaded = table.releases.keys()
        acks = [
            AckRow(
                space=row.space,
                workflow=row.workflow,
                generation=row.generation,
                loaded=[digest for digest in row.named if digest in loaded],
            )
            for row in table.rows.values()
            if not any(map(self._kept, row.cut))
        ]
        totals, streams = self._admissions.totals(), self._admissions.streams()
        admissions = [
            AdmissionRow(
                space=key[0], workflow=key[1], release=key[2], admitted=totals.get(key, 0), streams=streams.get(key, 0)
            )
            for key in totals.keys() | streams.keys()
        ]
        await self._sink.write(acks, admissions)

    async def _run(self) -> None:
        while True:
            try:
                await self.acknowledge()
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("The routing table could not be acknowledged (%s).", type(error).__name__)
            except Exception:
                # The loop must outlive any single failure; without it the process counts as fenced, which is safe.
                logger.exception("The routing table could not be acknowledged.")
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
