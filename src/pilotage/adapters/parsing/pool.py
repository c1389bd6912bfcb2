"""Owns the parsing process: one child reads many documents and is replaced after any failure.

Fail mode: a child that dies, hangs past the wall-clock limit, or answers nonsense means the document is rejected with
that reason; the next one gets a fresh child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from threading import Timer
from types import TracebackType
from typing import BinaryIO, Self, cast

from pilotage.adapters.parsing.blocks import Unreadable
from pilotage.adapters.parsing.child import MAX_INPUT_BYTES, SUFFIX_BYTES
from pilotage.adapters.parsing.formats import PARSERS
from pilotage.adapters.parsing.plain import parse_plain
from pilotage.adapters.parsing.wire import MAX_REPLY_BYTES, WireError, decode_reply, read_frame, write_frame
from pilotage.corpus.connector import ItemUnreadable
from pilotage.corpus.records import ParsedDocument

WALL_SECONDS = 120
DOCUMENTS_PER_CHILD = 1_000
_IN_PROCESS = {".txt": parse_plain}


class ParserPool:
    """Parses documents one after another. A context manager: leaving it ends the child."""

    def __init__(self, *, wall_seconds: float = WALL_SECONDS) -> None:
        self._wall_seconds = wall_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def parse(self, suffix: str, data: bytes) -> ParsedDocument:
        """Return the document; raise ItemUnreadable with the reason. `suffix` is lower case with its dot."""
        if suffix not in PARSERS:
            message = f"has no parser for {suffix or 'a name without suffix'}; known are {', '.join(sorted(PARSERS))}"
            raise ItemUnreadable(message)
        if len(data) > MAX_INPUT_BYTES:
            message = f"is larger than {MAX_INPUT_BYTES >> 20} MiB: {len(data):,} bytes"
            raise ItemUnreadable(message)
        if suffix in _IN_PROCESS:
            try:
                return _IN_PROCESS[suffix](data)
            except Unreadable as refusal:
                raise ItemUnreadable(str(refusal)) from None
        reply = self._ask(suffix, data)
        if isinstance(reply, str):
            raise ItemUnreadable(reply)
        return reply

    def _ask(self, suffix: str, data: bytes) -> ParsedDocument | str:
        child = self._ready()
        timer = Timer(self._wall_seconds, child.kill)
        timer.daemon = True
        timer.start()
        try:
            write_frame(cast("BinaryIO", child.stdin), suffix.encode().ljust(SUFFIX_BYTES, b"\0"), data)
            frame = read_frame(cast("BinaryIO", child.stdout), most=MAX_REPLY_BYTES)
            return decode_reply(b"" if frame is None else frame)
        except (WireError, OSError) as error:
            timed_out = not timer.is_alive()
            return self._post_mortem(error, timed_out=timed_out)
        finally:
            timer.cancel()

    def _post_mortem(self, error: Exception, *, timed_out: bool) -> str:
        child = self._child
        code = self._end()
        if timed_out and code == -signal.SIGKILL:
            return f"took longer than {self._wall_seconds:g} s to parse"
        if code == -signal.SIGXCPU:
            return "took more than 60 s of processor time to parse"
        if child is not None and code is not None and code < 0:
            return f"crashed its parser ({signal.Signals(-code).name})"
        return f"could not be parsed: {error}"

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._child is not None and (self._served >= DOCUMENTS_PER_CHILD or self._child.poll() is not None):
            self._end()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "pilotage.adapters.parsing.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
            )
            self._served = 0
        self._served += 1
        return self._child

    def _end(self) -> int | None:
        """End the child; return its exit code, read before we kill it ourselves."""
        child, self._child = self._child, None
        if child is None:
            return None
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


def _environment() -> dict[str, str]:
    """Return what the child needs to start: no secret of this process goes along."""
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "SYSTEMROOT", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONDONTWRITEBYTECODE": "1"}
