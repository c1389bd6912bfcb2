"""Killed after every statement of a rollback, the next worker ends it: once, with one incident and one page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.rollout.states import State
from pilotage.store.rollouts import find_rollout
from pilotage.testing.kills import lives_past
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld

pytestmark = pytest.mark.store


def observing(engine: Engine) -> tuple[RolloutWorld, str]:
    """Return a rollout whose next look takes its candidate out."""
    bad = Behaviour(error=0.5)
    traffic = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0), candidate=bad, exact=True)
    world = make_world(engine, with_plan(bank(), small_plan()), observe=traffic)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    assert world.step(done.rollout.id).state is State.OBSERVING
    world.clock.advance(timedelta(minutes=15))
    return world, done.rollout.id


def everything(world: RolloutWorld, rollout: str) -> Any:
    """Return what a look may change, but its lease."""
    with world.engine.connect() as connection:
        stored = find_rollout(connection, rollout)
        counts = [
            connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in ("ledger_entry", "outbox", "incident", "incident_line", "space_quarantine", "rollout_verdict")
        ]
        routes = connection.execute(text("SELECT space, generation, stable, candidate FROM routing ORDER BY 1")).all()
    assert stored is not None
    return replace(stored, fence=0), counts, routes


def look_until_it_lives(world: RolloutWorld, rollout: str, *, stride: int) -> int:
    """Look again and again, killed a little later each time, until a look comes to its end; return how many died."""
    before, deaths = everything(world, rollout), 0
    while True:

        def look(engine: Engine, owner: str = f"worker-{deaths}") -> None:
            ports = replace(world.ports, owner=owner)
            with engine.begin() as connection:
                reconcile_rollout(connection, replace(world.instance, engine=engine), ports, rollout)

        if lives_past(1 + deaths * stride, world.engine, look):
            return deaths
        deaths += 1
        assert everything(world, rollout) == before, "a look that died left something behind"


@pytest.mark.feature("DP.6")
@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_after_every_statement_a_rollback_ends_once(engine: Engine, stride: int) -> None:
    world, rollout = observing(engine)
    deaths, states = 0, list[State]()
    while not states or not states[-1].is_over:
        world.follow()
        deaths += look_until_it_lives(world, rollout, stride=stride)
        with engine.begin() as connection:
            connection.execute(text("UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"))
            stored = find_rollout(connection, rollout)
        assert stored is not None
        states.append(stored.state)
        world.clock.advance(timedelta(seconds=30))
    assert states[-1] is State.ROLLED_BACK, states
    assert deaths >= 80 // stride  # it takes about a hundred statements, each of which was the last once
    with engine.connect() as connection:
        kinds = connection.scalars(text("SELECT kind FROM ledger_entry WHERE subject = :id"), {"id": rollout})
        entries = Counter(kinds)
        incidents = connection.scalar(text("SELECT count(*) FROM incident"))
        pages = Counter(connection.scalars(text("SELECT target FROM outbox WHERE payload->>'kind' = 'page'")))
    assert entries == Counter(
        ("rollout.planned", "rollout.started", "rollback.started", "rollback.traffic_zero", "rollback.verified")
    )
    assert incidents == 1
    assert pages
    assert set(pages.values()) == {1}
