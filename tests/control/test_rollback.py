"""Rollback: at once, to the right release, once, and verified or said to be not."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_freezes, with_plan

from pilotage.control import roll_back as command
from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.declare_hard_event import declare_hard_event
from pilotage.control.follow_rollback import follow_rollback, rollback_json
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.rollout_end import take_back
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.incident.records import HardKind
from pilotage.release.seal import ReleaseState
from pilotage.rollout.states import State
from pilotage.store.releases import set_state
from pilotage.store.rollouts import StoredRollout, find_rollout, overtake, save_rollout, take_fence
from pilotage.store.routes import Route, read_route, write_route
from pilotage.store.runs import LeaseLost
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, FakeGate, FakeProber, RolloutWorld
from pilotage.workspace.plan import Freeze

pytestmark = pytest.mark.store
HOUR = timedelta(hours=1)


def running(engine: Engine, *, spaces: Any = (EAST,), **traffic: Any) -> tuple[RolloutWorld, StoredRollout, Digest]:
    world = make_world(
        engine,
        with_plan(bank(), small_plan()),
        observe=CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0), **traffic),
    )
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, spaces)
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    assert stored.state is State.OBSERVING, done.against
    return world, stored, old


def back(world: RolloutWorld, **fields: Any) -> tuple[StoredRollout, ...]:
    request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", **fields)
    done = roll_back(world.instance, actor=world.person(DECIDER), request=request)
    assert not isinstance(done, Refusal), done
    return done


def route(world: RolloutWorld, space: Any = EAST) -> Route:
    with world.engine.connect() as connection:
        return read_route(connection, space, WORKFLOW)


def count(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


@pytest.mark.feature("DP.3", "DP.4", "DP.6", "DP.7")
def test_a_person_takes_a_release_out_at_once_without_approval(engine: Engine) -> None:
    world, stored, old = running(engine)
    (moved,) = back(world)
    assert (moved.id, moved.state, moved.target) == (stored.id, State.ROLLING_BACK, old)
    assert (route(world).stable, route(world).candidate, route(world).fraction_ppm) == (old, None, 0)
    assert count(engine, "SELECT count(*) FROM incident WHERE freezes AND severity = 'SEV2'") == 1
    assert count(engine, "SELECT count(*) FROM outbox WHERE payload->>'kind' = 'page'") >= 1
    assert count(engine, "SELECT count(*) FROM outbox WHERE payload->'audience' ? 'stakeholders'") == 1


@pytest.mark.feature("DP.10")
def test_it_is_verified_only_after_a_quiet_minute_with_right_answers_everywhere(engine: Engine) -> None:
    world, stored, _old = running(engine)
    back(world)
    assert world.step(stored.id).state is State.VALIDATING
    early = world.step(stored.id, timedelta(seconds=59))
    assert early.state is State.VALIDATING
    done = world.step(stored.id, timedelta(seconds=1))
    assert done.state is State.ROLLED_BACK
    assert done.zero_s == 0.0


@pytest.mark.feature("DP.10", "DP.11")
@pytest.mark.parametrize(
    "prober",
    [
        FakeProber(processes=("gateway-1", "gateway-2"), passed=False),
        FakeProber(processes=("gateway-1", "gateway-2"), right_release=False),
        FakeProber(processes=("gateway-1",)),
    ],
)
def test_a_rollback_that_is_not_proven_fails_and_pages(engine: Engine, prober: FakeProber) -> None:
    world, stored, _old = running(engine)
    world.ports = replace(world.ports, probe=prober)
    back(world)
    world.step(stored.id)
    done = world.step(stored.id, timedelta(seconds=121))
    assert done.state is State.ROLLBACK_FAILED
    assert count(engine, "SELECT count(*) FROM incident WHERE severity = 'SEV1' AND cause = 'rollback failed'") == 1


@pytest.mark.feature("DP.12")
@pytest.mark.parametrize(
    "health",
    ["UPDATE space_health SET state = 'unhealthy'", "UPDATE space_health SET state = 'unknown'",
     "UPDATE space_health SET checked_at = clock_timestamp() - interval '66 s'", "DELETE FROM space_health"],
    ids=["unhealthy", "unknown", "old", "never judged"],
)  # fmt: skip
def test_a_space_that_is_not_known_to_be_healthy_verifies_nothing(engine: Engine, health: str) -> None:
    world, stored, _old = running(engine)
    back(world)
    world.step(stored.id)
    world.clock.advance(timedelta(seconds=61))
    world.follow()
    with engine.begin() as connection:
        connection.execute(text(health))
    assert world.look(stored.id).state is State.VALIDATING
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM space_health"))
    assert world.step(stored.id).state is State.ROLLED_BACK


@pytest.mark.parametrize(("failures", "is_verified"), [(0, True), (2, False)])
def test_without_a_worker_the_command_that_follows_it_judges_the_health(
    engine: Engine, failures: int, *, is_verified: bool
) -> None:
    world, stored, _old = running(engine)
    back(world)
    report = text(
        "INSERT INTO space_report (process, space, at, failures, successes, reasons)"
        " VALUES ('gateway-1', :space, clock_timestamp(), :failures, :successes, '[]')"
    )
    with engine.begin() as connection:
        values = {"space": EAST, "failures": failures, "successes": 0 if failures else 3}
        connection.execute(report, values)
        connection.execute(text("DELETE FROM space_health"))

    def sleep(_seconds: float) -> None:
        world.clock.advance(timedelta(seconds=20))
        with engine.begin() as connection:
            query = "UPDATE route_ack AS a SET at = clock_timestamp(), generation = r.generation FROM routing AS r"
            connection.execute(text(f"{query} WHERE (a.space, a.workflow) = (r.space, r.workflow)"))

    found = follow_rollback(world.instance, world.ports, stored.id, wait=timedelta(seconds=200), sleep=sleep)
    assert found.state is (State.ROLLED_BACK if is_verified else State.ROLLBACK_FAILED)


def test_a_process_that_neither_acknowledges_nor_is_silent_keeps_it_from_zero(engine: Engine) -> None:
    world, stored, _old = running(engine)
    back(world)
    with engine.begin() as connection:  # gateway-2 goes on confirming the old generation
        connection.execute(text("UPDATE route_ack SET at = clock_timestamp()"))
    world.follow(cut_off=frozenset({"gateway-2"}))
    assert world.look(stored.id).state is State.ROLLING_BACK
    with engine.begin() as connection:  # silent for more than 3 s, but it may have read the old row until the flip
        connection.execute(
            text("UPDATE route_ack SET at = clock_timestamp() - interval '4 s' WHERE process = 'gateway-2'")
        )
        connection.execute(text("UPDATE routing SET written_at = clock_timestamp() + interval '1 h'"))
    assert world.look(stored.id).state is State.ROLLING_BACK
    with engine.begin() as connection:  # more than 3 s after the flip too: it has fenced itself
        connection.execute(text("UPDATE routing SET written_at = clock_timestamp() - interval '4 s'"))
    assert world.look(stored.id).state is State.VALIDATING


def test_traffic_that_is_not_zero_after_thirty_seconds_pages_once(engine: Engine) -> None:
    world, stored, _old = running(engine)
    back(world)
    query = "SELECT count(*) FROM outbox WHERE payload->>'title' LIKE '%rollback is slow'"

    def looked(by: timedelta) -> int:
        world.clock.advance(by)
        with engine.begin() as connection:
            connection.execute(text("UPDATE route_ack SET at = clock_timestamp()"))
        assert world.look(stored.id).state is State.ROLLING_BACK
        return count(engine, query)

    assert looked(timedelta(seconds=29)) == 0
    assert looked(timedelta(seconds=1)) > 0
    assert looked(timedelta(seconds=60)) == looked(timedelta(seconds=60))


def test_a_row_says_on_the_databases_clock_when_its_flip_ended(engine: Engine) -> None:
    """Nobody reads it before: silence is measured from there, whatever the clock of the one who flipped says."""
    world, _stored, _old = running(engine)
    now, dated = text("SELECT clock_timestamp()"), text("SELECT written_at FROM routing WHERE space = :east")
    with engine.begin() as connection:
        connection.execute(text("UPDATE routing SET written_at = clock_timestamp() - interval '1 h'"))
    with engine.begin() as connection:
        seen = read_route(connection, EAST, WORKFLOW, lock=True)
        wanted = seen.without_candidate(stable=seen.stable, closed=None)
        assert write_route(connection, seen, wanted, fence=seen.fence, at=world.clock.now()) is not None
        before_the_end = connection.execute(now).scalar_one()
    with engine.connect() as connection:
        written = connection.execute(dated, {"east": EAST}).scalar_one()
        assert before_the_end <= written <= connection.execute(now).scalar_one()


@pytest.mark.feature("DP.2")
@pytest.mark.parametrize("who", ["a person", "the machine"])
def test_no_freeze_holds_a_rollback_up(engine: Engine, who: str) -> None:
    bad = {"candidate": Behaviour(error=0.5)} if who == "the machine" else {}
    world, stored, old = running(engine, **bad)
    world.workspace = with_freezes(
        world.workspace,
        Freeze(
            name="year-end",
            spaces=(EAST,),
            start="2026-01-01T00:00",
            end="2027-01-01T00:00",
            timezone="UTC",
            reason="Year end",
        ),
    )
    if who == "a person":
        back(world)
        moved = world.step(stored.id)
    else:
        moved = world.step(stored.id, HOUR / 4)
    assert moved.state in {State.ROLLING_BACK, State.VALIDATING}
    assert (route(world).stable, route(world).candidate, route(world).fraction_ppm) == (old, None, 0)
    world.step(stored.id)
    assert world.step(stored.id, timedelta(seconds=61)).state is State.ROLLED_BACK
    # The incident froze the workflow as well, and the next release to go leaves all the same.
    world.clock.advance(HOUR)
    world.serve(world.seal("Newer."), [EAST])
    (again,) = back(world, space=EAST)
    assert (again.target, route(world).stable) == (old, old)


def test_twice_at_once_is_one_rollback(engine: Engine) -> None:
    world, stored, _old = running(engine)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(back(world))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one.id for (one,) in found] == [stored.id, stored.id]
    query = "SELECT count(*) FROM ledger_entry WHERE kind = 'rollback.started' AND subject = '{}'"
    assert count(engine, query.format(stored.id)) == 1
    assert count(engine, "SELECT count(*) FROM incident") == 1


def test_a_stable_release_goes_back_to_the_one_before_without_any_rollout(engine: Engine) -> None:
    world = make_world(engine)
    first, second = world.seal("First."), world.seal("Second.")
    world.serve(first, [EAST])
    world.clock.advance(HOUR)
    world.serve(second, [EAST])
    (moved,) = back(world, space=EAST)
    assert (moved.release, moved.target, route(world).stable) == (second, first, first)
    world.step(moved.id)
    assert world.step(moved.id, timedelta(seconds=61)).state is State.ROLLED_BACK


@pytest.mark.feature("DP.4")
def test_withdrawn_releases_are_passed_over_and_none_left_closes_the_door(engine: Engine) -> None:
    world = make_world(engine)
    releases = [world.seal(f"Number {number}.") for number in range(3)]
    for release in releases:
        world.serve(release, [EAST])
        world.clock.advance(HOUR)
    with engine.begin() as connection:
        set_state(connection, releases[1], ReleaseState.REVOKED, note="x")
    (moved,) = back(world, space=EAST)
    assert moved.target == releases[0]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM rollout_signature"))
        set_state(connection, releases[0], ReleaseState.REVOKED, note="x")
        connection.execute(text("UPDATE rollout_wave SET state = 'rolled_back'"))
        connection.execute(text("UPDATE rollout SET state = 'rolled_back'"))
    (closed,) = back(world, space=EAST)
    assert closed.target is None
    assert (route(world).stable, route(world).closed) == (None, "maintenance")
    assert count(engine, "SELECT count(*) FROM incident WHERE severity = 'SEV1'") == 1


def test_what_was_rolled_back_here_or_never_served_here_is_no_target(engine: Engine) -> None:
    world = make_world(engine)
    first, bad, elsewhere, newest = (world.seal(f"{name}.") for name in ("First", "Bad", "Elsewhere", "Newest"))
    world.seal("Sealed, and authorised nowhere.")
    world.serve(first, [EAST])
    world.clock.advance(HOUR)
    world.serve(bad, [EAST])
    (moved,) = back(world, space=EAST)
    world.step(moved.id)
    assert world.step(moved.id, timedelta(seconds=61)).state is State.ROLLED_BACK
    world.clock.advance(HOUR)
    world.serve(elsewhere, [EU])
    world.serve(newest, [EAST])
    (again,) = back(world, space=EAST)
    assert (again.release, again.target, route(world).stable) == (newest, first, first)


def test_a_named_target_is_one_that_was_authorised_here_or_nothing_moves(engine: Engine) -> None:
    world = make_world(engine)
    older, revoked, last, newest = (world.seal(f"{name}.") for name in ("Older", "Revoked", "Last", "Newest"))
    stranger = world.seal("Sealed, and authorised nowhere.")
    for release in (older, revoked, last, newest):
        world.serve(release, [EAST])
        world.clock.advance(HOUR)
    with engine.begin() as connection:
        set_state(connection, revoked, ReleaseState.REVOKED, note="x")

    def named(target: Digest) -> object:
        request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", space=EAST, to=target)
        return roll_back(world.instance, actor=world.person(DECIDER), request=request)

    before = (route(world), count(engine, "SELECT count(*) FROM ledger_entry"))
    for target in (revoked, stranger, newest):
        done = named(target)
        assert isinstance(done, Refusal)
        assert {one.code for one in done.reasons} == {"ROLLBACK_TARGET"}
    assert (route(world), count(engine, "SELECT count(*) FROM ledger_entry")) == before
    (moved,) = back(world, space=EAST, to=older)
    assert (moved.target, route(world).stable) == (older, older)


@pytest.mark.parametrize("to", ["older", "maintenance"])
def test_a_failed_rollback_goes_to_another_authorised_target_or_closes_the_door(engine: Engine, to: str) -> None:
    world = make_world(engine)
    older, last, newest = (world.seal(f"{name}.") for name in ("Older", "Last", "Newest"))
    for release in (older, last, newest):
        world.serve(release, [EAST])
        world.clock.advance(HOUR)
    prober = FakeProber(processes=world.processes.names, passed=False)
    world.ports = replace(world.ports, probe=prober)
    (moved,) = back(world, space=EAST)
    target = older if to == "older" else to
    refused = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", space=EAST, to=target)
    running_still = roll_back(world.instance, actor=world.person(DECIDER), request=refused)
    assert isinstance(running_still, Refusal)
    assert [one.code for one in running_still.reasons] == ["ROLLBACK_TARGET"]
    world.step(moved.id)
    assert world.step(moved.id, timedelta(seconds=121)).state is State.ROLLBACK_FAILED
    never = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", space=EAST, to=newest)
    assert isinstance(roll_back(world.instance, actor=world.person(DECIDER), request=never), Refusal)
    assert route(world).stable == last
    (again,) = back(world, space=EAST, to=target)
    prober.passed = to == "older"  # nobody is asked behind a closed door
    expected = (older, None) if to == "older" else (None, "maintenance")
    assert (again.state, again.target, (route(world).stable, route(world).closed)) == (
        State.VALIDATING,
        expected[0],
        expected,
    )
    assert world.step(moved.id).state is State.VALIDATING
    assert world.step(moved.id, timedelta(seconds=61)).state is State.ROLLED_BACK


def test_an_abort_that_closes_the_door_is_a_sev1(engine: Engine) -> None:
    world, stored, old = running(engine)
    with engine.begin() as connection:
        set_state(connection, old, ReleaseState.REVOKED, note="x")
    abort_rollout(world.instance, actor=world.person(DECIDER), rollout=stored.id)
    assert route(world).closed == "maintenance"
    assert count(engine, "SELECT count(*) FROM incident WHERE severity = 'SEV1'") == 1


def test_a_rollback_into_a_space_that_is_ill_is_not_verified(engine: Engine) -> None:
    world, stored, _old = running(engine)
    back(world)
    world.step(stored.id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET state = 'unhealthy'"))
    after = world.step(stored.id, timedelta(seconds=61))
    assert after.state is State.VALIDATING
    with engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET state = 'healthy'"))
    assert world.step(stored.id).state is State.ROLLED_BACK


def test_a_first_release_goes_back_to_not_released(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), small_plan()))
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started)
    stored = world.step(done.rollout.id)
    assert stored.state is State.OBSERVING
    back(world)
    assert route(world).closed == "not_released"
    world.step(stored.id)
    assert world.step(stored.id, timedelta(seconds=61)).state is State.ROLLED_BACK


def test_a_trip_quarantines_the_release_in_its_space(engine: Engine) -> None:
    world, stored, _old = running(engine, candidate=Behaviour(ungrounded=0.2))
    done = world.step(stored.id, HOUR / 4)
    assert done.state in {State.ROLLING_BACK, State.VALIDATING}
    assert done.incident is not None
    request = StartRequest(release=stored.release, space=EAST, per_day=4_800_000, accepted=True)
    again = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(again, Refusal)
    assert "RELEASE_QUARANTINED" in [reason.code for reason in again.reasons]


def test_what_was_rolled_back_in_one_space_goes_up_in_none(engine: Engine) -> None:
    world, stored, _old = running(engine, spaces=(EAST, EU))
    with engine.begin() as connection:  # as if it had been rolled back in the EU meanwhile
        query = "INSERT INTO space_quarantine (space, workflow, release, reason, at) VALUES (:s, :w, :r, 'x', now())"
        connection.execute(text(query), {"s": EU, "w": WORKFLOW, "r": stored.release})
    held = world.step(stored.id, HOUR / 4)
    assert (held.state, [one.code for one in held.why][:1]) == (State.HELD, ["RELEASE_QUARANTINED"])
    other = world.seal("Rolled back in the west.")
    with engine.begin() as connection:
        connection.execute(text(query), {"s": WEST, "w": WORKFLOW, "r": other})
    request = StartRequest(release=other, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Refusal)
    assert "RELEASE_QUARANTINED" in {one.code for one in done.reasons}


@pytest.mark.feature("DT.3")
def test_a_hard_event_takes_the_release_out_of_every_space(engine: Engine) -> None:
    world, stored, old = running(engine, spaces=(EAST, EU))
    world.serve(stored.release, [EU])
    security, nobody = world.person("tomas.berg"), world.person(DECIDER)
    refused = declare_hard_event(
        world.instance, actor=nobody, kind=HardKind.SECURITY_BREACH, workflow=WORKFLOW, reason="leak"
    )
    assert isinstance(refused, Refusal)
    done = declare_hard_event(
        world.instance, actor=security, kind=HardKind.SECURITY_BREACH, workflow=WORKFLOW, reason="leak"
    )
    assert not isinstance(done, Refusal)
    assert {space for one in done for space in one.flipped} == {EAST, EU}
    assert route(world).stable == route(world, EU).stable == old
    assert count(engine, "SELECT count(*) FROM incident WHERE severity = 'SEV1'") == 2


@pytest.mark.parametrize("has_to_go", [None, "hard", "release"])
def test_a_space_that_refuses_keeps_the_others_too_unless_the_release_has_to_go(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, has_to_go: str | None
) -> None:
    world = make_world(engine)
    old, new = world.seal("Old."), world.seal("New.")
    for release in (old, new):
        world.serve(release, [EAST, EU])
        world.clock.advance(HOUR)
    order = [space for space in world.workspace.spaces if space in {EAST, EU}]

    def refusing(connection: Any, instance: Any, stored: StoredRollout, ending: Any, deed: Any) -> Any:
        done = take_back(connection, instance, stored, ending, deed)  # what it wrote by then is not to stay
        return Refusal(reasons=(Reason(code="NO", text="No."),)) if stored.space == order[1] else done

    monkeypatch.setattr(command, "take_back", refusing)
    before = count(engine, "SELECT count(*) FROM ledger_entry")
    why: dict[str | None, Any] = {"hard": {"hard": HardKind.SECURITY_BREACH}, "release": {"release": new}}
    request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", **why.get(has_to_go, {}))
    done = roll_back(world.instance, actor=world.person(DECIDER), request=request)
    assert isinstance(done, Refusal)
    served = [route(world, space).stable for space in order]
    rollouts = count(engine, "SELECT count(*) FROM rollout")
    if has_to_go is None:
        assert [reason.code for reason in done.reasons] == ["NO"]
        assert (served, rollouts, count(engine, "SELECT count(*) FROM ledger_entry")) == ([new, new], 0, before)
        return
    assert [reason.code for reason in done.reasons] == ["ROLLED_BACK_IN_PART", "NO"]
    assert f"left {order[0]}, and not {order[1]}." in done.reasons[0].text
    assert (served, rollouts) == ([old, new], 1)


def test_two_starts_at_once_give_one_rollout(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), small_plan()))
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, [EAST])
    pass_drills(world, new)
    found: list[Any] = []

    def begin() -> None:
        request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
        found.append(start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(isinstance(one, Started) for one in found) == 1
    assert {one.reasons[0].code for one in found if isinstance(one, Refusal)} == {"ROLLOUT_ACTIVE"}


def test_an_overtaken_writer_changes_nothing(engine: Engine) -> None:
    world, stored, _old = running(engine)
    before = route(world)
    with engine.begin() as connection:
        token = take_fence(connection, stored.id, world.ports.owner)
        mine = find_rollout(connection, stored.id)
    assert mine is not None
    with engine.begin() as connection:
        newer = overtake(connection, stored.id)
        assert newer is not None
        seen = read_route(connection, EAST, WORKFLOW, lock=True)
        assert write_route(connection, seen, replace(seen, fraction_ppm=0), fence=newer, at=world.clock.now())
    with pytest.raises(LeaseLost), engine.begin() as connection:
        save_rollout(connection, replace(mine, state=State.HELD))
    with engine.begin() as connection:
        assert token is not None
        now = read_route(connection, EAST, WORKFLOW, lock=True)
        assert write_route(connection, before, before, fence=token, at=world.clock.now()) is None
        assert write_route(connection, now, replace(now, fraction_ppm=9), fence=token, at=world.clock.now()) is None
    assert route(world).fraction_ppm == 0


def test_a_second_reconciler_waits_while_the_lease_lasts(engine: Engine) -> None:
    world, stored, _old = running(engine)
    with engine.begin() as connection:
        other = replace(world.ports, owner="worker-2")
        assert reconcile_rollout(connection, world.instance, other, stored.id) is None
        connection.execute(text("UPDATE rollout SET lease_until = clock_timestamp() - interval '1 s'"))
        assert reconcile_rollout(connection, world.instance, other, stored.id) is not None


def test_a_failed_rollback_is_validated_again_by_the_same_command(engine: Engine) -> None:
    world, stored, _old = running(engine)
    prober = FakeProber(processes=world.processes.names, passed=False)
    world.ports = replace(world.ports, probe=prober)
    back(world)
    world.step(stored.id)
    assert world.step(stored.id, timedelta(seconds=121)).state is State.ROLLBACK_FAILED
    prober.passed = True
    (again,) = back(world)
    assert (again.id, again.state) == (stored.id, State.VALIDATING)
    assert world.step(stored.id).state is State.ROLLED_BACK


def test_expired_approvals_of_the_target_warn_and_block_nothing(engine: Engine) -> None:
    world, stored, old = running(engine)
    expired = Reason(code="GATE_NOT_MET", text="Gate cab is expired.", where="cab")
    gate = FakeGate(reasons=(expired,))
    world = replace(world, ports=replace(world.ports, gate=gate))
    back(world)
    assert gate.asked == 0, "nothing is asked before nobody meets the release any more"
    there = world.step(stored.id, timedelta(seconds=2))
    assert there.state is State.VALIDATING
    assert [(one.code, one.where, one.observed) for one in there.why] == [("TARGET_NOT_APPROVED", EAST, old)]
    assert "whose approvals no longer hold: Gate cab is expired." in there.why[0].text
    done = world.step(stored.id, timedelta(seconds=70))
    assert done.state is State.ROLLED_BACK
    assert rollback_json(done)["why"] == [dict(there.why[0].as_json())]
    assert count(engine, "SELECT count(*) FROM incident_line WHERE text LIKE '%no longer hold%'") == 1
    told = "SELECT count(*) FROM outbox WHERE payload->>'text' LIKE '%no longer hold%'"
    assert count(engine, told) > 0


def test_gates_of_the_target_that_cannot_be_evaluated_warn_too(engine: Engine) -> None:
    world, stored, _ = running(engine)

    def broken(*_: object, **__: object) -> tuple[Reason, ...]:
        raise NotFound("GATE_UNKNOWN", "There is no gate.")

    world = replace(world, ports=replace(world.ports, gate=broken))
    back(world)
    there = world.step(stored.id, timedelta(seconds=2))
    assert (there.state, there.why[0].code) == (State.VALIDATING, "TARGET_NOT_APPROVED")
    assert "cannot be evaluated" in there.why[0].text
