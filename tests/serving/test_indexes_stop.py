"""The keeper of the indexes always stops when it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pilotage.serving.indexes import Indexes
from pilotage.store.index_build import IndexFolder


@pytest.mark.anyio
async def test_a_wake_up_at_the_moment_of_cancelling_does_not_keep_it_running(engine: Engine, tmp_path: Path) -> None:
    for _ in range(20):
        indexes = Indexes(engine, {}, IndexFolder(root=tmp_path))
        keeper = asyncio.create_task(indexes.run())
        await asyncio.sleep(0.02)
        indexes.wake()
        await asyncio.sleep(0)  # the waiter is done, its task has not run yet
        keeper.cancel()
        done, _ = await asyncio.wait({keeper}, timeout=5)
        assert done == {keeper}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
