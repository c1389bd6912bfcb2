"""A window counts for neither arm when two persons say so, neither the starter, with an incident (rollouts.md 6.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import STARTER, bank, make_world, observing, small_plan, trouble, with_plan

from pilotage.control.count_observations import count_observations
from pilotage.control.excuse_window import Excused, ExcuseRequest, excuse_window
from pilotage.control.open_incident import open_incident
from pilotage.control.rollout_moves import machine_deed
from pilotage.control.rollout_status import rollout_status
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.incident.records import Severity
from pilotage.rollout.assignment import Arm
from pilotage.rollout.states import State
from pilotage.store.rollouts import attempts_before
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import EAST, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Limits, Step

pytestmark = pytest.mark.store
LIMITS = Limits(error_go=0.05, error_trip=0.5, ungrounded_go=0.05, ungrounded_trip=0.6, policy_go=0.2, policy_trip=0.5)
STEPS = (
    Step(name="canary", weight=0.25, bake_s=24 * 3600, max_s=48 * 3600, limits=LIMITS),
    Step(name="full", weight=1.0, bake_s=3600, limits=LIMITS),
)
OTHER_LATENCIES = (
    replace(STEPS[0], limits=replace(LIMITS, latency_go_ms=500.0, latency_trip_ms=8_000.0)),
    STEPS[1],
)
FIRST, SECOND = "elena.marchetti", "nadia.brooks"
HOUR = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class Held:
    """A rollout whose model was away for an hour, for both arms."""

    world: RolloutWorld
    rollout: str
    traffic: RecordedTraffic
    start: datetime
    end: datetime
    incident: str

    def ask(self, who: str, **changes: Any) -> Excused | Refusal:
        request = ExcuseRequest(start=self.start, end=self.end, incident=self.incident, reason="The model was away.")
        return excuse_window(
            self.world.instance, actor=self.world.person(who), rollout=self.rollout, request=replace(request, **changes)
        )

    def excused(self, who: str, **changes: Any) -> Excused:
        found = self.ask(who, **changes)
        assert isinstance(found, Excused), found
        return found

    def refused(self, who: str, **changes: Any) -> str:
        found = self.ask(who, **changes)
        assert isinstance(found, Refusal), found
        return found.reasons[0].code

    def status(self) -> Any:
        return rollout_status(self.world.instance, self.rollout)

    def kinds(self) -> list[str]:
        query = text("SELECT kind FROM ledger_entry WHERE subject = :id ORDER BY id")
        with self.world.engine.connect() as connection:
            return list(connection.scalars(query, {"id": self.rollout}))


def opened(world: RolloutWorld, space: SpaceName = EAST) -> str:
    made = trouble(space=space, spaces=(space,), cause="model away", severity=Severity.SEV3)
    with world.engine.begin() as connection:
        return open_incident(connection, world.instance, made, machine_deed(world.clock.now())).id


def troubled(engine: Engine, steps: tuple[Step, ...] = STEPS) -> Held:
    world = make_world(engine, with_plan(bank(), small_plan(*steps)), observe=count_observations)
    stored = observing(world)
    traffic = RecordedTraffic(world=world, space=EAST)
    traffic.ask(400)
    world.step(stored.id, HOUR)
    start, incident = world.clock.now(), opened(world)
    traffic.faults = {Arm.CANDIDATE: Faults(ungrounded=0.35), Arm.STABLE: Faults(ungrounded=0.35)}
    traffic.ask(300)
    assert world.step(stored.id, HOUR / 2).state is State.HELD
    traffic.faults = {}
    return Held(world=world, rollout=stored.id, traffic=traffic, start=start, end=start + HOUR / 4, incident=incident)


def test_two_persons_leave_a_window_out_for_both_arms_and_go_takes_more(engine: Engine) -> None:
    it = troubled(engine)
    before = it.status()
    assert before["observed"]["hold.ungrounded"]["standing"] == "fired"
    waits = it.excused(FIRST)
    assert (waits.excuse.second_by, waits.attempt) == (None, 1)
    assert it.excused(FIRST).excuse == waits.excuse, "the same word again is the same answer"
    it.world.step(it.rollout, timedelta(seconds=20))
    assert it.status()["excused"][0]["excused"] is False

    done = it.excused(SECOND)
    removed = done.excuse.removed
    assert done.attempt == 2
    assert removed["candidate"]["failed"]["ungrounded"] > 10
    assert removed["stable"]["failed"]["ungrounded"] > 40
    assert removed["candidate"]["requests"] + removed["stable"]["requests"] == 300
    assert it.kinds().count("rollout.excused") == it.kinds().count("rollout.signed") == 1
    assert it.excused(SECOND).excuse == done.excuse

    it.world.step(it.rollout, timedelta(seconds=20))
    with engine.connect() as connection:
        query = text("SELECT body FROM rollout_verdict WHERE rollout = :id ORDER BY at DESC LIMIT 1")
        verdict = json.loads(bytes(connection.scalar(query, {"id": it.rollout})))
        lines = connection.scalars(text("SELECT text FROM incident_line")).all()
        again = attempts_before(connection, WORKFLOW, EAST)
    assert again == 2, "the next attempt begins where this one stands"
    assert verdict["attempt"] == 2
    assert verdict["subject"]["excused"] == [done.excuse.id]
    assert verdict["tests"]["hold.ungrounded"]["x"] == 0
    assert verdict["tests"]["hold.ungrounded"]["standing"] == "fired", "what fired stays until a person releases it"
    assert verdict["tests"]["trip.ungrounded_late"]["x"] == 0
    assert float(verdict["tests"]["trip.ungrounded_late"]["log_e"]) > 0, "an excuse disarms no trip"
    was = before["observed"]["go.ungrounded"]
    assert verdict["tests"]["go.ungrounded"]["n"] < was["n"]
    assert float(verdict["tests"]["go.ungrounded"]["threshold"]) > float(was["threshold"])
    assert verdict["tests"]["check.sample_ratio"]["n"] == before["observed"]["check.sample_ratio"]["n"]
    assert [line for line in lines if "counts for neither arm" in line]


def test_what_is_recorded_late_of_the_window_does_not_count_either(engine: Engine) -> None:
    it = troubled(engine)
    it.excused(FIRST)
    it.excused(SECOND)
    with engine.begin() as connection:
        newest = text("SELECT max(id) FROM interaction")
        last = connection.scalar(newest)
    it.traffic.faults = {Arm.CANDIDATE: Faults(ungrounded=1.0)}
    it.traffic.ask(50)
    late = text("UPDATE interaction SET at = :at WHERE id > :last")
    with engine.begin() as connection:
        connection.execute(late, {"at": it.start + timedelta(minutes=1), "last": last})
    it.world.step(it.rollout, timedelta(seconds=20))
    shown = it.status()
    assert shown["observed"]["hold.ungrounded"]["x"] == 0
    assert not [one for one in shown["verdict"]["reasons"] if one["code"] == "observation_gap"]


@pytest.mark.parametrize(
    ("who", "code"),
    [(STARTER, "SOD_CONFLICT"), ("maria.chen", "SOD_CONFLICT"), ("dina.kowalski", "NOT_PERMITTED")],
)
def test_starter_author_and_who_may_not_decide_excuse_nothing(engine: Engine, who: str, code: str) -> None:
    it = troubled(engine)
    assert it.refused(who) == code
    it.excused(FIRST)
    assert it.refused(who) == code
    assert it.kinds().count("rollout.excused") == 0


def test_a_word_that_is_old_or_of_other_words_is_no_second(engine: Engine) -> None:
    it = troubled(engine)
    it.excused(FIRST)
    assert it.excused(SECOND, end=it.end + timedelta(minutes=1)).excuse.second_by is None
    it.world.clock.advance(timedelta(days=8))
    late = it.excused(SECOND)
    assert (late.excuse.second_by, late.excuse.first_by) == (None, SECOND)
    assert it.excused(FIRST).excuse.second_by == FIRST
    assert it.refused(FIRST, end=it.end + timedelta(minutes=1)) == "WINDOW", "twice is not taken out"


def test_a_window_needs_a_time_a_space_a_reason_and_an_incident_of_both(engine: Engine) -> None:
    it = troubled(engine)
    for wrong in (
        {"start": it.end, "end": it.start},
        {"start": it.start - timedelta(days=9)},
        {"end": it.world.clock.now() + HOUR},
        {"reason": " "},
    ):
        with pytest.raises(UsageError):
            it.ask(FIRST, **wrong)
    for unknown in ({"incident": "01NONE"}, {"space": "nowhere"}, {"space": WEST}):
        with pytest.raises(NotFound):
            it.ask(FIRST, **unknown)
    assert it.refused(FIRST, incident=opened(it.world, WEST)) == "INCIDENT_ELSEWHERE"
    early = it.start - timedelta(minutes=30)
    assert it.refused(FIRST, start=early, end=early + timedelta(minutes=5)) == "INCIDENT_ELSEWHERE"
    assert not it.status()["excused"]


def test_nothing_is_excused_once_people_decide_or_it_is_taken_back(engine: Engine) -> None:
    it = troubled(engine)
    it.excused(FIRST)
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout SET state = 'deciding'"))
    assert it.refused(SECOND) == "ILLEGAL_TRANSITION"


def test_sums_that_do_not_hold_the_window_are_left_alone(engine: Engine) -> None:
    it = troubled(engine)
    it.excused(FIRST)
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout_principal SET counts = '{}'"))
    assert it.refused(SECOND) == "WINDOW"
    assert it.status()["excused"][0]["excused"] is False


def counted(it: Held) -> tuple[Any, Any, Any]:
    """Return the sums, the askers' books and the newest look's numbers; what was routed by when is no sum."""
    with it.world.engine.connect() as connection:
        totals = dict(
            connection.scalar(text("SELECT totals FROM rollout_wave WHERE rollout = :id"), {"id": it.rollout})
        )
        books = connection.execute(text("SELECT principal, counts FROM rollout_principal ORDER BY principal")).all()
    totals.pop("looks")
    return totals, books, it.status()["observed"]


@pytest.mark.parametrize("steps", [STEPS, OTHER_LATENCIES], ids=["alike", "by other latencies"])
def test_the_records_of_the_ledger_counted_again_give_the_same_bits_excused_windows_left_out(
    engine: Engine, steps: tuple[Step, ...]
) -> None:
    it = troubled(engine, steps)
    it.excused(FIRST)
    it.excused(SECOND)
    it.traffic.ask(200)
    it.world.step(it.rollout, timedelta(seconds=20))
    live = counted(it)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM rollout_principal"))
        again = text("UPDATE rollout_wave SET cursor = counted_from - 1, totals = '{}' WHERE rollout = :id")
        connection.execute(again, {"id": it.rollout})
    it.world.step(it.rollout, timedelta(seconds=20))
    assert counted(it) == live
    assert live[0]["cusums"]


def test_a_window_of_a_step_that_judges_latency_otherwise_than_the_next_is_taken_out_by_both(engine: Engine) -> None:
    it = troubled(engine, OTHER_LATENCIES)
    slow_before = sums(it, "slow@500.0"), sums(it, "slow@2000.0")
    it.excused(FIRST)
    removed = it.excused(SECOND).excuse.removed["candidate"]
    now = sums(it, "slow@500.0"), sums(it, "slow@2000.0")
    for before, after in zip(slow_before, now, strict=True):
        assert after[2] == before[2] - removed["requests"]
    assert now[0][3] > now[1][3] == 0, "what is slow by one limit only is slow in that step only"
    it.world.step(it.rollout, timedelta(seconds=20))
    assert it.status()["observed"]["go.p95"]["x"] == sums(it, "slow@500.0")[1]


def sums(it: Held, name: str) -> list[int]:
    with it.world.engine.connect() as connection:
        totals: Any = connection.scalar(text("SELECT totals FROM rollout_wave WHERE rollout = :id"), {"id": it.rollout})
    found: list[int] = totals["metrics"][name]
    return found
