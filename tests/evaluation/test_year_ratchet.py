"""Small losses, each inside its margin, do not add up: the oldest GO release of a year holds twice the margin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from tests.evaluation.test_statistics_verdict import arm, ask, codes, golden, shared
from tests.evaluation.world import EVALUATION, Bent, BentTargets, World, make_world, quoting

from pilotage.control.choose_baseline import choose_baseline, choose_oldest
from pilotage.control.evaluation_status import describe_run, void_run
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.evaluation.criteria import Verdict, worst_verdict
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.run import EvaluationRun
from pilotage.evaluation.verdict import ReleaseVerdict, judge
from pilotage.release.generation import GenerationRequest
from pilotage.serving.evaluation_target import ServingTarget
from pilotage.serving.routing import Release
from pilotage.store.releases import named_release
from pilotage.testing.models import FakeModel

N = 400
RULE = "non_inferior answer_accuracy 0.05"


def right(lost: int) -> list[float | None]:
    return [0.0 if case < lost else 1.0 for case in range(N)]


def judged(lost: int, *, before: int, oldest: int, unscored: int = 0) -> ReleaseVerdict:
    rules = shared(golden(N), answer_accuracy=0.05)
    first: list[float | None] = [*right(oldest)[: N - unscored], *([None] * unscored)]
    return judge(
        arm("new", {"answer_accuracy": right(lost)}),
        arm("old", {"answer_accuracy": right(before)}),
        rules,
        ask(RULE),
        oldest=arm("sha256:first", {"answer_accuracy": first}),
    )


def test_steps_that_are_each_go_together_are_not() -> None:
    verdicts = [judged(8 * step, before=8 * (step - 1), oldest=0).verdict for step in range(1, 8)]
    assert verdicts[:3] == [Verdict.GO] * 3
    assert verdicts[-1] is Verdict.NO_GO
    # Each of these steps is GO against the release before it alone.
    rules = shared(golden(N), answer_accuracy=0.05)
    for step in range(1, 8):
        new, old = (arm(name, {"answer_accuracy": right(8 * at)}) for name, at in (("new", step), ("old", step - 1)))
        assert judge(new, old, rules, ask(RULE)).verdict is Verdict.GO


def test_what_was_lost_in_a_year_is_told_with_twice_the_margin() -> None:
    found = judged(60, before=59, oldest=0)
    assert codes(found) == {"RATCHET_WORSE"}
    assert found.ratchet is not None
    [reason] = found.ratchet.lost
    assert (reason.limit, reason.where) == ("non_inferior answer_accuracy 0.1", "answer_accuracy")
    assert "sha256:first, the oldest GO release of a year" in reason.text


def test_an_oldest_release_without_answers_is_never_a_pass() -> None:
    assert codes(judged(0, before=0, oldest=0, unscored=80)) == {"RATCHET_TOO_FEW_PAIRS"}
    assert judged(0, before=0, oldest=0, unscored=80).verdict is Verdict.INCONCLUSIVE
    assert judged(0, before=0, oldest=0).verdict is Verdict.GO


@given(
    lost=st.integers(0, 120), before=st.integers(0, 60), oldest=st.integers(0, 60), gone=st.sets(st.integers(0, N - 1))
)
@settings(max_examples=25, deadline=None)
def test_a_missing_answer_of_the_candidate_never_helps_against_the_oldest(
    lost: int, before: int, oldest: int, gone: set[int]
) -> None:
    rules = shared(golden(N), answer_accuracy=0.05)
    old = arm("old", {"answer_accuracy": right(before)})
    first = arm("first", {"answer_accuracy": right(oldest)})

    def verdict_of(values: list[float | None]) -> Verdict:
        return judge(arm("new", {"answer_accuracy": values}), old, rules, ask(RULE), oldest=first).verdict

    whole = right(lost)
    less = [None if case in gone else value for case, value in enumerate(whole)]
    both = (verdict_of(whole), verdict_of(less))
    assert both[1] is not Verdict.GO or both[0] is Verdict.GO
    without = judge(arm("new", {"answer_accuracy": whole}), old, rules, ask(RULE)).verdict
    assert worst_verdict(without, both[0]) is both[0], "one more comparison never makes a verdict better"


# -- the runs themselves ------------------------------------------------------------------------------------------

CASES, STEP, STEPS = 24, 4, 3


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "year"
    folder.mkdir()
    made = make_world(engine, folder, cases=CASES)
    written = EVALUATION.replace("answer_accuracy: 0.80", "answer_accuracy: 0.05")
    made.write("workflows/assistant/evaluation.yaml", written.replace("0.10", "0.325"))
    return made


class Drifting:
    """Releases that answer ever fewer cases rightly, each a little fewer than the one before."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.order: list[Digest] = []

    def seal(self) -> Digest:
        self.world.restore(max_tokens=500 + len(self.order))
        release = self.world.seal()
        self.order.append(release)
        return release

    def model(self, release: Release) -> FakeModel:
        lost = STEP * self.order.index(release.digest)

        def reply(request: GenerationRequest) -> str:
            said = quoting(request)
            amount = next((int(word) for word in said.split() if word.isdigit()), 0)
            return said.replace(f"{amount} dollars", "999 dollars") if 40 <= amount < 40 + lost else said

        return FakeModel(reply=reply)

    async def evaluate(self, release: Digest, **asked: Any) -> EvaluationRun:
        self.world.clock.advance(timedelta(days=30))
        return (await self.world.evaluate(release, Bent(model=self.model), repeats=1, **asked)).run


