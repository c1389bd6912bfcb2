"""Two workers, two humans and a machine verdict racing over one rollout: one outcome, and every loser is told which."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.decide_rollout import sign_go
from pilotage.control.pause_rollout import pause_rollout
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.errors import PilotageError
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Role
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Step

pytestmark = pytest.mark.store
HOUR = timedelta(hours=1)
SUPPORT = "dina.kowalski"
SIGNED = small_plan(
    Step(name="canary", weight=0.05, bake_s=3600, max_s=7200, decide=(Role.OPERATIONS_LEAD,)),
    Step(name="full", weight=1.0, bake_s=3600),
)


@dataclass(slots=True)
class Race:
    """A rollout in `deciding` whose newest traffic is bad: the machine wants it out, people want other things."""

    world: RolloutWorld
    rollout: str
    told: dict[str, object] = field(default_factory=dict)

    def doing(self, who: str) -> Callable[[], object]:
        world, rollout = self.world, self.rollout
        deeds: dict[str, Callable[[], object]] = {
            "worker-1": lambda: self.look("worker-1"),
            "worker-2": lambda: self.look("worker-2"),
            "signs": lambda: sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=rollout),
            "rolls back": lambda: roll_back(
                world.instance,
                actor=world.person(SUPPORT),
                request=RollbackRequest(workflow=WORKFLOW, reason="wrong rates"),
            ),
            "aborts": lambda: abort_rollout(world.instance, actor=world.person(DECIDER), rollout=rollout),
            "pauses": lambda: pause_rollout(world.instance, actor=world.person(DECIDER), rollout=rollout),
        }
        return deeds[who]

    def look(self, owner: str) -> StoredRollout | None:
        ports = replace(self.world.ports, owner=owner)
        with self.world.engine.begin() as connection:
            return reconcile_rollout(connection, self.world.instance, ports, self.rollout)

    def start(self, who: str) -> threading.Thread:
        """Let somebody act in a thread of their own and keep what they are told."""

        def act() -> None:
            try:
                self.told[who] = self.doing(who)()
            except PilotageError as error:
                self.told[who] = error

        thread = threading.Thread(target=act, name=who)
        thread.start()
        return thread


def deciding(engine: Engine) -> Race:
    traffic = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0), bad=Behaviour(error=0.5), exact=True)
    world = make_world(engine, with_plan(bank(), SIGNED), observe=traffic)
    traffic.bad_from = world.clock.now() + HOUR + timedelta(seconds=1)
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    world.step(done.rollout.id)
    assert world.step(done.rollout.id, HOUR).state is State.DECIDING
    world.clock.advance(timedelta(minutes=5))  # bad minutes that nobody has looked at yet
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"))
    return Race(world, done.rollout.id)


def settle(race: Race) -> StoredRollout:
    """Let the machine go on until it is over."""
    with race.world.engine.begin() as connection:
        connection.execute(text("UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"))
    stored = race.world.step(race.rollout)
    for _ in range(5):
        if not stored.state.is_over:
            stored = race.world.step(race.rollout, timedelta(seconds=61))
    return stored


_ENTRIES = text("SELECT kind, subject, bytes FROM ledger_entry WHERE subject IN (SELECT id FROM rollout)")


def check_one_outcome(race: Race) -> None:
    """One release left, once, by one chain of entries; one incident at most; and everybody was told something."""
    stored = settle(race)
    assert stored.state is State.ROLLED_BACK
    with race.world.engine.connect() as connection:
        rows = connection.execute(_ENTRIES).all()
        incidents = connection.scalar(text("SELECT count(*) FROM incident WHERE freezes"))
        rollouts = connection.scalar(text("SELECT count(*) FROM rollout"))
        route = read_route(connection, EAST, WORKFLOW)
    data = [json.loads(bytes(body))["data"] for _, subject, body in rows if subject == race.rollout]
    moves = Counter((one["from"], one["to"]) for one in data if "from" in one)
    assert set(moves.values()) == {1}, moves
    out = [kind for kind, _, _ in rows if kind in {"rollback.started", "rollout.aborted"}]
    assert len(out) == 1, out
    assert incidents == int(out == ["rollback.started"])
    assert rollouts == 1
    assert (route.candidate, route.fraction_ppm) == (None, 0)
    assert route.stable not in {None, stored.release}
    for who, answer in race.told.items():
        explained(who, answer, race.rollout)


def explained(who: str, answer: Any, rollout: str) -> None:
    """A loser gets a reason in words; a winner and who asked for what had happened get the rollout."""
    if isinstance(answer, Refusal):
        assert answer.reasons, who
        assert all(reason.code and reason.text for reason in answer.reasons)
    elif isinstance(answer, PilotageError):
        assert answer.code in {"LEASE_LOST", "ROUTE_MOVED"}, who
    elif isinstance(answer, tuple):
        assert [one.id for one in answer] == [rollout], who
    elif answer is None:
        assert who.startswith("worker"), who
    else:
        assert answer.id == rollout


def test_five_at_once_have_one_outcome(engine: Engine) -> None:
    for _ in range(4):
        race = deciding(engine)
        threads = [race.start(who) for who in ("worker-1", "signs", "rolls back", "worker-2", "aborts")]
        for thread in threads:
            thread.join(60)
        assert len(race.told) == 5
        check_one_outcome(race)


def waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return int(connection.scalar(text(query)) or 0)


@pytest.mark.parametrize("late", ["rolls back", "signs", "aborts", "pauses"])
def test_who_waited_behind_the_machines_verdict_is_told_of_it(engine: Engine, late: str) -> None:
    race = deciding(engine)
    with engine.begin() as connection:
        ports = replace(race.world.ports, owner="worker-1")
        moved = reconcile_rollout(connection, race.world.instance, ports, race.rollout)
        assert moved is not None
        assert moved.state in {State.ROLLING_BACK, State.VALIDATING}
        thread = race.start(late)
        deadline = time.monotonic() + 60
        while not waiting(engine) and time.monotonic() < deadline:
            time.sleep(0.01)
    thread.join(60)
    assert set(race.told) == {late}
    check_one_outcome(race)
