"""A worker that was started beside `up` ends with it, also when `up` is killed and can tell nobody.

Rule: the starter's process id comes by the environment, so a starter that died before the first look is noticed too.
Fail mode: without the variable the worker stands alone and ends by signals only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

PARENT: Final = "PILOTAGE_STARTED_BY"
_LOOK_S: Final = 1.0


def with_parent(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that shall end with this one."""
    return {**environ, PARENT: str(os.getpid())}


def end_with_parent(
    environ: Mapping[str, str], stop: threading.Event, *, parent: Callable[[], int] = os.getppid
) -> threading.Thread | None:
    """Set `stop` within about a second of the starter's end; None when nobody is named as the starter."""
    given = environ.get(PARENT)
    if given is None:
        return None

    def watch() -> None:
        while not stop.is_set():
            if str(parent()) != given:
                stop.set()
            stop.wait(_LOOK_S)

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