@pytest.fixture(scope="module")
async def steps(world: World) -> tuple[Drifting, list[EvaluationRun]]:
    drifting = Drifting(world)
    return drifting, [await drifting.evaluate(drifting.seal()) for _ in range(STEPS + 1)]


@pytest.mark.store
@pytest.mark.anyio
async def test_a_slow_drift_is_found_by_the_release_of_long_ago(
    world: World, steps: tuple[Drifting, list[EvaluationRun]]
) -> None:
    drifting, runs = steps
    assert [run.verdict for run in runs] == ["go", "go", "go", "no_go"]
    assert [run.baseline for run in runs] == [None, *drifting.order[:-1]]
    first = drifting.order[0]
    assert [run.oldest for run in runs] == [None, None, first, first], "the baseline itself is asked once"
    shown = describe_run(world.instance, runs[-1].id)
    assert shown["oldest"] == first
    assert [one["code"] for one in shown["reasons"]] == ["RATCHET_WORSE"]
    assert "RATCHET_WORSE" in {one["code"] for one in shown["regressions"]}
    assert shown["ratchet"]["oldest"] == first
    claims = [claims_of(world, run) for run in runs]
    assert [one.get("ratchet_regressions") for one in claims] == [None, None, 0.0, 1.0]
    assert claims[-1]["regressions"] >= 1.0, "the gate's own criterion reads it"


def claims_of(world: World, run: EvaluationRun) -> Mapping[str, float]:
    with world.instance.engine.connect() as connection:
        query = text("SELECT claims FROM evidence WHERE id = :id")
        found: Mapping[str, float] = connection.execute(query, {"id": run.evidence}).scalar_one()
    return found


@pytest.mark.store
@pytest.mark.anyio
async def test_the_oldest_that_cannot_answer_any_more_decides_nothing_and_stops_nobody(
    world: World, steps: tuple[Drifting, list[EvaluationRun]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drifting, _ = steps
    whole = BentTargets.open
    gone = drifting.order[0]

    async def opened(
        self: BentTargets, release: Digest, space: SpaceName | None, overlay: Overlay, only: Any = None
    ) -> ServingTarget:
        if release == gone:
            raise NotFound("RELEASE_UNKNOWN", "Its model is gone.")
        return await whole(self, release, space, overlay, only)

    monkeypatch.setattr(BentTargets, "open", opened)
    world.forget_answers()
    run = await drifting.evaluate(drifting.order[2], baseline=drifting.order[1])
    assert (run.verdict, run.oldest) == ("inconclusive", gone)
    assert {one["code"] for one in describe_run(world.instance, run.id)["reasons"]} >= {"RATCHET_NO_PAIRS"}
    assert "regressions" not in claims_of(world, run), "what could not be compared is not known to be no worse"
    for name in ("ada", "ben"):
        assert not isinstance(
            void_run(world.instance, actor=world.person(name), identifier=run.id, reason="A try."), Refusal
        )


@pytest.mark.store
@pytest.mark.anyio
async def test_a_voided_or_withdrawn_or_older_go_is_not_the_oldest(
    world: World, steps: tuple[Drifting, list[EvaluationRun]]
) -> None:
    drifting, runs = steps
    first, second = drifting.order[:2]
    state = text("UPDATE release SET state = :state WHERE digest = :release")
    voided = text("UPDATE evaluation_run SET voided_at = :at WHERE id = :id")
    made = runs[0].finished_at
    assert made is not None
    with world.instance.engine.connect() as connection:
        last = named_release(connection, drifting.order[3])

        def oldest(now: datetime) -> Digest | None:
            return choose_oldest(connection, last, baseline=drifting.order[2], now=now)

        soon, late = made + timedelta(days=300), made + timedelta(days=365)
        assert (oldest(soon), oldest(late)) == (first, first)
        assert oldest(late + timedelta(seconds=1)) == second, "its GO is more than a year ago"
        assert choose_oldest(connection, last, baseline=first, now=soon) is None
        for named in ("revoked", "quarantined"):
            connection.execute(state, {"state": named, "release": first})
            assert oldest(soon) == second
            with pytest.raises(UsageError) as refused:
                choose_baseline(connection, last, named=first, space=None)
            assert refused.value.code == "BASELINE_WITHDRAWN"
        connection.execute(state, {"state": "deprecated", "release": first})
        assert oldest(soon) == first
        connection.execute(voided, {"at": soon, "id": runs[0].id})
        assert oldest(soon) == second
        connection.rollback()


@pytest.mark.store
@pytest.mark.anyio
async def test_a_release_that_was_rolled_back_is_no_baseline(
    world: World, steps: tuple[Drifting, list[EvaluationRun]]
) -> None:
    drifting, _ = steps
    with world.instance.engine.begin() as connection:
        stored = named_release(connection, drifting.order[3])
        assert choose_baseline(connection, stored, named=None, space=None) == drifting.order[2]
        rollout = text(
            "INSERT INTO rollout"
            " (id, workflow, release, plan, plan_digest, salt, state, state_at, started_by, created_at)"
            " VALUES (:id, 'assistant', :release, '{}', 'd', 's', :state, now(), 'p', :at)"
        )
        values = {"release": drifting.order[2], "state": "rolled_back", "at": world.clock.now()}
        connection.execute(rollout, {**values, "id": "r1"})
        assert choose_baseline(connection, stored, named=None, space=None) == drifting.order[1]
        later = {"state": "completed", "at": world.clock.now() + timedelta(days=1)}
        connection.execute(rollout, {**values, **later, "id": "r2"})
        assert choose_baseline(connection, stored, named=None, space=None) == drifting.order[2]
        connection.rollback()
