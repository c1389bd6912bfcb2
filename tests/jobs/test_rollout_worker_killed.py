"""`kill -9` of worker, gateway or database connection while a rollout goes up or back: one legal path, told once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from tests.control.rollout_world import PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.instance import Instance
from pilotage.control.rollout_facts import read_facts
from pilotage.control.start_rollout import RUN_KIND, Started, StartRequest, start_rollout
from pilotage.core.errors import PilotageError
from pilotage.jobs.handlers import Registry
from pilotage.jobs.notifications import KIND as MESSAGE
from pilotage.jobs.outbox import OutboxDelivery
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.rollout_reconciler import RolloutStep
from pilotage.rollout.states import State
from pilotage.store.engine import make_engine
from pilotage.store.outbox import Message
from pilotage.store.rollouts import StoredRollout, find_rollout
from pilotage.store.routes import read_route
from pilotage.testing.effects import EffectCounter
from pilotage.testing.kills import READY, Doomed, Say
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import HEALTHY, Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.testing.route_follower import route_follower

pytestmark = pytest.mark.store
BAD = Behaviour(error=0.2)
TICK = timedelta(seconds=1)
PACE = {State.OBSERVING: timedelta(minutes=20), State.WATCHING: timedelta(days=1)}
CUTS_PER_ROLLOUT = 3

_UP = ("started", "verdict", "decided", "step_started", "verdict", "decided", "full", "completed")
WHOLE = Counter(f"rollout.{name}" for name in ("planned", *_UP))
TAKEN_BACK = Counter(
    ("rollout.planned", "rollout.started", "rollback.started", "rollback.traffic_zero", "rollback.verified")
)


@dataclass(slots=True)
class Storm:
    """One rollout under way, with two serving processes and a worker that are killed."""

    world: RolloutWorld
    url: str
    rollout: str
    dice: random.Random
    gateways: dict[str, Doomed] = field(default_factory=dict)
    workers: int = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the serving processes while the block lasts."""
        with ExitStack() as stack:
            for name in self.world.processes.names:
                self.gateways[name] = Doomed.start(self.gateway(name))
            stack.callback(lambda: [one.kill() for one in self.gateways.values()])
            yield

    def gateway(self, name: str) -> Callable[[Say], None]:
        async def serve(say: Say) -> None:
            async with route_follower(self.url, name):
                say(READY)
                await asyncio.Event().wait()

        return lambda say: asyncio.run(serve(say))

    def worker(self) -> Callable[[Say], None]:
        """Return the body of a worker: the real loops' turns, its clock running on with every look."""
        self.workers += 1
        owner = f"worker-{self.workers}"

        def body(say: Say) -> None:
            mine = replace(self.world, engine=make_engine(self.url), ports=replace(self.world.ports, owner=owner))
            registry = registry_of(mine)
            reconciler, outbox = Reconciler(mine.instance, registry), OutboxDelivery(mine.instance, registry)
            say(READY)
            while True:
                try:
                    stored = found(mine, self.rollout)
                    mine.clock.advance(PACE.get(stored.state, TICK))
                    say(mine.clock.now().isoformat())
                    look_well(mine)
                    reconciler.turn()
                    outbox.turn()
                except (SQLAlchemyError, PilotageError, OSError):
                    continue  # as the loops of a worker do: a database that is away does not end them

        return body

    def cut(self, what: str) -> None:
        """Let a worker run and cut something at a random moment; the worker ends a moment later, killed too."""
        worker = Doomed.start(self.worker())
        time.sleep(self.dice.uniform(0.02, 0.8))
        if what == "connection":
            with self.world.engine.begin() as connection:
                connection.execute(_CUT_OFF)
        elif what == "gateway":
            name = self.dice.choice(self.world.processes.names)
            self.gateways[name].kill()
            time.sleep(self.dice.uniform(0, 0.3))
            self.gateways[name] = Doomed.start(self.gateway(name))
        if what != "worker":
            time.sleep(self.dice.uniform(0.02, 0.4))
        said = worker.kill()
        if said:
            self.world.clock.advance(datetime.fromisoformat(said[-1]) - self.world.clock.now())
        with self.world.engine.begin() as connection:
            connection.execute(_LEASES_END)

    def finish(self) -> StoredRollout:
        """Let one worker that nobody kills take it to its end, and every message to its target."""
        registry = registry_of(self.world)
        reconciler = Reconciler(self.world.instance, registry)
        for _ in range(2000):
            stored = found(self.world, self.rollout)
            if stored.state.is_over:
                break
            self.world.clock.advance(PACE.get(stored.state, TICK))
            look_well(self.world)
            reconciler.turn()
        self.world.clock.advance(timedelta(days=1))
        outbox = OutboxDelivery(self.world.instance, registry)
        while outbox.turn():
            pass
        return found(self.world, self.rollout)


