"""`kill -9` of a real process at a moment a test draws, and what the process had reported until then.

Rule: the process is forked, so it starts at once and shares nothing with the test but what was set up before; it opens
its own engine. Fail mode: a body that ends or raises before it said it was ready raises ChildProcessError.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from sqlalchemy import Engine, event

from pilotage.store.engine import make_engine, url_of

Say = Callable[[str], None]
READY = "ready"


@dataclass(slots=True)
class Doomed:
    """A process that works until it is killed."""

    pid: int
    lines: TextIO

    @staticmethod
    def start(body: Callable[[Say], None]) -> Doomed:
        """Run `body` in a process; return when it said READY."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _run(body, writing)
        os.close(writing)
        doomed = Doomed(child, os.fdopen(reading, encoding="utf-8"))
        if doomed.lines.readline() != f"{READY}\n":
            doomed.kill()
            message = "The process ended before it was ready."
            raise ChildProcessError(message)
        return doomed

    def kill(self) -> tuple[str, ...]:
        """Kill it with signal 9; return the whole lines it said since it was ready."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        with self.lines as lines:
            return tuple(line.removesuffix("\n") for line in lines if line.endswith("\n"))


def kill_after(seconds: float, body: Callable[[Say], None]) -> tuple[str, ...]:
    """Run `body` in a process, kill it so many seconds after it was ready, and return what it said.

    A line counts as said when the call returned: the body says what it would tell a caller, after it is done.
    """
    doomed = Doomed.start(body)
    time.sleep(seconds)
    return doomed.kill()


def _run(body: Callable[[Say], None], writing: int) -> None:
    """Be the process: never come back into the test."""
    try:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
        body(lambda line: _say(writing, line))
    finally:
        os._exit(1)


def _say(writing: int, line: str) -> None:
    os.write(writing, f"{line}\n".encode())


def lives_past(statement: int, engine: Engine, act: Callable[[Engine], None]) -> bool:
    """Run `act` in a process that dies right after its n-th statement; tell whether it came to its end before.

    `engine` is made new in the process. ChildProcessError when the process fails by itself.
    """
    child = os.fork()
    if child == 0:
        _die_after(statement, engine, act)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status) != 0:
        message = f"The process failed before statement {statement}."
        raise ChildProcessError(message)
    return True


def _die_after(statement: int, engine: Engine, act: Callable[[Engine], None]) -> None:
    try:
        mine = make_engine(url_of(engine))
        left = statement

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(mine, "after_cursor_execute", count)
        act(mine)
        os._exit(0)
    finally:
        os._exit(1)
