"""A rollout that starts in time takes its board's approval along, and one that is rolled back does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import GateWorld, gate_world
from tests.control.rollout_world import STARTER

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import input_of
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.gate.records import Facts
from pilotage.store.releases import named_release
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST

pytestmark = pytest.mark.store


def facts(world: GateWorld, gate: str) -> Facts:
    with world.inner.engine.begin() as connection:
        stored = named_release(connection, world.release)
        chain = open_chain(connection, world.instance, stored, world.inner.clock.now())
        return input_of(chain, gate, space=EAST).facts


def test_the_board_lasts_half_as_long_again_as_the_plan_says_at_most_thirty_days(engine: Engine) -> None:
    world = gate_world(engine)
    inner = world.inner
    inner.serve(inner.seal("Old."), [EAST])
    pass_drills(inner, world.release)
    assert facts(world, "cab").runs_until is None
    request = StartRequest(release=world.release, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(inner.instance, inner.ports, actor=inner.person(STARTER), request=request)
    assert isinstance(done, Started), done
    began, stated = done.rollout.created_at, done.rollout.plan.stated
    assert stated == timedelta(hours=24 + 48 + 12 + 4 + 4 + 4 + 4)
    found = facts(world, "cab")
    assert (found.runs_since, found.runs_until) == (began, began + 1.5 * stated)
    assert facts(world, "code-review").runs_until is None, "no board decides there"
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout SET state = 'rolling_back'"))
    assert facts(world, "cab").runs_until is None
