"""NOTIFY and LISTEN: how processes hear at once what they would otherwise find within a second by polling.

A notification is a hint, never the truth: it is sent in the transaction that made the change, may be lost with the
listening session, and users of the listener poll once a second besides. After every (re)connection the listener says
`resync`, because anything may have been missed. Fail mode: while the session is down nothing is heard; it reconnects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from pilotage.store.engine import psycopg_url

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
# A dead network shows only when something is sent: the session is asked for a sign of life this often.
_PROBE_SECONDS: Final = 15.0
_MAX_PAYLOAD_BYTES: Final = 7_999


class Channel(StrEnum):
    """Every channel, with the form of its payload."""

    CORPUS = "pilotage_corpus"  # corpus:generation
    ROUTING = "pilotage_routing"  # space:workflow:generation
    KEYS = "pilotage_keys"  # key id
    RUN = "pilotage_run"  # kind:key


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One notification."""

    channel: Channel
    payload: str


def notify(connection: Connection, channel: Channel, payload: str) -> None:
    """Send a notification when the caller's transaction commits, and not otherwise."""
    if len(payload.encode()) > _MAX_PAYLOAD_BYTES:
        message = f"A notification carries at most {_MAX_PAYLOAD_BYTES} bytes; send an id."
        raise ValueError(message)
    connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel.value, "payload": payload})


class Listener:
    """Listens on a session of its own: `asyncio.create_task(Listener(url, channels, heard, resync).run())`.

    `heard` gets each notification in order; `resync` is called after every connection, the first included. `url` must
    reach PostgreSQL directly (`DATABASE_LISTEN_URL` where a transaction pooler stands between).
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[Channel],
        heard: Callable[[Heard], Awaitable[None]],
        resync: Callable[[], Awaitable[None]],
    ) -> None:
        self._url = psycopg_url(url)
        self._channels = tuple(channels)
        self._heard = heard
        self._resync = resync

    async def run(self) -> None:
        """Listen until cancelled, reconnecting with growing pauses."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=10, application_name="pilotage listener"
                ) as connection:
                    await self._subscribe(connection)
                    pause = _FIRST_PAUSE_SECONDS
                    await self._listen(connection)
            except psycopg.OperationalError as error:
                _LOG.warning("The listening session ended (%s); reconnecting.", type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _subscribe(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        """Subscribe first and resync then, so that nothing falls between."""
        for channel in self._channels:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel.value)))
        await self._resync()

    async def _listen(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        """Pass on what is heard until the session breaks."""
        while True:
            async for note in connection.notifies(timeout=_PROBE_SECONDS):
                await self._heard(Heard(channel=Channel(note.channel), payload=note.payload))
            await connection.execute("SELECT 1")
