"""Shadow before the first user (rollouts.md 9): GO moves to the first step, everything else waits for a person."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_freezes, with_plan

from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.erase_pair_texts import erase_pair_texts
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.rollout_status import rollout_status
from pilotage.control.shadow_phases import SETTLE, cap_of
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.reason import Refusal
from pilotage.evaluation.pair_scorer import SupportScorer
from pilotage.rollout.pairing import Label, Result
from pilotage.rollout.states import State
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import Route, read_route
from pilotage.store.serving_pairs import PairRow, allowance_of, settle_pair
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_records import RecordedTraffic
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProber, RolloutWorld
from pilotage.workspace.plan import Freeze, Shadow
from pilotage.workspace.workflow import RiskTier

pytestmark = pytest.mark.store
DAY = timedelta(hours=24)
SHADOW = Shadow(enabled=True, sample=1.0, replay_first=False)
PLAN = replace(small_plan(), shadow=SHADOW)


class Shadowing:
    """A rollout that shadows, its traffic, and the pairs that the processes would write."""

    def __init__(self, engine: Engine, *, shadow: Shadow = SHADOW, release: str = "New.") -> None:
        workspace = with_plan(bank(), replace(PLAN, shadow=shadow))
        observe = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0))
        self.world: RolloutWorld = make_world(engine, workspace, observe=observe)
        self.old, self.new = self.world.seal("Old."), self.world.seal(release)
        self.world.serve(self.old, [EAST])
        pass_drills(self.world, self.new)
        self.traffic = RecordedTraffic(world=self.world, space=EAST)
        self.rollout = self.start()

    def start(self) -> StoredRollout:
        request = StartRequest(release=self.new, space=EAST, per_day=4_800_000, accepted=True)
        done = start_rollout(self.world.instance, self.world.ports, actor=self.world.person(STARTER), request=request)
        assert isinstance(done, Started), done
        assert done.against == ()
        return self.world.step(done.rollout.id)

    def look(self, by: timedelta = timedelta()) -> StoredRollout:
        number_all(self.world.engine)
        self.rollout = self.world.step(self.rollout.id, by)
        return self.rollout

    @property
    def route(self) -> Route:
        with self.world.engine.connect() as connection:
            return read_route(connection, EAST, WORKFLOW)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        with self.world.engine.connect() as connection:
            return list(connection.execute(text(sql), {"rollout": self.rollout.id, **values}))

    def ask(self, requests: int, *, results: tuple[Result | None, ...] = (Result.TIE,)) -> None:
        """Let users ask, each of them once, and the processes settle the pairs with these results in turn."""
        self.traffic.principals = 1_000_000
        before = {row.id for row in self.rows("SELECT id FROM interaction")}
        self.traffic.ask(requests)
        fresh = self.rows("SELECT id, principal, detail FROM interaction ORDER BY id")
        turn = itertools.cycle(results)
        for row in fresh:
            if row.id in before or row.detail.get("shadowed_for") != self.rollout.id:
                continue
            self.settle(row.id, row.principal, next(turn))

    def settle(self, interaction: str, principal: str, result: Result | None, **changes: Any) -> None:
        if result is None and not changes:
            return
        now = self.world.clock.now()
        row = PairRow(
            rollout=self.rollout.id,
            label=Label.SHADOW,
            interaction=interaction,
            principal=principal,
            day=now.date(),
            state="scored",
            scorer=SupportScorer().version,
            at=now,
            result=result,
            is_swapped=None if result is None else False,
            question="q",
            stable="one",
            candidate="two",
            documents=("policies/errors",),
        )
        with self.world.engine.begin() as connection:
            settle_pair(connection, replace(row, **changes))

    def ended(self) -> StoredRollout:
        self.look(DAY)
        return self.look(SETTLE + timedelta(seconds=1))

    def codes(self) -> list[str]:
        return [reason.code for reason in self.rollout.why]


def test_go_of_the_shadow_moves_to_the_first_step(engine: Engine) -> None:
    run = Shadowing(engine)
    assert run.rollout.state is State.SHADOWING
    assert (run.route.shadow, run.route.shadow_ppm, run.route.fraction_ppm) == (run.new, 1_000_000, 0)
    run.ask(420)
    assert run.look().state is State.SHADOWING, "a GO before its time is over does not start"
    run.look(DAY)
    assert run.route.shadow_ppm == 0, "sampling stops when the time is over"
    run.look(SETTLE + timedelta(seconds=1))
    after = run.look()
    assert (after.state, after.place.step) == (State.OBSERVING, 0)
    assert (run.route.shadow, run.route.shadow_ppm, run.route.fraction_ppm) == (None, 0, 50_000)
    kinds = [row.kind for row in run.rows("SELECT kind FROM ledger_entry WHERE subject = :rollout")]
    for kind in ("shadow_started", "phase_started", "phase_ended", "started"):
        assert kinds.count(f"rollout.{kind}") == 1
    shown: Any = rollout_status(run.world.instance, after.id)
    (phase,) = shown["shadow"]
    assert (phase["pairs"], phase["lost"], phase["outcome"], phase["state"]) == (420, 0, "go", "ended")
    assert phase["tests"]["go.pairs_all"]["n"] == 420
    (kept,) = run.rows("SELECT outcome FROM rollout_verdict WHERE rollout = :rollout AND is_decision")
    assert kept.outcome == "go"


def test_losing_most_pairs_ends_the_shadow_at_once_and_only_an_abort_is_left(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(100, results=(Result.WORSE, Result.WORSE, Result.WORSE, Result.BETTER))
    run.look()
    assert run.rollout.state is State.SHADOWING
    assert "guard_fired" in run.codes()
    assert run.route.shadow_ppm == 0
    run.ended()
    assert run.look(30 * DAY).state is State.SHADOWING
    aborted = abort_rollout(run.world.instance, actor=run.world.person(DECIDER), rollout=run.rollout.id)
    assert isinstance(aborted, StoredRollout)
    assert aborted.state is State.ABORTED
    assert (run.route.shadow, run.route.candidate, run.route.stable) == (None, None, run.old)


def test_more_than_five_percent_lost_is_shadow_loss(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(600, results=(Result.TIE,) * 9 + (None,))
    run.ended()
    assert run.look().state is State.SHADOWING
    assert run.codes() == ["shadow_loss"]
    shown: Any = rollout_status(run.world.instance, run.rollout.id)
    assert (shown["shadow"][0]["lost"], shown["shadow"][0]["outcome"]) == (60, "inconclusive")


def test_no_pair_at_all_is_no_traffic_and_never_a_go(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ended()
    assert run.look().state is State.SHADOWING
    assert run.codes() == ["no_traffic"]


def test_the_days_cost_stops_the_sampling_and_is_insufficient_evidence(engine: Engine) -> None:
    run = Shadowing(engine, shadow=replace(SHADOW, max_cost_per_day="0.001 USD"))
    assert cap_of(run.world.instance, run.rollout) == 1_000_000
    run.ask(500)
    run.settle("x-1", "p_x", Result.TIE, cost_nano=1_000_000)
    with engine.connect() as connection:
        allowance = allowance_of(connection, run.rollout.id, Label.SHADOW, run.world.clock.now().date())
    assert allowance is not None
    assert allowance.is_spent
    run.world.clock.advance(timedelta(minutes=1))
    run.traffic.ask(3)
    for row in run.rows("SELECT id, principal FROM interaction ORDER BY id DESC LIMIT 3"):
        run.settle(row.id, row.principal, None, state="skipped", why="cost_cap")
    run.ended()
    assert run.look().state is State.SHADOWING
    assert run.codes() == ["insufficient_evidence"]


def test_five_pairs_of_one_asker_and_day_count(engine: Engine) -> None:
    run = Shadowing(engine)
    run.traffic.principals = 1
    run.traffic.ask(40)
    run.look()
    counted = run.rows("SELECT count(*) FILTER (WHERE is_counted) AS n FROM rollout_pair WHERE rollout = :rollout")
    assert counted[0].n == 5


def test_synthetic_pairs_never_dilute(engine: Engine) -> None:
    """A row that no user's record stands behind counts for nothing, and replay has counts of its own."""
    run = Shadowing(engine)
    for number in range(500):
        run.settle(f"made-{number}", "p_made", Result.TIE)
    run.ended()
    assert run.codes() == ["no_traffic"]


