"""Live pages: one watcher per thing that is looked at, whoever looks (console.md 5).

A watcher asks the database once a second for a version text; when it changed, and once a minute because of what time
alone changes, it reads the news once for all its streams and wakes them. What they send is kept in the database too, so
that a browser which comes back with its last id gets what it missed, from any process. Rule: at most five streams a
person and 500 a process; permission is asked at the start and each minute, and its loss ends the stream with `gone`.
Fail mode: a database that does not answer is a pause, not an end; a region that cannot be shown ends its streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
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
READERS: Final = 2
"""Threads of a process that read for live pages; each needs up to two connections."""


class Event(Protocol):
    """What a stream sends: a fragment under an id that rises. `follows` is the one before it, None if unknown."""

    @property
    def id(self) -> int:
        """Its place in the stream."""
        ...

    @property
    def follows(self) -> int | None:
        """The place of the event before it."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What the watcher read last: the events that followed `since`, oldest first; whatever that was when it is None."""

    since: int | None
    events: Sequence[Event]

    @property
    def newest(self) -> Event:
        return self.events[-1]


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One thing under watch: its last version and news, who is woken, and the task that looks.

    `changed` is set by the next news, `read_at` is when the last were read (seconds of the loop), `failure` is why
    nobody looks.
    """

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    version: str | None = None
    news: _News | None = None
    read_at: float = 0.0
    failure: Exception | None = None
    viewers: int = 0
    task: asyncio.Task[None] | None = None


class LiveBoard:
    """The streams of this process."""

    def __init__(self, *, look_s: float = LOOK_S) -> None:
        self._watched: dict[str, _Watched] = {}
        self._people: Counter[str] = Counter()
        self._limiter = CapacityLimiter(READERS)
        self._look_s = look_s

    def has_room(self, person: str) -> bool:
        """Tell whether this person may open one more stream."""
        return self._people[person] < PER_PERSON and self._people.total() < PER_PROCESS

    async def follow(self, send: Send, source: Source, *, person: str, last: int | None = None) -> None:
        """Send what followed `last`, else the region as it is; then each change, until the viewer may not look."""
        self._people[person] += 1
        watched = self._watch(source)
        try:
            await self._send_changes(send, watched, source, last)
        finally:
            self._people[person] -= 1
            await self._leave(source.key, watched)

    async def _send_changes(self, send: Send, watched: _Watched, source: Source, last: int | None) -> None:
        now = asyncio.get_running_loop().time
        is_open, asked = False, 0.0
        while True:
            changed, news = watched.changed, watched.news if is_open else None
            is_due = not is_open or now() - asked >= CHECK_S
            events = None if is_due else _in_hand(last, news)
            if events is None:
                try:
                    events = await self._in_thread(partial(_missed, source, last, news))
                except SQLAlchemyError:
                    logger.warning("A live page could not read what changed; it reads again.")
                    await asyncio.sleep(self._look_s)
                    continue
                is_open, asked = True, now()
            if events is None:
                await send("gone", "")
                return
            for event in events:
                await send("region", event.body, str(event.id))
                last = event.id
            if watched.failure is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(asked + CHECK_S):
                        await changed.wait()
            if watched.failure is not None:
                raise watched.failure

    def _watch(self, source: Source) -> _Watched:
        watched = self._watched.setdefault(source.key, _Watched())
        watched.viewers += 1
        if watched.task is None:
            watched.task = asyncio.ensure_future(self._look(watched, source))
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

    async def _look(self, watched: _Watched, source: Source) -> None:
        """Read the news for everybody; `source` is that of whoever came first, and names no viewer."""
        now = asyncio.get_running_loop().time
        while True:
            try:
                found = await self._in_thread(source.version)
                if found != watched.version or watched.news is None or now() - watched.read_at >= CHECK_S:
                    watched.news = await self._in_thread(partial(_renewed, source, watched.news))
                    watched.version, watched.read_at = found, now()
                    _wake(watched)
            except SQLAlchemyError:
                logger.warning("A live page could not look at the database; it looks again.")
            except Exception as error:  # noqa: BLE001 - whatever a page raises is raised again in each of its streams
                watched.failure = error
                _wake(watched)
                return
            await asyncio.sleep(self._look_s)


def _wake(watched: _Watched) -> None:
    watched.changed.set()
    watched.changed = asyncio.Event()


def _renewed(source: Source, before: _News | None) -> _News:
    """Return what followed the news before; the newest alone when that is not known."""
    newest = source.newest()
    since = None if before is None else before.newest.id
    if before is not None and newest.id == since:
        return before
    if since is not None and newest.follows == since:
        return _News(since=since, events=[newest])
    followed = None if since is None else source.after(since)
    return _News(since=since if followed else None, events=followed or [newest])


def _missed(source: Source, last: int | None, news: _News | None) -> Sequence[Event] | None:
    """Return what this viewer has not seen, oldest first; None when they may not look any more.

    Without `news` the stream is new: the region is looked at now, whatever was read before.
    """
    if not source.is_allowed():
        return None
    known = _in_hand(last, news)
    if known is not None:
        return known
    newest = source.newest() if news is None else news.newest
    followed = None if last is None else source.after(last)
    return [newest] if followed is None else followed


def _in_hand(last: int | None, news: _News | None) -> Sequence[Event] | None:
    """Return what followed `last` as far as the news tell; None when the database has to be asked."""
    if news is None or last is None:
        return None
    if last >= news.newest.id:
        return []
    return news.events if last == news.since else None
