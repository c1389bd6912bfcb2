"""What tests of workers stand on: an instance on the module's database, with a clock they move."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Engine, text

from pilotage.control.instance import Instance
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def effects(engine: Engine) -> EffectCounter:
    return EffectCounter(engine)


@pytest.fixture
def instance(engine: Engine, clock: SimulatedClock) -> Instance:
    """Workers pass the instance through and use its engine and clock, and its channels when something keeps failing."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE run, outbox, process, procrastinate.procrastinate_jobs CASCADE"))
    made = SimpleNamespace(
        engine=engine,
        clock=clock,
        home=Path("/nonexistent"),
        embedded=False,
        workspace=SimpleNamespace(channels={}, spaces={}),
    )
    return cast(Instance, made)
