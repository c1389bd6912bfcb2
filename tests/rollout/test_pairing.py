"""Sampling, blind order, phases (rollouts.md 9): fixed by hashes, never by what is known of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from pilotage.analysis.verdict import Judgement
from pilotage.core.ids import SpaceName
from pilotage.evaluation.pair_scorer import Choice, Shown, SupportScorer
from pilotage.rollout.blind import candidate_first
from pilotage.rollout.pairing import (
    Label,
    Result,
    at_once,
    is_proven,
    phase_to_begin,
    phases_of,
    sample_bucket,
    score_pair,
)
from pilotage.workspace.plan import Approach, Plan, Shadow, Step, Wave

PLAN = Plan(
    name="p",
    waves=(
        Wave(
            space=SpaceName("east"),
            steps=(Step(name="canary", weight=0.05, bake_s=60), Step(name="full", weight=1.0, bake_s=60)),
        ),
    ),
)
BOTH = replace(PLAN, shadow=Shadow(enabled=True))
FLIP = replace(PLAN, approach=Approach.BLUE_GREEN)
GO, NO_GO, UNSURE = Judgement.GO, Judgement.NO_GO, Judgement.INCONCLUSIVE
GOOD = Shown(question="q", text="Errors are resolved within ten business days [1].", sources={1: "resolved ten days"})
FAILED = Shown(question="q", text=None)


@dataclass
class Watching:
    """A scorer that prefers A whatever it is, and remembers what it was shown."""

    version: str = "always-a-v1"
    seen: list[tuple[Shown, Shown]] = field(default_factory=list)

    def better(self, a: Shown, b: Shown) -> Choice:
        self.seen.append((a, b))
        return Choice.A


def test_blind_order_is_the_vectors_of_the_specification() -> None:
    assert [candidate_first(f"ix-000{number}") for number in range(1, 5)] == [True, True, True, False]


@pytest.mark.parametrize(("pair", "first"), [("ix-0001", "candidate"), ("ix-0004", "stable")])
def test_the_judge_sees_the_pair_in_that_order_then_exchanged_and_no_arm(pair: str, first: str) -> None:
    stable, candidate = replace(GOOD, text="one"), replace(GOOD, text="two")
    scorer = Watching()
    scored = score_pair(scorer, pair, stable=stable, candidate=candidate)
    a = candidate if first == "candidate" else stable
    b = stable if first == "candidate" else candidate
    assert scorer.seen == [(a, b), (b, a)]
    assert set(Shown.__dataclass_fields__) == {"question", "text", "refusal", "sources", "language"}
    assert scored.is_swapped, "a judge that likes the first answer is found out"
    assert scored.result is (Result.BETTER if first == "candidate" else Result.WORSE)


@pytest.mark.parametrize(
    ("stable", "candidate", "result"),
    [
        (GOOD, FAILED, Result.WORSE),
        (FAILED, GOOD, Result.BETTER),
        (FAILED, FAILED, Result.TIE),
        (GOOD, GOOD, Result.TIE),
    ],
)
@pytest.mark.parametrize("pair", ["ix-0001", "ix-0004"])
def test_the_result_does_not_depend_on_the_order(pair: str, stable: Shown, candidate: Shown, result: Result) -> None:
    scored = score_pair(SupportScorer(), pair, stable=stable, candidate=candidate)
    assert (scored.result, scored.is_swapped) == (result, False)


def test_a_sample_is_fixed_grows_with_its_share_and_is_drawn_anew_by_another_salt() -> None:
    names = [f"ix-{number:05d}" for number in range(4_000)]
    quarter = {name for name in names if sample_bucket("5f1c0e9ab2d34476", name) < 250_000}
    half = {name for name in names if sample_bucket("5f1c0e9ab2d34476", name) < 500_000}
    other = {name for name in names if sample_bucket("0000000000000000", name) < 250_000}
    assert quarter < half
    assert 900 < len(quarter) < 1_100
    assert 180 < len(quarter & other) < 320
    with pytest.raises(ValueError, match="without an id"):
        sample_bucket("salt", "")


@pytest.mark.parametrize(
    ("plan", "phases"),
    [
        (PLAN, ()),
        (BOTH, (Label.REPLAY, Label.SHADOW)),
        (replace(PLAN, shadow=Shadow(enabled=True, replay_first=False)), (Label.SHADOW,)),
        (FLIP, (Label.REPLAY,)),
        (replace(FLIP, shadow=Shadow(replay_first=False)), ()),
    ],
)
def test_a_plan_says_what_is_proven_first(plan: Plan, phases: tuple[Label, ...]) -> None:
    assert phases_of(plan) == phases


def test_replay_comes_first_a_no_go_ends_everything_and_only_the_last_phase_proves() -> None:
    assert phase_to_begin(BOTH, {}) is Label.REPLAY
    assert phase_to_begin(BOTH, {Label.REPLAY: None}) is None
    assert phase_to_begin(BOTH, {Label.REPLAY: NO_GO}) is None
    assert phase_to_begin(BOTH, {Label.REPLAY: UNSURE}) is Label.SHADOW
    assert phase_to_begin(BOTH, {Label.REPLAY: GO, Label.SHADOW: GO}) is None
    assert not is_proven(BOTH, {Label.REPLAY: GO})
    assert not is_proven(BOTH, {Label.REPLAY: GO, Label.SHADOW: UNSURE})
    assert is_proven(BOTH, {Label.REPLAY: UNSURE, Label.SHADOW: GO})
    assert not is_proven(FLIP, {Label.REPLAY: UNSURE})
    assert is_proven(FLIP, {Label.REPLAY: GO})
    assert is_proven(PLAN, {})


@pytest.mark.feature("D12.16")
def test_blue_green_is_one_flip_per_space() -> None:
    assert [step.name for step in at_once(FLIP).waves[0].steps] == ["full"]
    assert at_once(PLAN) == PLAN
