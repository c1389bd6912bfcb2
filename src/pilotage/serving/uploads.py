"""Bodies that may carry files: held once, in memory up to 1 MiB and on disk above it, a few large ones at a time.

Rule: whoever sends a large body was let in before; its place is kept until the request was answered. The file has no
name in any folder and is gone with the process; `TMPDIR` says on which disk it lies. Fail mode: UploadRefused, and
nothing of the body is kept.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Final, TypeAlias, assert_never

from anyio import to_thread

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Look: TypeAlias = Callable[[bytes], None]

logger = logging.getLogger(__name__)

IN_MEMORY: Final = 1024 * 1024
AT_ONCE: Final = 4
OF_ONE: Final = 2


class Why(StrEnum):
    """Why a body is not taken. The value is the code that pages and API give."""

    TOO_LARGE = "BODY_TOO_LARGE"
    CLIENT_GONE = "CLIENT_GONE"
    BUSY = "UPLOADS_BUSY"
    OWN_BUSY = "UPLOADS_OWN_BUSY"
    NO_ROOM = "UPLOADS_NO_ROOM"


class UploadRefused(Exception):
    """The body is not taken; `text` says it to its sender."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status that says it."""
        match self.why:
            case Why.TOO_LARGE:
                return 413
            case Why.CLIENT_GONE:
                return 400
            case Why.OWN_BUSY:
                return 429
            case Why.BUSY | Why.NO_ROOM:
                return 503
            case _:
                assert_never(self.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body, whole. `file` holds it when it is larger than memory may hold, else `held` does."""

    held: bytes = b""
    file: IO[bytes] | None = None

    def read(self) -> bytes:
        """Return the bytes; those on disk come into memory here, once. Blocks."""
        if self.file is None:
            return self.held
        self.file.seek(0)
        return self.file.read()


def _take_any(_head: bytes) -> None:
    return None


class Uploads:
    """Receives bodies for one process, `at_once` large ones at a time, `of_one` of them from one sender."""

    def __init__(self, *, at_once: int = AT_ONCE, of_one: int = OF_ONE) -> None:
        self._at_once = at_once
        self._of_one = of_one
        self._senders: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many large bodies are received or worked on now."""
        return self._senders.total()

    @asynccontextmanager
    async def take(
        self, receive: Receive, *, most: int, sender: str = "", look: Look = _take_any
    ) -> AsyncIterator[Body]:
        """Receive at most `most` bytes; raise UploadRefused.

        `look` is shown the first megabyte of a large body before anything more is read, and may raise.
        """
        head, more = await _head(receive, most)
        if len(head) <= IN_MEMORY:
            yield Body(held=bytes(head))
            return
        look(bytes(head))
        self._enter(sender)
        try:
            with _room() as file:
                await _spool(receive, file, head, more=more, most=most)
                yield Body(file=file)
        finally:
            self._leave(sender)

    def _enter(self, sender: str) -> None:
        if self._senders[sender] >= self._of_one:
            text = f"You have {self._of_one} uploads under way. Send this one again when one of them has ended."
            raise UploadRefused(Why.OWN_BUSY, text)
        if self.under_way >= self._at_once:
            text = f"{self._at_once} uploads are under way here, as many as are taken at a time. Try again in a minute."
            raise UploadRefused(Why.BUSY, text)
        self._senders[sender] += 1

    def _leave(self, sender: str) -> None:
        self._senders[sender] -= 1
        if self._senders[sender] <= 0:
            del self._senders[sender]


async def _head(receive: Receive, most: int) -> tuple[bytearray, bool]:
    """Read on until the body ends or is larger than memory may hold; tell whether there is more."""
    head, more = bytearray(), True
    while more and len(head) <= IN_MEMORY:
        more = await _next(receive, head)
        _bounded(len(head), most)
    return head, more


def _room() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise _no_room(error) from error


async def _spool(receive: Receive, file: IO[bytes], kept: bytearray, *, more: bool, most: int) -> None:
    """Write what was kept and what follows, a megabyte at a time, in a thread: a slow disk stops nobody else."""
    size = await _written(file, kept)
    while more:
        more = await _next(receive, kept)
        _bounded(size + len(kept), most)
        if len(kept) >= IN_MEMORY:
            size += await _written(file, kept)
    await _written(file, kept)


async def _written(file: IO[bytes], data: bytearray) -> int:
    """Write the bytes to the end and empty what held them; return how many they were."""

    def write() -> int:
        done = 0
        with memoryview(data) as left:
            while done < len(left):
                done += file.write(left[done:])
        data.clear()
        return done

    try:
        return await to_thread.run_sync(write)
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> UploadRefused:
    logger.error("An upload could not be kept on disk: %s", error)
    return UploadRefused(Why.NO_ROOM, "The disk of this server takes no file now. Try again, and tell its operators.")


async def _next(receive: Receive, kept: bytearray) -> bool:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise UploadRefused(Why.CLIENT_GONE, "The sender left before the body was complete.")
    kept += message.get("body", b"")
    return bool(message.get("more_body"))


def _bounded(size: int, most: int) -> None:
    if size > most:
        raise UploadRefused(Why.TOO_LARGE, f"This may have {most:,} bytes.")
