"""Live pages: one watcher per thing that is looked at, whoever looks (console.md 5).

A watcher asks the database once a second for a version text, and wakes its streams when it changed; what they send is
kept there too, so that a browser which comes back with its last id gets what it missed, from any process. Rule: at most
five streams a person and 500 a process; a lost permission ends the stream with `gone`. Fail mode: a database that does
not answer is a pause, not an end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from pilotage.console.reply import Send
from pilotage.serving.ending import end

T = TypeVar("T")
logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
CHECK_S: Final = 60.0
PER_PERSON: Final = 5
PER_PROCESS: Final = 500


class Event(Protocol):
    """What a stream sends: a fragment under an id that rises."""

    @property
    def id(self) -> int:
        """Its place in the stream."""
        ...

    @property
    def body(self) -> str:
        """The fragment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is followed. `newest` is the event of the present state; `after` what followed an id, None if unknown.

    `is_allowed` tells whether this viewer may still look; `version` changes with the state.
    """

    key: str
    version: Callable[[], str | None]
    newest: Callable[[], Event]
    after: Callable[[int], Sequence[Event] | None]
    is_allowed: Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One thing under watch: its last version, who is woken, and the task that looks."""

    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    version: str | None = None
    viewers: int = 0
    task: asyncio.Task[None] | None = None


class LiveBoard:
    """The streams of this process."""

    def __init__(self, *, look_s: float = LOOK_S) -> None:
        self._watched: dict[str, _Watched] = {}
        self._people: Counter[str] = Counter()
        self._limiter = CapacityLimiter(2)
        self._look_s = look_s

    def has_room(self, person: str) -> bool:
        """Tell whether this person may open one more stream."""
        return self._people[person] < PER_PERSON and self._people.total() < PER_PROCESS

    async def follow(self, send: Send, source: Source, *, person: str, last: int | None = None) -> None:
        """Send what followed `last`, else the region as it is; then each change, until the viewer may not look."""
        self._people[person] += 1
        watched = self._watch(source.key, source.version)
        try:
            await self._send_changes(send, watched, source, last)
        finally:
            self._people[person] -= 1
            await self._leave(source.key, watched)

    async def _send_changes(self, send: Send, watched: _Watched, source: Source, last: int | None) -> None:
        while True:
            seen = watched.version
            try:
                events = await self._in_thread(partial(_missed, source, last))
            except SQLAlchemyError:
                logger.warning("A live page could not read what changed; it reads again.")
                await asyncio.sleep(self._look_s)
                continue
            if events is None:
                await send("gone", "")
                return
            for event in events:
                await send("region", event.body, str(event.id))
                last = event.id
            await self._change(watched, seen)

    async def _change(self, watched: _Watched, seen: str | None) -> None:
        """Wait until the version is another, at most a minute: then permissions are looked at again."""
        async with watched.changed:
            try:
                async with asyncio.timeout(CHECK_S):
                    await watched.changed.wait_for(lambda: watched.version != seen)
            except TimeoutError:
                return

    def _watch(self, key: str, version: Callable[[], str | None]) -> _Watched:
        watched = self._watched.setdefault(key, _Watched())
        watched.viewers += 1
        if watched.task is None:
            watched.task = asyncio.ensure_future(self._look(watched, version))
        return watched

    async def _leave(self, key: str, watched: _Watched) -> None:
        watched.viewers -= 1
        if watched.viewers == 0:
            self._watched.pop(key, None)
            if watched.task is not None:
                await end(watched.task)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run what reads the database; who is cancelled meanwhile leaves when the connection is given back."""
        running = asyncio.ensure_future(to_thread.run_sync(work, limiter=self._limiter))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            raise

    async def _look(self, watched: _Watched, version: Callable[[], str | None]) -> None:
        while True:
            try:
                found = await self._in_thread(version)
            except SQLAlchemyError:
                logger.warning("A live page could not look at the database; it looks again.")
            else:
                if found != watched.version:
                    async with watched.changed:
                        watched.version = found
                        watched.changed.notify_all()
            await asyncio.sleep(self._look_s)


def _missed(source: Source, last: int | None) -> Sequence[Event] | None:
    """Return what this viewer has not seen, oldest first; None when they may not look any more."""
    if not source.is_allowed():
        return None
    newest = source.newest()
    followed = None if last is None else source.after(last)
    return [newest] if followed is None else followed
