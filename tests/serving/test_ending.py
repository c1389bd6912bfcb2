"""A background task ends, also when a library took its first cancellation for an answer."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.serving.ending import end

pytestmark = pytest.mark.anyio


class Deaf:
    """A loop that goes on after its first cancellations, as a pool does that gets its connection at that moment."""

    def __init__(self, deaf: int) -> None:
        self.deaf = deaf
        self.heard = 0
        self.begun = asyncio.Event()

    async def run(self) -> None:
        while True:
            self.begun.set()
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self.deaf:
                    raise


@pytest.mark.parametrize("deaf", [0, 1, 3])
async def test_a_task_is_cancelled_until_it_has_ended(deaf: int) -> None:
    loops = [Deaf(deaf), Deaf(0)]
    tasks = [asyncio.create_task(one.run()) for one in loops]
    await asyncio.gather(*(one.begun.wait() for one in loops))
    await end(*tasks, again_s=0.01)
    assert [task.cancelled() for task in tasks] == [True, True]
    assert loops[0].heard == deaf + 1
    assert loops[1].heard == 1, "what has ended is left alone"


async def test_what_has_ended_is_no_wait_and_keeps_its_failure() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    await end(task)
    await end()
    assert isinstance(task.exception(), ValueError)
