"""A failover drill: the real checks find the loss, the partner answers drill traffic alone, users stay at home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan

from pilotage.control.drill_failover import drill_failover
from pilotage.control.drill_finish import end_lost_drills
from pilotage.core.reason import Refusal
from pilotage.store.drills import StoredDrill
from pilotage.store.routes import Route, read_route
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, FakeProber, RolloutWorld

pytestmark = pytest.mark.store
SUPPORT = "dina.kowalski"
_REPORT = text(
    "INSERT INTO space_report (process, space, at, failures, successes, reasons)"
    " VALUES (:process, :space, clock_timestamp() + CAST(:later AS interval), 0, 3, '[]')"
    " ON CONFLICT (process, space) DO UPDATE SET at = EXCLUDED.at"
)
_ANSWER = text(
    "INSERT INTO interaction (id, at, space, workflow, arm, release, principal, kind, state, outcome, refused, detail)"
    " VALUES (:id, clock_timestamp(), :space, :workflow, 'stable', :release, 'p_1', 'drill', 'final', 'ok', false,"
    " jsonb_build_object('failover_from', CAST(:home AS text)))"
)


class Killed(BaseException):
    """The process that drills goes away."""


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    made = make_world(engine, with_plan(bank(), small_plan()))
    made.serve(made.seal("Old."))
    made.ports = replace(made.ports, probe=FakeProber(processes=made.processes.names))
    return made


class Running:
    """The processes: they check every 30 s, follow the row, and answer the drill's questions in a space."""

    def __init__(self, world: RolloutWorld, *, answers_in: str | None = WEST) -> None:
        self.world, self.answers_in = world, answers_in
        self.checks = self.answered = 0
        self.served: set[str | None] = set()
        self._report()

    def _report(self) -> None:
        with self.world.engine.begin() as connection:
            for process in self.world.processes.names:
                values = {"process": process, "space": EAST, "later": timedelta(seconds=30 * self.checks)}
                connection.execute(_REPORT, values)
        self.checks += 1

    def __call__(self, _seconds: float) -> None:
        self._report()
        self.world.follow()
        route = route_of(self.world)
        self.served.add(route.stable)
        if route.drill is not None and "failover" in route.drill and self.answers_in is not None:
            self._answer(self.answers_in)

    def _answer(self, space: str) -> None:
        self.answered += 1
        values = {
            "id": f"drill-{self.answered:04d}",
            "space": space,
            "workflow": WORKFLOW,
            "release": route_of(self.world).stable,
            "home": EAST if space != EAST else None,
        }
        with self.world.engine.begin() as connection:
            connection.execute(_ANSWER, values)


def drill(world: RolloutWorld, sleep: Callable[[float], None], *, space: str = EAST) -> StoredDrill | Refusal:
    return drill_failover(
        world.instance, world.ports, actor=world.person(SUPPORT), workflow=WORKFLOW, space=space, sleep=sleep
    )


def route_of(world: RolloutWorld, space: str = EAST) -> Route:
    with world.engine.connect() as connection:
        return read_route(connection, space, WORKFLOW)


def done(found: StoredDrill | Refusal) -> StoredDrill:
    assert isinstance(found, StoredDrill), found
    return found


@pytest.mark.feature("D11.16", "D13.70")
def test_detection_redirect_and_answers_are_measured_while_users_stay(world: RolloutWorld, engine: Engine) -> None:
    home = route_of(world).stable
    running = Running(world)
    found = done(drill(world, running))
    assert found.state == "passed", found.report
    assert (found.kind, found.report["partner"]) == ("failover", WEST)
    assert found.report["seconds_to_detect"] >= 0
    assert set(found.report["processes"]) == set(world.processes.names)
    assert (found.report["wrong_region_answers"], found.report["right_region_answers"] > 0) == (0, True)
    assert running.served == {home}
    route = route_of(world)
    assert (route.stable, route.drill, route.down) == (home, None, False)
    with engine.connect() as connection:
        claims = connection.execute(text("SELECT claims FROM evidence WHERE kind = 'drill.failover'")).scalar_one()
    assert (claims["verified"], claims["wrong_region_answers"]) == (1, 0)
    assert claims["seconds_to_redirect"] < 5


def test_one_check_since_the_loss_detects_nothing(world: RolloutWorld) -> None:
    """Two successive checks of every process must fail; a process that checked once holds the space."""
    running = Running(world)
    seen: list[int] = []

    def sleep(seconds: float) -> None:
        drilled = route_of(world).drill
        if drilled is not None and "failover" not in drilled:
            seen.append(running.checks)
        running(seconds)

    assert done(drill(world, sleep)).state == "passed"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answers_in", "why"), [(EAST, "from another space"), (EU, "from another space"), (None, "no answer")]
)
def test_an_answer_of_another_region_or_none_at_all_fails_it(world: RolloutWorld, answers_in: Any, why: str) -> None:
    found = done(drill(world, Running(world, answers_in=answers_in)))
    assert found.state == "failed"
    assert why in " ".join(found.report["against"])
    assert route_of(world).drill is None


def test_questions_that_the_partner_does_not_pass_fail_it(world: RolloutWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.control.drill_measures.VALID_LIMIT", timedelta())
    world.ports = replace(world.ports, probe=FakeProber(processes=world.processes.names, right_release=False))
    found = done(drill(world, Running(world)))
    assert found.state == "failed"
    assert "not answered rightly" in " ".join(found.report["against"])


def test_the_eu_has_no_partner_outside_and_is_refused(world: RolloutWorld) -> None:
    refused = drill(world, Running(world), space=EU)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["NO_PARTNER"]
    assert route_of(world, EU).drill is None


def test_a_partner_that_is_not_healthy_or_a_space_already_lost_is_refused(world: RolloutWorld, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET state = 'unhealthy' WHERE space = :west"), {"west": WEST})
        connection.execute(text("UPDATE routing SET down = true WHERE space = :east"), {"east": EAST})
    refused = drill(world, Running(world))
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["DRILL_NOT_SERVING", "PARTNER_UNHEALTHY"]


def test_a_drill_that_lost_its_process_leaves_nothing_in_the_row(world: RolloutWorld, engine: Engine) -> None:
    running = Running(world)

    def sleep(seconds: float) -> None:
        running(seconds)
        drilled = route_of(world).drill
        if drilled is not None and "failover" in drilled:
            raise Killed

    with pytest.raises(Killed):
        drill(world, sleep)
    assert route_of(world).drill is None
    with engine.begin() as connection:
        assert connection.execute(text("SELECT state FROM drill")).scalar_one() == "failed"
        connection.execute(text("UPDATE drill SET state = 'running', finished_at = NULL"))
    world.clock.advance(timedelta(minutes=11))
    with engine.begin() as connection:
        assert [one.state for one in end_lost_drills(connection, world.instance)] == ["failed"]
