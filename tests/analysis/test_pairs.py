"""The verdict over shadow and replay pairs (rollouts.md 6.4, 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.analysis.verdicts import ALPHAS, READY

from pilotage.analysis.counters import PairCounters
from pilotage.analysis.pairs import judge_pairs
from pilotage.analysis.verdict import Code, Effect, Judgement, Verdict


def _judge(**counts: int) -> Verdict:
    return judge_pairs(PairCounters(**{"swapped_checked": 50, **counts}), ALPHAS, READY)


def test_no_loss_in_412_pairs_proves_the_candidate_not_worse_and_411_do_not() -> None:
    verdict = _judge(ties=412)
    assert verdict.outcome is Judgement.GO
    assert [reason.where for reason in verdict.reasons] == ["go.pairs_all"]
    assert _judge(ties=411).outcome is Judgement.INCONCLUSIVE


def test_discordant_pairs_that_favour_the_candidate_prove_it() -> None:
    verdict = _judge(worse=20, better=80)
    assert verdict.outcome is Judgement.GO
    assert verdict.tests["go.pairs_discordant"].n == 100


def test_losing_most_discordant_pairs_holds() -> None:
    verdict = _judge(worse=70, better=30, ties=900)
    assert (verdict.outcome, verdict.effect) == (Judgement.NO_GO, Effect.HOLD)
    assert verdict.fired == ("hold.pairs",)


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, Code.NO_TRAFFIC),
        ({"ties": 1000, "lost": 60}, Code.SHADOW_LOSS),
        ({"ties": 1000, "swapped_checked": 49}, Code.JUDGE_ERROR),
        ({"ties": 1000, "swapped_changed": 6}, Code.JUDGE_ERROR),
        ({"ties": 100}, Code.INSUFFICIENT_EVIDENCE),
    ],
)
def test_pairs_that_prove_nothing_are_inconclusive(counts: dict[str, int], code: Code) -> None:
    verdict = _judge(**counts)
    assert verdict.outcome is Judgement.INCONCLUSIVE
    assert [reason.code for reason in verdict.reasons] == [code]


def test_a_gate_that_does_not_hold_blocks_pairs_too_and_loss_within_five_percent_does_not() -> None:
    pairs = PairCounters(ties=950, lost=50, swapped_checked=50, swapped_changed=5)
    assert judge_pairs(pairs, ALPHAS, READY).outcome is Judgement.GO
    verdict = judge_pairs(pairs, ALPHAS, replace(READY, gate_holds=False))
    assert (verdict.outcome, verdict.effect) == (Judgement.INCONCLUSIVE, Effect.HOLD)
