"""How a background task is ended: it is cancelled until it has ended.

Once is not always enough: a wait with a timeout inside a library (`asyncio.wait_for` on Python 3.11, a connection pool
that gets its connection at that moment) takes a cancellation that meets its answer for the answer, and goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

AGAIN_S: Final = 5.0
"""How long a task may need to clean up before it is cancelled once more."""


async def end(*tasks: asyncio.Task[Any], again_s: float = AGAIN_S) -> None:
    """Cancel the tasks and return when all have ended; how each ended is for its owner to read."""
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=again_s)
