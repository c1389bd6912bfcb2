"""How a test waits for what happens beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Return as soon as the condition holds; raise TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for offers its state, not an event
            await asyncio.sleep(0.005)