# The worker's own sessions and those of gateways; the test's are told apart by their process.
_CUT_OFF = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
# What a dead worker held ends now instead of in ten seconds or a minute.
_LEASES_END = text(
    "WITH ended AS (UPDATE run SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL)"
    " UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"
)


def found(world: RolloutWorld, rollout: str) -> StoredRollout:
    with world.engine.connect() as connection:
        stored = find_rollout(connection, rollout)
    assert stored is not None
    return stored


def look_well(world: RolloutWorld) -> None:
    """Judge the spaces, as a worker's watches do: on a slow machine a verdict would not know their health else."""
    with world.engine.begin() as connection:
        world.processes.look_well(connection)


def registry_of(world: RolloutWorld) -> Registry:
    return Registry(steps={RUN_KIND: RolloutStep(world.ports)}, deliverers={MESSAGE: deliver})


def deliver(instance: Instance, message: Message) -> None:
    """Be a target that knows idempotency keys, as PagerDuty and our own webhooks are."""
    with instance.engine.begin() as connection:
        EffectCounter.write_once(connection, told(message.target, message.payload), message.idempotency_key)


def told(target: str, payload: Any) -> str:
    return f"{target}: {payload['kind']}: {payload['title']}: {payload['text']}"


def begin(engine: Engine, url: str, dice: random.Random, *, candidate: Behaviour) -> Storm:
    per_day = dict.fromkeys(PER_DAY, 4_800_000.0)
    traffic = CountedTraffic(per_day=per_day, candidate=candidate, exact=True)
    world = make_world(engine, with_plan(bank(), small_plan()), observe=traffic)
    world.serve(world.seal("Old."), [EAST])
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE route_ack"))  # the serving processes say themselves what they follow
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    assert done.against == ()
    return Storm(world, url, done.rollout.id, dice)


def entries(connection: Connection, rollout: str) -> list[tuple[str, Any]]:
    rows = connection.execute(text("SELECT kind, bytes FROM ledger_entry WHERE subject = :id"), {"id": rollout})
    return [(kind, json.loads(bytes(body))["data"]) for kind, body in rows]


def standing(storm: Storm, stored: StoredRollout, made: int) -> str:
    """Say where a rollout that did not end stands, and what is known then."""
    with storm.world.engine.begin() as connection:
        facts = read_facts(connection, storm.world.instance, storm.world.ports, stored, storm.world.clock.now()).facts
    said = None if facts.verdict is None else [reason.text for reason in facts.verdict.reasons]
    return f"after {made} cuts {stored.state}: {said}, decided {facts.decision}, gate {facts.gate}, why {stored.why}"


def check(storm: Storm, stored: StoredRollout, *, expected: Counter[str], effects: EffectCounter) -> None:
    """One path of the table from its beginning to its end, every step once, every message once."""
    with storm.world.engine.connect() as connection:
        written = entries(connection, storm.rollout)
        route = read_route(connection, EAST, WORKFLOW)
        steps = list(connection.scalars(text("SELECT step FROM rollout_step ORDER BY started_at")))
        outbox = connection.execute(text("SELECT target, payload, state FROM outbox")).all()
        incidents = connection.scalar(text("SELECT count(*) FROM incident WHERE cause = 'statistical trip'"))
    assert Counter(kind for kind, _ in written) == expected
    moves = Counter((data["from"], data["to"], data["step"]) for _, data in written if "from" in data)
    assert set(moves.values()) == {1}, moves
    is_back = expected == TAKEN_BACK
    assert steps == ([0] if is_back else [0, 1])
    assert incidents == int(is_back)
    assert (route.stable == stored.release, route.candidate, route.fraction_ppm) == (not is_back, None, 0)
    assert {state for _, _, state in outbox} == {"done"}
    messages = Counter(told(target, payload) for target, payload, _ in outbox)
    assert set(messages.values()) == {1}, messages
    assert effects.counts() == dict(messages)


@pytest.mark.feature("D13.8")
@pytest.mark.parametrize("cuts", [6, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.timeout(7200)
def test_a_rollout_cut_at_random_moments_takes_one_legal_path(engine: Engine, database_url: str, cuts: int) -> None:
    dice = random.Random(cuts)
    made = 0
    while made < cuts:
        is_bad = made % (2 * CUTS_PER_ROLLOUT) >= CUTS_PER_ROLLOUT
        storm = begin(engine, database_url, dice, candidate=BAD if is_bad else HEALTHY)
        effects = EffectCounter(engine)
        with storm.serving():
            for _ in range(min(CUTS_PER_ROLLOUT, cuts - made)):
                storm.cut(("worker", "connection", "gateway")[made % 3])
                made += 1
            stored = storm.finish()
        assert stored.state is (State.ROLLED_BACK if is_bad else State.COMPLETED), standing(storm, stored, made)
        check(storm, stored, expected=TAKEN_BACK if is_bad else WHOLE, effects=effects)
