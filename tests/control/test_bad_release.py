"""A bad release met by recorded traffic: taken out by itself at the 5 % step, with the numbers kept."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, STARTER, bank, make_world, small_plan, with_plan

from pilotage.analysis.counters import Metric
from pilotage.control.count_observations import count_observations
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.rollout_facts import read_facts
from pilotage.control.rollout_status import rollout_status
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.rollout import tally
from pilotage.rollout.assignment import Arm
from pilotage.rollout.states import State
from pilotage.serving.outcome import TrafficKind
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeGate, RolloutWorld
from pilotage.workspace.plan import Limits, Step, Undecidable

pytestmark = pytest.mark.store
QUARTER = timedelta(minutes=15)
DEMO = replace(
    small_plan(
        Step(name="canary", weight=0.05, bake_s=3600, max_s=4 * 3600, limits=Limits(error_go=0.01)),
        Step(name="full", weight=1.0, bake_s=3600, limits=Limits(error_go=0.003)),
    ),
    undecidable=Undecidable.HOLD,
)


def begun(engine: Engine, **candidate: float) -> tuple[RolloutWorld, StoredRollout, RecordedTraffic, str]:
    world = make_world(engine, with_plan(bank(), DEMO), observe=count_observations)
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, [EAST])
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=20_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    assert stored.state is State.OBSERVING
    traffic = RecordedTraffic(world=world, space=EAST, principals=400, faults={Arm.CANDIDATE: Faults(**candidate)})
    return world, stored, traffic, old


def observe(world: RolloutWorld, stored: StoredRollout, traffic: RecordedTraffic, *, rounds: int = 12) -> StoredRollout:
    for _ in range(rounds):
        traffic.ask(400)
        stored = world.step(stored.id, QUARTER)
        if stored.state not in {State.OBSERVING, State.HELD}:
            return stored
    return stored


def counters(world: RolloutWorld, stored: StoredRollout) -> Any:
    with world.engine.begin() as connection:
        seen = read_facts(connection, world.instance, world.ports, stored, world.clock.now())
    assert seen.observed is not None
    return seen.observed.counters


@pytest.mark.feature("D13.16", "DT.1", "DT.2", "DL.1", "RM.4")
@pytest.mark.parametrize("fault", [{"ungrounded": 0.4}, {"error": 0.3}, {"policy": 0.3}, {"slow": 0.5}])
def test_a_bad_release_is_taken_out_by_itself_at_the_first_step(engine: Engine, fault: dict[str, float]) -> None:
    world, stored, traffic, old = begun(engine, **fault)
    done = observe(world, stored, traffic)
    assert done.state in {State.ROLLING_BACK, State.VALIDATING}
    assert done.place.step == 0
    done = world.step(stored.id)
    done = world.step(stored.id, timedelta(seconds=61))
    assert done.state is State.ROLLED_BACK
    assert done.zero_s is not None
    with engine.connect() as connection:
        assert read_route(connection, EAST, WORKFLOW).stable == old
        (severity, cause) = connection.execute(text("SELECT severity, cause FROM incident WHERE freezes")).one()
    assert (severity, cause) == ("SEV2", "statistical trip")
    shown: Any = rollout_status(world.instance, stored.id)
    fired = [
        name for name, test in shown["observed"].items() if test["standing"] == "fired" and name.startswith("trip")
    ]
    assert fired
    assert json.dumps(shown["verdict"]["reasons"]).count("guard_fired") >= 1


def test_a_healthy_release_is_not_taken_out_and_never_go_without_evidence(engine: Engine) -> None:
    world, stored, traffic, _old = begun(engine)
    done = observe(world, stored, traffic, rounds=4)
    assert done.state in {State.OBSERVING, State.DECIDING, State.ADVANCING}
    assert done.place.step == 0 or done.decision is None


def test_no_data_is_never_go(engine: Engine) -> None:
    world, stored, _traffic, _old = begun(engine)
    done = world.step(stored.id, timedelta(hours=3))
    assert done.state is State.OBSERVING
    done = world.step(stored.id, timedelta(hours=1))
    assert done.state is State.DECIDING
    assert done.decision_outcome == "inconclusive"


def test_each_record_counts_once_in_its_arm_and_other_kinds_change_nothing(engine: Engine) -> None:
    world, stored, traffic, _old = begun(engine, error=0.1)
    traffic.ask(600)
    first = counters(world, stored)
    assert first.recorded == traffic.admitted
    assert first.metric(Metric.ERROR).go.n == traffic.admitted
    others = [kind.value for kind in TrafficKind if kind is not TrafficKind.USER]
    with engine.begin() as connection:  # a million clean ones would change no verdict: here are some of each kind
        connection.execute(
            text(
                "INSERT INTO interaction SELECT id || k.place, at, space, workflow, arm, release, corpus,"
                " corpus_version, as_of, principal, k.kind, state, 'ok', code, refused, detail FROM interaction,"
                " unnest(CAST(:kinds AS text[])) WITH ORDINALITY AS k (kind, place)"
            ),
            {"kinds": others},
        )
        written = connection.execute(
            text(
                "INSERT INTO ledger_entry (id, kind, subject, bytes) SELECT left(id, 24) || 'Z' || right(id, 1),"
                " 'interaction.recorded', id, '\\x00' FROM interaction WHERE kind <> 'user'"
            )
        ).rowcount
    assert written == 600 * len(others)
    number_all(world.engine)
    assert counters(world, stored) == first


def test_requests_routed_and_not_recorded_hold_the_rollout(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLED_S", "LOOK_EVERY_S"):  # minutes of the database's clock
        monkeypatch.setattr(tally, name, 0.0)
    world, stored, traffic, _old = begun(engine, lost_record=0.5)
    traffic.ask(800)
    held = world.step(stored.id, QUARTER)
    assert held.state is State.HELD
    assert "observation_gap" in [reason.code for reason in held.why]


def test_who_asked_while_the_weight_was_zero_says_nothing_of_the_router(engine: Engine) -> None:
    world, stored, traffic, _old = begun(engine)
    lead = world.person(DECIDER)
    traffic.ask(40)
    world.step(stored.id, QUARTER)
    before = counters(world, stored).routed[0]
    assert isinstance(pause_rollout(world.instance, actor=lead, rollout=stored.id, zero=True), StoredRollout)
    world.follow()
    traffic.ask(800)
    assert counters(world, stored).routed[0] == before
    resumed = resume_rollout(world.instance, world.ports, actor=lead, rollout=stored.id)
    assert isinstance(resumed, StoredRollout), resumed
    traffic.ask(40)
    assert counters(world, resumed).routed[0].principals > before.principals


@pytest.mark.parametrize(
    ("arm", "change", "lost"),
    [
        ("candidate", "outcome = 'ok'", 0),
        ("candidate", "arm = 'nonsense'", 1),
        ("candidate", "release = 'sha256:other'", 1),
        ("candidate", "arm = 'nonsense', release = 'sha256:other'", 1),
        ("candidate", "detail = detail - 'generation'", 1),
        ("candidate", "detail = jsonb_set(detail, '{t_total}', '-5')", 1),
        ("candidate", "detail = detail - 't_total'", 1),
        ("stable", "arm = 'nonsense'", 1),
        ("stable", "release = 'sha256:other'", 0),
        ("stable", "detail = detail - 'generation'", 0),
    ],
)
def test_a_record_that_cannot_be_counts_as_lost_and_is_shown(engine: Engine, arm: str, change: str, lost: int) -> None:
    world, stored, traffic, _old = begun(engine)
    traffic.ask(400)
    one = "SELECT id FROM interaction WHERE arm = :arm ORDER BY id LIMIT 1"
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE interaction SET {change} WHERE id = ({one})"), {"arm": arm})
    error = counters(world, stored).metric(Metric.ERROR).guard
    went_over = arm == "stable" and lost
    assert (error.n, error.x) == (traffic.admitted + went_over, lost)
    status: Any = rollout_status(world.instance, stored.id)
    assert status["waves"][0]["quarantined"] == (change != "outcome = 'ok'")


def test_nothing_but_the_counts_is_asked_before_a_bad_release_is_taken_out(engine: Engine) -> None:
    world, stored, traffic, old = begun(engine, error=1.0)
    gate = world.ports.gate
    assert isinstance(gate, FakeGate)
    traffic.ask(400)
    world.clock.advance(QUARTER)
    with engine.begin() as connection:
        # Nobody serves and no space is known: neither may delay it.
        connection.execute(text("TRUNCATE route_ack, space_health, hard_look"))
    asked = gate.asked
    done = world.look(stored.id)
    assert gate.asked == asked
    # It commits here: what a rollback looks at next (nobody serves, so traffic is zero) waits for the next look.
    assert done.state is State.ROLLING_BACK
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
    assert (route.stable, route.candidate) == (old, None)
    assert world.look(stored.id).state is State.VALIDATING
