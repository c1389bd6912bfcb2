"""A cost cap holds what embedding calls cost too: a run is refused where nobody said their price."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.control.rollout_world import make_world

from pilotage.control.evaluation_budget import unpriced
from pilotage.core.digest import Digest
from pilotage.evaluation.run import Arm, RunKind
from pilotage.release.model import Prices
from pilotage.store.releases import keep_prices
from pilotage.testing.rollouts import WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
OUTSIDE, HERE = "https://vectors.example/v1/embeddings", "http://127.0.0.1:9/v1/embeddings"


def refused(world: RolloutWorld, release: Digest) -> str | None:
    run = SimpleNamespace(kind=RunKind.EVALUATION, workflow=WORKFLOW, arms={Arm.CANDIDATE: release})
    plan: Any = SimpleNamespace(run=run, settings=SimpleNamespace(cost_cap_nano=1, cost_cap_currency="USD"))
    with world.engine.connect() as connection:
        reason = unpriced(world.instance, connection, plan)
    return None if reason is None else reason.text


@pytest.mark.parametrize(
    ("endpoint", "prices", "told"),
    [
        (HERE, None, None),
        (OUTSIDE, None, "has no price in USD"),
        (OUTSIDE, Prices(embedding_nano=20), None),
        (OUTSIDE, Prices(currency="EUR", embedding_nano=20), "has no price in USD"),
    ],
)
def test_a_run_under_a_cap_asks_for_the_price_of_an_embedding_model_outside(
    engine: Engine, endpoint: str, prices: Prices | None, told: str | None
) -> None:
    world = make_world(engine)
    release = world.seal(f"{endpoint} {prices}", embedding={"model": "e", "dimension": 3, "endpoint": endpoint})
    with world.engine.begin() as connection:
        keep_prices(connection, release, prices)
    found = refused(world, release)
    assert (found is None) is (told is None)
    assert told is None or told in (found or "")