def test_old_failures_stay_when_the_same_release_is_tried_again(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(60, results=(Result.WORSE, Result.BETTER))
    run.look()
    abort_rollout(run.world.instance, actor=run.world.person(DECIDER), rollout=run.rollout.id)
    run.rollout = run.start()
    assert run.rollout.attempt == 2
    shown: Any = rollout_status(run.world.instance, run.rollout.id)
    assert (shown["shadow"][0]["pairs"], shown["shadow"][0]["worse"]) == (60, 30)


def test_a_freeze_holds_the_start_back_though_the_shadow_said_go(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(420)
    window = Freeze(
        name="year-end",
        spaces=(EAST,),
        start="2026-01-01T00:00",
        end="2027-01-01T00:00",
        timezone="UTC",
        reason="Year end",
    )
    plain = run.world.workspace
    run.world.workspace = with_freezes(plain, window)
    run.ended()
    assert run.look().state is State.SHADOWING
    run.world.workspace = plain
    assert run.look().state is State.OBSERVING


def test_critical_questions_that_do_not_pass_hold_the_start_back(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(420)
    names = run.world.processes.names
    run.world.ports = replace(run.world.ports, probe=FakeProber(processes=names, passed=False))
    run.ended()
    assert run.look().state is State.SHADOWING
    assert set(run.codes()) == {"PROBE_FAILED"}
    run.world.ports = replace(run.world.ports, probe=FakeProber(processes=names))
    assert run.look().state is State.OBSERVING


def test_a_pause_with_zero_stops_the_sampling_and_giving_up_cleans_the_row(engine: Engine) -> None:
    run = Shadowing(engine)
    lead = run.world.person(DECIDER)
    assert isinstance(pause_rollout(run.world.instance, actor=lead, rollout=run.rollout.id, zero=True), StoredRollout)
    assert run.route.shadow_ppm == 0
    resumed = resume_rollout(run.world.instance, run.world.ports, actor=lead, rollout=run.rollout.id)
    assert isinstance(resumed, StoredRollout)
    assert (resumed.state, run.route.shadow_ppm) == (State.SHADOWING, 1_000_000)
    pause_rollout(run.world.instance, actor=lead, rollout=run.rollout.id)
    assert run.route.shadow_ppm == 1_000_000
    aborted = abort_rollout(run.world.instance, actor=lead, rollout=run.rollout.id)
    assert isinstance(aborted, StoredRollout)
    assert (run.route.shadow, run.route.shadow_ppm, run.route.candidate) == (None, 0, None)


def test_another_scorer_starts_new_counts(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(420)
    run.look()
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollout_shadow SET scorer = 'older-v0'"))
        connection.execute(text("UPDATE rollout_pair SET scorer = 'older-v0'"))
    run.ended()
    run.ended()
    assert run.rollout.state is State.SHADOWING
    assert run.codes() == ["no_traffic"]


def test_a_first_release_has_nothing_to_be_compared_with(engine: Engine) -> None:
    world = make_world(engine, with_plan(bank(), PLAN))
    release = world.seal("First.")
    request = StartRequest(release=release, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Refusal)
    assert [reason.code for reason in done.reasons] == ["SHADOW_NO_STABLE"]


@pytest.mark.feature("R3.3")
def test_a_workflow_of_high_risk_needs_a_shadow_in_production(engine: Engine) -> None:
    run = Shadowing(engine)
    workflow = replace(run.world.workspace.workflows[WORKFLOW], risk_tier=RiskTier.HIGH)
    abort_rollout(run.world.instance, actor=run.world.person(DECIDER), rollout=run.rollout.id)
    for plan, expected in ((small_plan(), ["SHADOW_REQUIRED"]), (PLAN, [])):
        workspace = with_plan(bank(), plan)
        rollout = workspace.workflows[WORKFLOW].rollout
        high = replace(workflow, rollout=rollout)
        run.world.workspace = replace(workspace, workflows={**workspace.workflows, WORKFLOW: high})
        request = StartRequest(release=run.new, space=EAST, per_day=4_800_000, accepted=True)
        done = start_rollout(run.world.instance, run.world.ports, actor=run.world.person(STARTER), request=request)
        found = [reason.code for reason in done.reasons] if isinstance(done, Refusal) else []
        assert found == expected


def test_a_worker_killed_at_any_statement_skips_and_doubles_nothing(engine: Engine) -> None:
    """The n-th statement of a look fails: the look leaves nothing behind, and the next one does it all once."""
    run = Shadowing(engine)
    run.ask(420)
    number_all(engine)
    run.world.clock.advance(DAY + SETTLE + timedelta(seconds=1))
    run.world.follow()
    before = run.rows("SELECT state, (SELECT count(*) FROM ledger_entry) AS n FROM rollout WHERE id = :rollout")
    dialled = _killed_looks(run)
    assert dialled > 20
    assert before == run.rows("SELECT state, (SELECT count(*) FROM ledger_entry) AS n FROM rollout WHERE id = :rollout")
    run.look()
    run.look()
    assert run.rollout.state is State.OBSERVING
    ended = "SELECT count(*) AS n FROM ledger_entry WHERE subject = :rollout AND kind = 'rollout.phase_ended'"
    assert run.rows(ended)[0].n == 1


class KilledError(Exception):
    """The process is gone."""


def _killed_looks(run: Shadowing) -> int:
    """Let a look die at its 1st, 2nd, 3rd ... statement; return how many statements a whole one has."""
    connection_of = run.world.engine
    for deadline in itertools.count(1):
        left = [deadline]

        def count(*_: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KilledError

        with connection_of.connect() as connection:
            transaction = connection.begin()
            event.listen(connection, "before_cursor_execute", count)
            try:
                reconcile_rollout(connection, run.world.instance, run.world.ports, run.rollout.id)
            except KilledError:
                transaction.rollback()
                continue
            transaction.rollback()
            return deadline
    raise AssertionError


def test_texts_end_after_seven_days_and_with_a_document_and_that_is_written(engine: Engine) -> None:
    run = Shadowing(engine)
    run.ask(3)
    with engine.begin() as connection:
        assert erase_pair_texts(connection, run.world.clock.now() + timedelta(days=6)) == 0
        assert erase_pair_texts(connection, run.world.clock.now() + timedelta(days=8)) == 3
        assert erase_pair_texts(connection, run.world.clock.now() + timedelta(days=8)) == 0
    assert run.rows("SELECT count(*) AS n FROM rollout_pair_text")[0].n == 0
    assert run.rows("SELECT count(*) AS n FROM rollout_pair WHERE result = 'tie'")[0].n == 3
    kinds = run.rows("SELECT count(*) AS n FROM ledger_entry WHERE kind = 'rollout.texts_erased'")
    assert kinds[0].n >= 1
