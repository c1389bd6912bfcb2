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

Say = Callable[[str], None]
READY = "ready"


def kill_after(seconds: float, body: Callable[[Say], None]) -> tuple[str, ...]:
    """Run `body` in a process until it says READY and so many seconds more, kill it, and return its other lines.

    A line counts as said when the call returned: the body says what it would tell a caller, after it is done.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(body, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        first = lines.readline()
        if first == f"{READY}\n":
            time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if first != f"{READY}\n":
            message = "The process ended before it was ready."
            raise ChildProcessError(message)
        return tuple(line.removesuffix("\n") for line in lines if line.endswith("\n"))


def _run(body: Callable[[Say], None], writing: int) -> None:
    """Be the process: never come back into the test."""
    try:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
        body(lambda line: _say(writing, line))
    finally:
        os._exit(1)


def _say(writing: int, line: str) -> None:
    os.write(writing, f"{line}\n".encode())
