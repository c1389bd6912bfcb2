"""Owns the parsing processes: one child per format reads many documents and is replaced after any failure.

Fail mode: a child that dies, hangs past the wall-clock limit, or answers nonsense means the document is rejected with
that reason; the next one gets a fresh child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from threading import Timer
from types import TracebackType
from typing import BinaryIO, Self, cast

from pilotage.adapters.parsing.blocks import Unreadable
from pilotage.adapters.parsing.child import MAX_INPUT_BYTES
from pilotage.adapters.parsing.confine import CPU_SECONDS
from pilotage.adapters.parsing.formats import READERS, Reader
from pilotage.adapters.parsing.plain import parse as parse_plain
from pilotage.adapters.parsing.wire import MAX_REPLY_BYTES, WireError, decode_reply, read_frame, write_frame
from pilotage.corpus.connector import ItemUnreadable
from pilotage.corpus.records import ParsedDocument

WALL_SECONDS = 120
DOCUMENTS_PER_CHILD = 1_000
PLAIN_HERE_BYTES = 1 << 20
"""Plain text up to this size is read in this process: it can need some 60 times as much memory, and no library."""


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    served: int = 0


class ParserPool:
    """Parses documents one after another. A context manager: leaving it ends its children."""

    def __init__(self, *, wall_seconds: float = WALL_SECONDS) -> None:
        self._wall_seconds = wall_seconds
        self._children: dict[Reader, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in list(self._children):
            self._end(reader)

    def parse(self, suffix: str, data: bytes) -> ParsedDocument:
        """Return the document; raise ItemUnreadable with the reason. `suffix` is lower case with its dot."""
        reader = READERS.get(suffix)
        if reader is None:
            message = f"has no parser for {suffix or 'a name without suffix'}; known are {', '.join(sorted(READERS))}"
            raise ItemUnreadable(message)
        if len(data) > MAX_INPUT_BYTES:
            message = f"is larger than {MAX_INPUT_BYTES >> 20} MiB: {len(data):,} bytes"
            raise ItemUnreadable(message)
        if reader is Reader.PLAIN and len(data) <= PLAIN_HERE_BYTES:  # a strict decode and a split, bounded by its size
            try:
                return parse_plain(data)
            except Unreadable as refusal:
                raise ItemUnreadable(str(refusal)) from None
        reply = self._ask(reader, data)
        if isinstance(reply, str):
            raise ItemUnreadable(reply)
        return reply

    def _ask(self, reader: Reader, data: bytes) -> ParsedDocument | str:
        child = self._ready(reader)
        timer = Timer(self._wall_seconds, child.kill)
        timer.daemon = True
        timer.start()
        try:
            write_frame(cast("BinaryIO", child.stdin), data)
            frame = read_frame(cast("BinaryIO", child.stdout), most=MAX_REPLY_BYTES)
            return decode_reply(b"" if frame is None else frame)
        except (WireError, OSError) as error:
            return self._post_mortem(reader, error, timed_out=not timer.is_alive())
        finally:
            timer.cancel()

    def _post_mortem(self, reader: Reader, error: Exception, *, timed_out: bool) -> str:
        code = self._end(reader)
        if timed_out and code == -signal.SIGKILL:
            return f"took longer than {self._wall_seconds:g} s to parse"
        if code == -signal.SIGXCPU:
            return f"took more than {CPU_SECONDS} s of processor time to parse"
        if code is not None and code < 0:
            return f"crashed its parser ({signal.Signals(-code).name})"
        return f"could not be parsed: {error}"

    def _ready(self, reader: Reader) -> subprocess.Popen[bytes]:
        found = self._children.get(reader)
        if found is not None and (found.served >= DOCUMENTS_PER_CHILD or found.process.poll() is not None):
            self._end(reader)
            found = None
        if found is None:
            found = self._children[reader] = _Child(_start(reader))
        found.served += 1
        return found.process

    def _end(self, reader: Reader) -> int | None:
        """End a child; return its exit code, or None when it had to be killed here."""
        child = self._children.pop(reader).process
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            return child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return None


def _start(reader: Reader) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        [sys.executable, "-P", "-m", "pilotage.adapters.parsing.child", reader.value],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        cwd="/",
    )


def child_environment() -> dict[str, str]:
    """Return what the child needs to start: no secret of this process goes along."""
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "SYSTEMROOT", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONDONTWRITEBYTECODE": "1"}
