"""The shadow arm on a real store: a sampled request leaves one interaction, one pair, its texts and its cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.serving.test_open_serving import KEY, NOW, keyed, opened, routed, sealed
from tests.serving.waiting import until

from pilotage.core.digest import Digest
from pilotage.core.ids import InteractionId, new_ulid
from pilotage.rollout.pairing import Label
from pilotage.serving.context import Asked, Bearer, Peer, Received, Turn
from pilotage.serving.opened import OpenServing
from pilotage.serving.pipeline import Pipeline
from pilotage.store.notify import Channel, notify
from pilotage.store.serving_pairs import PairWriter
from pilotage.testing.serving_path import SPACE, WORKFLOW

pytestmark = [pytest.mark.anyio, pytest.mark.store]


def shadowed(engine: Engine, stable: Digest, candidate: Digest) -> None:
    """Let the row sample everything for a rollout that shadows."""
    values = {"stable": stable, "candidate": candidate, "space": SPACE, "workflow": WORKFLOW, "at": NOW}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO rollout (id, workflow, release, plan, plan_digest, salt, state, state_at, started_by,"
                " created_at) VALUES ('r', :workflow, :candidate, '{}', 'd', 's', 'shadowing', :at, 'p', :at)"
            ),
            values,
        )
        connection.execute(
            text(
                "INSERT INTO rollout_shadow (rollout, label, workflow, space, release, stable, scorer, sample_ppm,"
                " cap_nano, started_at, cursor) VALUES ('r', 'shadow', :workflow, :space, :candidate, :stable,"
                " 'pilotage-support-v1', 1000000, 500, :at, -1)"
            ),
            values,
        )
        connection.execute(
            text(
                "UPDATE routing SET candidate = :candidate, shadow = :candidate, shadow_ppm = 1000000, rollout = 'r',"
                " salt = 's', generation = 2 WHERE space = :space AND workflow = :workflow"
            ),
            values,
        )
        notify(connection, Channel.ROUTING, f"{SPACE}:{WORKFLOW}:2")


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    return found


async def ask(running: OpenServing) -> None:
    received = Received(
        interaction=InteractionId(new_ulid(NOW)),
        at=NOW,
        started=running.serving.monotonic(),
        peer=Peer(address="127.0.0.1"),
        credential=Bearer(token=KEY),
        asked=Asked(workflow=WORKFLOW, messages=(Turn(role="user", text="Errors?"),)),
    )
    await Pipeline(running.serving, on_finished=running.shadow.take).answer(received)


async def test_a_sampled_request_leaves_one_interaction_and_one_pair(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one, two = sealed(engine, "Be brief, shadow."), sealed(engine, "Be kind, shadow.")
    routed(engine, one, generation=1)
    keyed(engine)
    shadowed(engine, one, two)
    async with opened(engine, database_url, tmp_path, has_shadow=True) as running:
        await until(lambda: two in running.routing.current.releases)
        await ask(running)
        await until(lambda: count(engine, "rollout_pair") == 1)
        await until(lambda: count(engine, "interaction") == 1)
        await until(lambda: count(engine, "route_probe") >= 1)
        pairs = PairWriter(running.pool)
        allowance = await pairs.allowance("r", Label.SHADOW, NOW.date())
        assert allowance is not None
        assert (allowance.cap_nano, allowance.spent_nano) == (500, 0)
        with engine.begin() as connection:
            connection.execute(text("UPDATE rollout_shadow SET ended_at = now()"))
        assert await pairs.allowance("r", Label.SHADOW, NOW.date()) is None
    with engine.connect() as connection:
        pair = connection.execute(text("SELECT state, result, is_counted, is_swapped FROM rollout_pair")).one()
        kept = connection.execute(text("SELECT stable, candidate, documents FROM rollout_pair_text")).one()
        record = connection.execute(text("SELECT release, arm, detail->>'shadowed_for' FROM interaction")).one()
    assert tuple(pair) == ("scored", "tie", False, False)
    assert kept.stable == kept.candidate == "Errors are resolved in ten days. [1]"
    assert list(kept.documents) == ["policies/errors"]
    assert tuple(record) == (one, "stable", "r")
    assert count(engine, "outbox") == 0
