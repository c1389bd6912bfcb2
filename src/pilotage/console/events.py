"""Server-sent events over one answer, with pings, until the work ends or the browser leaves.

Fail mode: an exception of the work ends the stream with the event `failed`; the page then offers the way without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from pilotage.console.reply import Stream

logger = logging.getLogger(__name__)

PING_S: Final = 15.0
RETRY: Final = b"retry: 3000\n\n"
"""How long a browser waits before it comes back, in milliseconds."""
_WRITTEN_MOST: Final = 128
"""Events a process remembers as bytes: one event goes to everybody who looks, in the zone of each."""


async def send_events(
    stream: Stream,
    headers: list[tuple[bytes, bytes]],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Run the stream; returns when it has ended."""
    head = [(b"content-type", b"text/event-stream; charset=utf-8"), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": head})

    async def emit(event: str, data: str, identifier: str = "") -> None:
        written = _written(event, data, identifier) if identifier else event_bytes(event, data)
        await send({"type": "http.response.body", "body": written, "more_body": True})

    await send({"type": "http.response.body", "body": RETRY, "more_body": True})

    work = asyncio.ensure_future(stream.run(emit))
    gone = asyncio.ensure_future(_gone(receive))
    try:
        while not work.done() and not gone.done():
            await asyncio.wait({work, gone}, timeout=PING_S, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not gone.done():
                await send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})
        if work.done() and work.exception() is not None:
            logger.error("A stream of the console failed.", exc_info=work.exception())
            await emit("failed", "")
    finally:
        # Cancelled work ends the upstream call; it is waited for, so that its record is written.
        work.cancel()
        gone.cancel()
        await asyncio.wait({work, gone})
    if not gone.done() or gone.cancelled():
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_bytes(event: str, data: str, identifier: str = "") -> bytes:
    """Return one event; every line of the data has its own field."""
    if identifier:
        event = f"{event}\nid: {identifier}"
    lines = "\n".join(f"data: {line}" for line in data.split("\n"))
    return f"event: {event}\n{lines}\n\n".encode()


@lru_cache(maxsize=_WRITTEN_MOST)
def _written(event: str, data: str, identifier: str) -> bytes:
    return event_bytes(event, data, identifier)


async def _gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
