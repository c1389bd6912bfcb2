"""Notifications are hints that survive a lost session: after every connection the listener says resync."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import Engine, text

from pilotage.store.notify import Channel, Heard, Listener, notify

pytestmark = pytest.mark.store


class _Ears:
    """Collects what a listener hears."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.resyncs: asyncio.Queue[None] = asyncio.Queue()

    async def hear(self, note: Heard) -> None:
        await self.heard.put(note)

    async def resync(self) -> None:
        await self.resyncs.put(None)


def _say(engine: Engine, payload: str) -> None:
    with engine.begin() as connection:
        notify(connection, Channel.CORPUS, payload)


async def _listen_through_a_lost_session(url: str, engine: Engine) -> list[str]:
    ears = _Ears()
    listening = asyncio.create_task(Listener(url, [Channel.CORPUS, Channel.KEYS], ears.hear, ears.resync).run())
    await ears.resyncs.get()
    with engine.connect() as connection:
        notify(connection, Channel.CORPUS, "rolled back")
        connection.rollback()
    _say(engine, "policies:1")
    first = await ears.heard.get()
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pilotage listener' AND datname = current_database()"
            )
        )
    await ears.resyncs.get()
    _say(engine, "policies:2")
    second = await ears.heard.get()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    return [first.payload, second.payload]


def test_what_is_committed_is_heard_and_a_lost_session_ends_in_a_resync(database_url: str, engine: Engine) -> None:
    heard = asyncio.run(_listen_through_a_lost_session(database_url, engine))
    assert heard == ["policies:1", "policies:2"]


def test_a_payload_that_does_not_fit_is_refused(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="send an id"):
        notify(connection, Channel.RUN, "x" * 8_000)
