"""Replay of recorded questions and blue-green (rollouts.md 9, 2): what was asked before proves the release first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects.postgresql import insert
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_plan

from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.pause_rollout import pause_rollout
from pilotage.control.replay_questions import ReplayTools, principal_today, replay_questions
from pilotage.control.rollout_status import rollout_status
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, PrincipalId
from pilotage.core.reason import Refusal
from pilotage.evaluation.generation import Generation, TargetFailure
from pilotage.evaluation.target import Ask
from pilotage.rollout.states import State
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.pseudonyms import forget_principal, pseudonym_of
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import Route, read_route
from pilotage.store.tables.serving import interaction, interaction_text
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, WEST, WORKFLOW, FakeProber, RolloutWorld
from pilotage.testing.shadow import FakeTarget, FakeTargets, supported
from pilotage.workspace.plan import Approach, Plan, Shadow
from pilotage.workspace.records import Workspace

pytestmark = pytest.mark.store
BLUE_GREEN = replace(
    small_plan(), approach=Approach.BLUE_GREEN, shadow=Shadow(enabled=False, sample=1.0, replay_first=True)
)


_DOCUMENT = text(
    "WITH c AS (INSERT INTO corpus (name) VALUES ('policies') ON CONFLICT DO NOTHING)"
    " INSERT INTO document (corpus, id, classification, region, acl_confirmed_at, tombstone)"
    " VALUES ('policies', 'errors', 'internal', 'us', now(), 't')"
    " ON CONFLICT (corpus, id) DO UPDATE SET tombstone = 't'"
)


def crowded(plan: Plan, people: int) -> Workspace:
    """Return the bank with so many more people in the pilot group."""
    workspace = with_plan(bank(), plan)
    first = next(iter(workspace.people.values()))
    more = {
        PersonId(f"asker-{number:03d}"): replace(first, id=PersonId(f"asker-{number:03d}"), region=None)
        for number in range(people)
    }
    return replace(workspace, people={**workspace.people, **more})


@dataclass
class Replaying:
    """A rollout that replays, its recordings, and two releases that say what a test wants."""

    engine: Engine
    plan: Plan = BLUE_GREEN
    people: int = 100
    each: int = 5
    candidate: Callable[[Ask], Generation] = field(default=lambda _ask: supported())

    def __post_init__(self) -> None:
        observe = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0))
        self.world: RolloutWorld = make_world(self.engine, crowded(self.plan, self.people), observe=observe)
        self.world.ports = replace(self.world.ports, probe=FakeProber(processes=self.world.processes.names))
        self.old, self.new = self.world.seal("Old."), self.world.seal("New.")
        self.world.serve(self.old, [EAST, WEST])
        pass_drills(self.world, self.new)
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE principal_pseudonym"))
            connection.execute(text("UPDATE document SET tombstone = NULL"))  # what another test here took down
        self.targets = FakeTargets(known={self.old: FakeTarget(), self.new: FakeTarget(says=self.candidate)})
        self.record(self.people, self.each)

    def record(self, people: int, each: int, **changes: Any) -> None:
        """Let people have asked, in the days before."""
        now = self.world.clock.now()
        prefix = changes.pop("prefix", "ix")
        with self.engine.begin() as connection:
            rows, texts = [], []
            for number in range(people):
                name = pseudonym_of(connection, f"local|asker-{number:03d}")
                for turn in range(each):
                    identifier = f"{prefix}-{number:03d}-{turn}"
                    at = changes.get("at", now - timedelta(days=3))
                    rows.append(_row(identifier, at, name, self.old, changes))
                    texts.append(_text(identifier, at, changes))
            if rows:
                connection.execute(insert(interaction), rows)
                connection.execute(insert(interaction_text), texts)

    def start(self) -> StoredRollout:
        request = StartRequest(release=self.new, space=EAST, per_day=4_800_000, accepted=True)
        done = start_rollout(self.world.instance, self.world.ports, actor=self.world.person(STARTER), request=request)
        assert isinstance(done, Started), done
        assert done.against == ()
        self.rollout = self.world.step(done.rollout.id)
        return self.rollout

    def replay(self, **changes: Any) -> bool:
        tools = ReplayTools(targets=self.targets, redact=lambda said: said.replace("Jane Roe", "[NAME]"))
        return asyncio.run(replay_questions(self.world.instance, self.rollout.id, replace(tools, **changes)))

    def look(self, by: timedelta = timedelta()) -> StoredRollout:
        number_all(self.engine)
        self.rollout = self.world.step(self.rollout.id, by)
        return self.rollout

    @property
    def route(self) -> Route:
        with self.engine.connect() as connection:
            return read_route(connection, EAST, WORKFLOW)

    @property
    def phase(self) -> dict[str, Any]:
        shown: Any = rollout_status(self.world.instance, self.rollout.id)
        found: dict[str, Any] = shown["shadow"][0]
        return found


def _row(identifier: str, at: Any, name: str, release: Digest, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": identifier,
        "at": at,
        "space": changes.get("space", EAST),
        "workflow": WORKFLOW,
        "arm": "stable",
        "release": release,
        "principal": name,
        "kind": changes.get("kind", "user"),
        "state": "final",
        "outcome": "ok",
        "refused": False,
        "detail": changes.get("detail", {}),
    }


def _text(identifier: str, at: Any, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": identifier,
        "question": f"What of {identifier}?",
        "answer": "",
        "groups": ["a-group-of-then"],
        "salt": changes.get("salt", bytes(64)),
        "at": at,
    }


@pytest.mark.feature("D12.16")
def test_a_go_of_the_replay_and_the_critical_questions_flip_everybody_at_once(engine: Engine) -> None:
    run = Replaying(engine)
    assert run.start().state is State.SHADOWING
    assert (run.route.shadow, run.route.shadow_ppm, run.route.fraction_ppm) == (run.new, 0, 0), "nobody is sampled"
    assert run.replay()
    run.world.ports = replace(run.world.ports, probe=FakeProber(processes=run.world.processes.names, passed=False))
    assert run.look().state is State.SHADOWING, "critical questions come before the flip"
    run.world.ports = replace(run.world.ports, probe=FakeProber(processes=run.world.processes.names))
    after = run.look()
    assert (after.state, after.place.step, run.route.fraction_ppm) == (State.OBSERVING, 0, 1_000_000)
    assert after.place.is_last_step(after.plan), "one flip: there is no other step"
    assert (run.phase["label"], run.phase["pairs"], run.phase["outcome"]) == ("replay", 500, "go")
    assert set(run.targets.opened) == {EAST}
    finished = run.look(timedelta(hours=2))
    assert run.look().state in {State.WATCHING, finished.state}


def test_the_same_triggers_take_a_flip_back(engine: Engine) -> None:
    run = Replaying(engine)
    run.start()
    run.replay()
    assert run.look().state is State.OBSERVING
    bad = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 4_800_000.0))
    run.world.ports = replace(run.world.ports, observe=replace(bad, candidate=Behaviour(error=0.2)))
    after = run.look(timedelta(minutes=30))
    assert after.state in {State.ROLLING_BACK, State.VALIDATING}
    assert (run.route.stable, run.route.candidate) == (run.old, None)


def test_without_recordings_the_replay_is_inconclusive_and_nothing_flips(engine: Engine) -> None:
    run = Replaying(engine, people=0)
    run.start()
    assert run.replay()
    assert run.look().state is State.SHADOWING
    assert (run.phase["outcome"], run.phase["pairs"]) == ("inconclusive", 0)
    assert [reason.code for reason in run.rollout.why] == ["no_traffic"]
    assert run.look(timedelta(days=30)).state is State.SHADOWING
    assert run.route.fraction_ppm == 0


def test_a_replay_without_proof_lets_the_shadow_prove_it_and_a_lost_one_does_not(engine: Engine) -> None:
    both = replace(small_plan(), shadow=Shadow(enabled=True, sample=1.0, replay_first=True))
    run = Replaying(engine, plan=both, people=2)
    run.start()
    assert run.route.shadow_ppm == 0
    run.replay()
    run.look()
    run.look()
    assert run.route.shadow_ppm == 1_000_000
    worse = Replaying(engine, plan=both, candidate=lambda _ask: Generation(answer="", error=TargetFailure.TIMEOUT))
    worse.start()
    worse.replay()
    worse.look()
    worse.look()
    assert (worse.phase["outcome"], worse.route.shadow_ppm) == ("no_go", 0)
    assert worse.rollout.state is State.SHADOWING


def test_an_outage_of_both_releases_proves_nothing(engine: Engine) -> None:
    run = Replaying(engine, candidate=lambda _ask: Generation(answer="", error=TargetFailure.TIMEOUT))
    run.targets.known[run.old].says = run.candidate
    run.start()
    assert run.replay()
    assert run.look().state is State.SHADOWING
    assert run.phase["outcome"] == "inconclusive"
    assert run.route.fraction_ppm == 0


def test_a_paused_replay_asks_nothing_until_it_goes_on_and_one_given_up_never_again(engine: Engine) -> None:
    run = Replaying(engine, people=2)
    run.start()
    lead = run.world.person(DECIDER)
    pause_rollout(run.world.instance, actor=lead, rollout=run.rollout.id)
    assert run.replay() is False, "the work comes again"
    assert run.targets.known[run.new].asked == []
    abort_rollout(run.world.instance, actor=lead, rollout=run.rollout.id)
    assert run.replay() is True
    assert run.targets.known[run.new].asked == []


def test_a_flip_of_several_spaces_is_refused_as_only_the_first_would_be_proven(engine: Engine) -> None:
    (wave,) = BLUE_GREEN.waves
    run = Replaying(engine, plan=replace(BLUE_GREEN, waves=(wave, replace(wave, space=WEST))), people=0)
    request = StartRequest(release=run.new, space=EAST, per_day=4_800_000, accepted=True)
    done = start_rollout(run.world.instance, run.world.ports, actor=run.world.person(STARTER), request=request)
    assert isinstance(done, Refusal)
    assert [reason.code for reason in done.reasons] == ["BLUE_GREEN_UNPROVEN"]


def test_the_text_of_a_pair_is_not_kept_once_a_document_behind_it_was_taken_down(engine: Engine) -> None:
    run = Replaying(engine, people=1, each=2)
    run.start()
    with engine.begin() as connection:
        connection.execute(_DOCUMENT)
    run.replay()
    with engine.connect() as connection:
        texts = connection.execute(text("SELECT count(*) FROM rollout_pair_text")).scalar_one()
        pairs = connection.execute(text("SELECT count(*) FROM rollout_pair WHERE state = 'scored'")).scalar_one()
    assert (pairs, texts) == (2, 0)


def test_askers_are_replayed_with_what_they_may_see_today(engine: Engine) -> None:
    run = Replaying(engine, people=1)
    run.start()
    run.replay()
    today = run.world.workspace.people[PersonId("asker-000")].groups
    for target in run.targets.known.values():
        assert len(target.asked) == 5
        assert {ask.principal.groups for ask in target.asked} == {today}
    assert principal_today(run.world.workspace, PrincipalId("https://idp.example.com/|00u1")) is None
    assert principal_today(run.world.workspace, PrincipalId("local|nobody")) is None
    assert principal_today(run.world.workspace, PrincipalId("key|crm-backend")) is None


def test_only_recordings_that_may_be_replayed_are(engine: Engine) -> None:
    run = Replaying(engine, people=0)
    now = run.world.clock.now()
    run.world.workspace = crowded(BLUE_GREEN, 3)
    run.record(1, 1, prefix="old", at=now - timedelta(days=31))
    run.record(1, 1, prefix="erased", salt=b"")
    run.record(1, 1, prefix="west", space=WEST)
    run.record(1, 1, prefix="probe", kind="probe")
    run.record(1, 1, prefix="service", detail={"acting_service": "key|crm"})
    run.record(9, 1, prefix="left")  # six of the nine are no people of the bank any more
    run.start()
    run.replay()
    for target in run.targets.known.values():
        assert sorted(ask.question for ask in target.asked) == [f"What of left-00{number}-0?" for number in range(3)]


def test_one_asker_is_replayed_five_times_at_most(engine: Engine) -> None:
    run = Replaying(engine, people=1, each=20)
    run.start()
    run.replay()
    run.look()
    assert run.phase["pairs"] == 5


def test_a_question_erased_meanwhile_is_lost_and_never_asked(engine: Engine) -> None:
    run = Replaying(engine, people=2, each=1)
    run.start()
    run.replay(is_stopping=lambda: True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE interaction_text SET salt = '' WHERE id = 'ix-000-0'"))
        forget_principal(connection, "local|asker-001")
    assert run.replay()
    run.look()
    assert (run.phase["lost"], run.phase["pairs"]) == (2, 0)
    assert all(target.asked == [] for target in run.targets.known.values())


def test_a_replay_goes_on_where_a_killed_worker_left_it_and_gives_up_after_three_tries(engine: Engine) -> None:
    run = Replaying(engine, people=20, each=5)
    run.start()

    def killed(_ask: Ask) -> Generation:
        raise KeyboardInterrupt

    good = run.targets.known[run.new].says
    run.targets.known[run.new].says = killed
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run.replay()
    run.targets.known[run.new].says = good
    assert run.replay()
    run.look()
    assert (run.phase["pairs"], run.phase["lost"]) == (100, 0)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT count(*), count(DISTINCT interaction) FROM rollout_pair")).one()
    assert tuple(rows) == (100, 100)


def test_a_question_that_kills_every_worker_is_lost(engine: Engine) -> None:
    run = Replaying(engine, people=1, each=1)
    run.start()

    def killed(_ask: Ask) -> Generation:
        raise KeyboardInterrupt

    run.targets.known[run.new].says = killed
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run.replay()
    assert run.replay()
    run.look()
    assert (run.phase["pairs"], run.phase["lost"]) == (0, 1)


def test_what_is_kept_is_redacted_and_goes_with_its_document(engine: Engine) -> None:
    run = Replaying(engine, people=1, each=1, candidate=lambda _ask: supported("Jane Roe resolves errors in ten days."))
    run.start()
    run.replay()
    with engine.begin() as connection:
        kept = connection.execute(text("SELECT candidate, documents FROM rollout_pair_text")).one()
        assert (kept.candidate, list(kept.documents)) == (
            "[NAME] resolves errors in ten days. [1]",
            ["policies/errors"],
        )


def test_a_replay_reads_but_writes_no_interaction(engine: Engine) -> None:
    run = Replaying(engine, people=3)
    counts = "SELECT (SELECT count(*) FROM interaction), (SELECT count(*) FROM feedback), (SELECT count(*) FROM outbox)"
    run.start()
    with engine.connect() as connection:
        before = tuple(connection.execute(text(counts)).one())
    run.replay()
    with engine.connect() as connection:
        assert tuple(connection.execute(text(counts)).one()) == before
