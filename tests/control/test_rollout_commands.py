"""What people may do with a rollout, what they may not, and what is then written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import (
    DECIDER,
    OWNER,
    PER_DAY,
    STARTER,
    bank,
    make_world,
    small_plan,
    with_freezes,
    with_plan,
)

from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.decide_rollout import extend_step, release_hold, sign_go
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.rollout_facts import read_facts
from pilotage.control.rollout_preflight import Asked, foreseen_traffic
from pilotage.control.rollout_status import rollout_status
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.roles import Role
from pilotage.rollout.states import State
from pilotage.store.cohorts import History
from pilotage.store.rollouts import StoredRollout, find_rollout
from pilotage.store.routes import read_route
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeGate, RolloutWorld
from pilotage.workspace.plan import Approach, Freeze, Shadow, Step

pytestmark = pytest.mark.store
HOUR = timedelta(hours=1)
SIGNED = small_plan(
    Step(name="canary", weight=0.05, bake_s=3600, max_s=7200, decide=(Role.OPERATIONS_LEAD, Role.BUSINESS_OWNER)),
    Step(name="full", weight=1.0, bake_s=3600),
)


def world_with(engine: Engine, **traffic: Any) -> tuple[RolloutWorld, Digest, Digest]:
    workspace = with_plan(bank(), SIGNED)
    world = make_world(
        engine, workspace, observe=CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0), **traffic)
    )
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, [EAST])
    pass_drills(world, new)
    return world, old, new


def start(world: RolloutWorld, release: Digest, *, who: str = STARTER) -> Started | Refusal:
    request = StartRequest(release=release, space=EAST, per_day=4_800_000, accepted=True)
    return start_rollout(world.instance, world.ports, actor=world.person(who), request=request)


def begun(world: RolloutWorld, release: Digest) -> StoredRollout:
    done = start(world, release)
    assert isinstance(done, Started), done
    assert done.against == ()
    return world.step(done.rollout.id)


def codes(found: object) -> list[str]:
    assert isinstance(found, Refusal), found
    return [reason.code for reason in found.reasons]


def entries(engine: Engine, subject: str) -> list[str]:
    with engine.connect() as connection:
        query = text("SELECT kind FROM ledger_entry WHERE subject = :subject ORDER BY inserted_at")
        return list(connection.scalars(query, {"subject": subject}))


def fraction(world: RolloutWorld) -> int:
    with world.engine.connect() as connection:
        return read_route(connection, EAST, WORKFLOW).fraction_ppm


def test_a_second_start_in_the_space_is_refused(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    begun(world, new)
    assert codes(start(world, world.seal("Third."))) == ["ROLLOUT_ACTIVE"]


def test_an_author_may_not_start_and_nobody_without_the_role(engine: Engine) -> None:
    world, _old, _new = world_with(engine)
    mine = world.seal("By the starter.", author=STARTER)
    assert codes(start(world, mine)) == ["SOD_CONFLICT"]
    assert codes(start(world, mine, who=OWNER)) == ["NOT_PERMITTED"]


@pytest.mark.feature("D12.27")
def test_a_gate_that_does_not_hold_starts_nothing(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    world.ports = replace(world.ports, gate=FakeGate(reasons=(Reason(code="GATE_NOT_MET", text="cab"),)))
    assert codes(start(world, new)) == ["GATE_NOT_MET"]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM rollout")) == 0


@pytest.mark.feature("DL.14")
def test_without_drills_the_start_is_refused_and_that_is_written(engine: Engine) -> None:
    world, _old, _new = world_with(engine)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE drill"))
    done = start(world, world.seal("Undrilled."))
    assert isinstance(done, Started)
    assert done.rollout.state is State.REFUSED
    assert [reason.code for reason in done.against] == ["DRILL_MISSING", "DRILL_MISSING"]
    assert entries(engine, done.rollout.id) == ["rollout.planned", "rollout.refused"]
    assert isinstance(start(world, world.seal("Again.")), Started)


def test_two_thousand_requests_a_day_are_refused_with_five_choices(engine: Engine) -> None:
    world = make_world(engine)
    world.serve(world.seal("Old."))
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=2_000)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    assert done.rollout.state is State.REFUSED
    assert len(done.foresight.ways_out) == 5
    assert "3,387" in " ".join(reason.text for reason in done.against)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"approach": Approach.BLUE_GREEN, "shadow": Shadow(replay_first=False)}, "BLUE_GREEN_UNPROVEN"),
        ({"approach": Approach.BLUE_GREEN}, "NO_CRITICAL_QUESTIONS"),
    ],
)
def test_a_flip_that_nothing_would_prove_is_refused(engine: Engine, changes: dict[str, Any], code: str) -> None:
    world, _old, new = world_with(engine)
    world.workspace = with_plan(bank(), replace(SIGNED, **changes))
    if code == "NO_CRITICAL_QUESTIONS":
        workflow = replace(world.workspace.workflows[WORKFLOW], golden=())
        world.workspace = replace(world.workspace, workflows={**world.workspace.workflows, WORKFLOW: workflow})
    assert codes(start(world, new)) == [code]


def test_a_freeze_stops_the_start_but_never_a_pause_or_an_abort(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    running = begun(world, new)
    window = Freeze(
        name="year-end",
        spaces=(EAST,),
        start="2026-01-01T00:00",
        end="2027-01-01T00:00",
        timezone="America/New_York",
        reason="Year end",
    )
    world.workspace = with_freezes(world.workspace, window)
    paused = pause_rollout(world.instance, actor=world.person(DECIDER), rollout=running.id)
    assert isinstance(paused, StoredRollout)
    refused = resume_rollout(world.instance, world.ports, actor=world.person(DECIDER), rollout=running.id)
    assert codes(refused) == ["FREEZE"]
    aborted = abort_rollout(world.instance, actor=world.person(DECIDER), rollout=running.id)
    assert isinstance(aborted, StoredRollout)
    assert aborted.state is State.ROLLING_BACK
    assert isinstance(done := start(world, world.seal("Frozen.")), Started)
    assert "FREEZE" in [reason.code for reason in done.against]


@pytest.mark.feature("D13.33")
def test_a_pause_with_zero_sends_everybody_back_and_a_resume_restores_the_weight(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    running = begun(world, new)
    assert running.state is State.OBSERVING
    assert fraction(world) == 50_000
    lead = world.person(DECIDER)
    pause_rollout(world.instance, actor=lead, rollout=running.id, zero=True)
    assert fraction(world) == 0
    again = pause_rollout(world.instance, actor=lead, rollout=running.id, zero=True)
    assert isinstance(again, StoredRollout)
    assert entries(engine, running.id).count("rollout.paused") == 1
    resumed = resume_rollout(world.instance, world.ports, actor=lead, rollout=running.id)
    assert isinstance(resumed, StoredRollout)
    assert resumed.state is State.OBSERVING
    assert fraction(world) == 50_000


@pytest.mark.feature("D13.13", "D13.16", "D13.30", "D13.32", "D13.33", "D13.37")
def test_every_named_role_signs_the_verdict_before_traffic_goes_up(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = begun(world, new)
    stored = world.step(stored.id, HOUR)
    assert stored.state is State.DECIDING
    assert codes(sign_go(world.instance, world.ports, actor=world.person(STARTER), rollout=stored.id)) == [
        "NOT_PERMITTED"
    ]
    stale = sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id, verdict="sha256:0")
    assert codes(stale) == ["STALE_VERDICT"]
    first = sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id)
    assert isinstance(first, StoredRollout)
    assert first.state is State.DECIDING
    other_lead = sign_go(world.instance, world.ports, actor=world.person("bruno.silva"), rollout=stored.id)
    assert codes(other_lead) == ["SEAT_DUPLICATE"]
    assert world.step(stored.id).state is State.DECIDING
    second = sign_go(world.instance, world.ports, actor=world.person(OWNER), rollout=stored.id)
    assert isinstance(second, StoredRollout)
    assert second.state is State.ADVANCING
    after = world.step(stored.id)
    assert (after.state, after.place.step, fraction(world)) == (State.OBSERVING, 1, 1_000_000)


def test_a_fixed_verdict_that_is_not_go_is_signed_by_nobody_whatever_the_counts_say_now(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    for outcome, code in (("inconclusive", "NOT_GO"), (None, "NO_VERDICT")):
        with engine.begin() as connection:
            change = "UPDATE rollout SET decision_outcome = %s WHERE id = %s"
            connection.exec_driver_sql(change, (outcome, stored.id))
        assert codes(sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id)) == [code]


def test_a_go_that_no_longer_holds_when_its_wait_is_over_takes_nothing_up(engine: Engine) -> None:
    world, _old, new = world_with(engine, bad=Behaviour(error=0.005))
    traffic = world.ports.observe
    assert isinstance(traffic, CountedTraffic)
    traffic.bad_from = world.clock.now() + 2 * HOUR
    stored = world.step(begun(world, new).id, HOUR)
    window = Freeze(
        name="cut-over", spaces=(EAST,), start="2026-01-01T00:00", end="2027-01-01T00:00", timezone="UTC", reason="x"
    )
    world.workspace = with_freezes(world.workspace, window)
    for name in (DECIDER, OWNER):
        sign_go(world.instance, world.ports, actor=world.person(name), rollout=stored.id)
    waiting = world.step(stored.id)
    assert (waiting.state, [reason.code for reason in waiting.why]) == (State.ADVANCING, ["FREEZE"])
    world.step(stored.id, 6 * HOUR)
    world.workspace = with_freezes(world.workspace)
    after = world.step(stored.id)
    assert (after.state, after.place.step, fraction(world)) == (State.ADVANCING, 0, 50_000)
    assert "STALE_VERDICT" in [reason.code for reason in after.why]


def test_a_clock_that_stepped_back_proves_nothing(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    assert stored.state is State.DECIDING
    world.clock = SimulatedClock(world.clock.now() - HOUR)
    refused = sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id)
    assert codes(refused) == ["STALE_VERDICT"]
    with engine.begin() as connection:
        verdict = read_facts(connection, world.instance, world.ports, stored, world.clock.now()).facts.verdict
    assert verdict is not None
    assert "clock_error" in [reason.code for reason in verdict.reasons]


def test_askers_who_come_again_and_again_are_reckoned_with_their_caps() -> None:
    history = History(days=(50_000,) * 14, principals=(10,) * 14)
    asked = Asked(workflow=WORKFLOW, attempt=1, accepted=False)
    found = foreseen_traffic(small_plan(), asked, {(WORKFLOW, EAST): history})
    assert (found[EAST].per_day, found[EAST].principals) == (50_000.0, 10)


def test_a_signature_counts_only_while_its_role_is_held(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id)
    before = world.workspace
    others = tuple(who for who in before.roster[Role.OPERATIONS_LEAD] if who != DECIDER)
    world.workspace = replace(before, roster={**before.roster, Role.OPERATIONS_LEAD: others})
    second = sign_go(world.instance, world.ports, actor=world.person(OWNER), rollout=stored.id)
    assert isinstance(second, StoredRollout)
    assert second.state is State.DECIDING
    assert world.step(stored.id).state is State.DECIDING


def test_nobody_signs_while_no_verdict_is_fixed(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout SET decision = NULL, decision_outcome = NULL"))
    for name in (DECIDER, "omar.haddad"):
        assert codes(sign_go(world.instance, world.ports, actor=world.person(name), rollout=stored.id)) == [
            "NO_VERDICT"
        ]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT state FROM rollout")) == State.DECIDING.value


def test_an_author_and_a_starter_cannot_decide(engine: Engine) -> None:
    world, _old, _new = world_with(engine)
    mine = world.seal("By the decider.", author=DECIDER)
    pass_drills(world, mine)
    stored = world.step(begun(world, mine).id, HOUR)
    assert codes(sign_go(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id)) == [
        "SOD_CONFLICT"
    ]


def test_a_gate_lost_while_baking_holds_the_rollout_until_it_holds_again(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = begun(world, new)
    gate = FakeGate(reasons=(Reason(code="GATE_EXPIRED", text="cab"),))
    world.ports = replace(world.ports, gate=gate)
    held = world.step(stored.id, HOUR / 2)
    assert held.state is State.HELD
    lead = world.person(DECIDER)
    assert codes(release_hold(world.instance, world.ports, actor=lead, rollout=stored.id, note="renewed")) == [
        "GATE_EXPIRED"
    ]
    gate.reasons = ()
    released = release_hold(world.instance, world.ports, actor=lead, rollout=stored.id, note="renewed")
    assert isinstance(released, StoredRollout)
    assert released.state is State.OBSERVING
    assert fraction(world) == 50_000


@pytest.mark.feature("D12.27")
def test_a_gate_lost_at_the_moment_of_advancing_keeps_the_weight(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    for name in (DECIDER, OWNER):
        sign_go(world.instance, world.ports, actor=world.person(name), rollout=stored.id)
    world.ports = replace(world.ports, gate=FakeGate(reasons=(Reason(code="GATE_EXPIRED", text="cab"),)))
    after = world.step(stored.id)
    assert (after.state, fraction(world)) == (State.ADVANCING, 50_000)


def test_a_go_live_nobody_confirmed_in_time_takes_the_release_back(engine: Engine) -> None:
    world, old, new = world_with(engine)
    stored = begun(world, new)
    late = Reason(code="POST_UNCONFIRMED", text="Nobody confirmed go-live in time.")
    world.ports = replace(world.ports, gate=FakeGate(reasons=(late,)))
    done = world.step(stored.id, HOUR / 2)
    assert done.state in {State.ROLLING_BACK, State.VALIDATING}
    with engine.connect() as connection:
        assert read_route(connection, EAST, WORKFLOW).stable == old
        assert connection.scalar(text("SELECT cause FROM incident")) == "go-live not confirmed"


def test_an_inconclusive_step_can_be_extended_up_to_twice_its_longest_time(engine: Engine) -> None:
    world, _old, new = world_with(engine, principals=20)
    world.ports = replace(world.ports, observe=CountedTraffic(per_day=dict.fromkeys(PER_DAY, 100.0)))
    stored = world.step(begun(world, new).id, 2 * HOUR)
    assert stored.state is State.DECIDING
    lead = world.person(DECIDER)
    assert codes(sign_go(world.instance, world.ports, actor=lead, rollout=stored.id)) == ["NOT_GO"]
    assert codes(extend_step(world.instance, actor=lead, rollout=stored.id, seconds=7201, note="")) == ["PLAN_SEALED"]
    extended = extend_step(world.instance, actor=lead, rollout=stored.id, seconds=3600, note="more traffic")
    assert isinstance(extended, StoredRollout)
    assert world.step(stored.id, HOUR / 2).state is State.OBSERVING
    assert world.step(stored.id, HOUR / 2).state is State.DECIDING


@pytest.mark.feature("D13.16", "D13.33")
def test_an_abort_takes_back_without_incident_and_without_quarantine(engine: Engine) -> None:
    world, old, new = world_with(engine)
    stored = begun(world, new)
    done = abort_rollout(world.instance, actor=world.person(DECIDER), rollout=stored.id, note="changed our mind")
    assert isinstance(done, StoredRollout)
    again = abort_rollout(world.instance, actor=world.person(DECIDER), rollout=stored.id)
    assert isinstance(again, StoredRollout)
    assert entries(engine, stored.id).count("rollout.aborted") == 1
    world.step(stored.id)
    final = world.step(stored.id, timedelta(seconds=61))
    assert final.state is State.ROLLED_BACK
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM incident")) == 0
        assert connection.scalar(text("SELECT count(*) FROM space_quarantine")) == 0
        assert read_route(connection, EAST, WORKFLOW).stable == old


def test_a_planned_rollout_is_cancelled_and_leaves_no_candidate_behind(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    done = start(world, new)
    assert isinstance(done, Started)
    cancelled = abort_rollout(world.instance, actor=world.person(DECIDER), rollout=done.rollout.id)
    assert isinstance(cancelled, StoredRollout)
    assert cancelled.state is State.ABORTED
    with engine.connect() as connection:
        assert read_route(connection, EAST, WORKFLOW).candidate is None
    assert isinstance(start(world, new), Started)


def test_nothing_starts_before_every_live_process_has_loaded_the_candidate(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    done = start(world, new)
    assert isinstance(done, Started)
    world.follow(cut_off=frozenset({"gateway-2"}))
    assert world.look(done.rollout.id).state is State.PLANNED
    assert fraction(world) == 0
    world.follow()
    assert world.look(done.rollout.id).state is State.OBSERVING


def test_a_planned_rollout_that_a_freeze_refuses_leaves_the_space_free(engine: Engine) -> None:
    world, old, new = world_with(engine)
    done = start(world, new)
    assert isinstance(done, Started)
    window = Freeze(
        name="cut-over", spaces=(EAST,), start="2026-01-01T00:00", end="2027-01-01T00:00", timezone="UTC", reason="x"
    )
    world.workspace = with_freezes(world.workspace, window)
    assert world.step(done.rollout.id).state is State.REFUSED
    with engine.connect() as connection:
        route = read_route(connection, EAST, WORKFLOW)
        assert (route.stable, route.candidate, route.rollout) == (old, None, None)
    world.workspace = with_freezes(world.workspace)
    assert begun(world, new).state is State.OBSERVING


def test_a_pause_over_its_limit_takes_the_candidate_out_without_an_incident(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = begun(world, new)
    pause_rollout(world.instance, actor=world.person(DECIDER), rollout=stored.id)
    world.step(stored.id, 25 * HOUR)
    world.step(stored.id, 24 * HOUR)
    with engine.connect() as connection:
        found = find_rollout(connection, stored.id)
    assert found is not None
    assert found.reminded == 2
    done = world.step(stored.id, 24 * HOUR)
    assert done.state in {State.ROLLING_BACK, State.VALIDATING}
    assert done.incident is None


def test_held_guards_stay_fired_until_a_person_decides(engine: Engine) -> None:
    world, _old, new = world_with(engine, candidate=Behaviour(error=0.005))
    held = world.step(begun(world, new).id, HOUR / 2)
    assert held.state is State.HELD
    assert "hold.error" in " ".join(held.latched)


@pytest.mark.feature("D13.2")
def test_the_status_shows_state_weight_verdict_and_numbers(engine: Engine) -> None:
    world, _old, new = world_with(engine)
    stored = world.step(begun(world, new).id, HOUR)
    shown: Any = rollout_status(world.instance, stored.id)
    assert (shown["state"], shown["step"], shown["weight"]) == ("deciding", "canary", "5%")
    assert shown["verdict"]["outcome"] == "go"
    assert shown["observed"]["go.error"]["standing"] == "proved"
    with pytest.raises(NotFound):
        rollout_status(world.instance, "nothing")
