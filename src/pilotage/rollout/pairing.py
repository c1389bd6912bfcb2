"""Shadow and replay as arithmetic: which requests are sampled, in which order a pair is scored, what proves a plan.

Rule: a request is chosen by a hash of its id before anything is known of its answer, and scored twice, the second time
with A and B exchanged. Fail mode: an empty id is an error; a scorer's exception is the caller's, who loses the pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pilotage.analysis.verdict import Judgement
from pilotage.evaluation.pair_scorer import Choice, PairScorer, Shown
from pilotage.rollout.assignment import PPM
from pilotage.rollout.blind import candidate_first
from pilotage.workspace.plan import Approach, Plan

PAIRS_PER_DAY: Final = 5
"""Most pairs of one principal and day: one asker alone proves nothing (rollouts.md 5.2)."""


class Label(StrEnum):
    """Where a pair's question comes from: a user's request just answered, or a recorded one."""

    REPLAY = "replay"
    SHADOW = "shadow"


class Result(StrEnum):
    """How the candidate did in one pair."""

    WORSE = "worse"
    BETTER = "better"
    TIE = "tie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One pair scored both ways. `is_swapped`: exchanging A and B changed the result."""

    result: Result
    is_swapped: bool


def sample_bucket(salt: str, interaction: str) -> int:
    """Return 0..999,999 for an interaction id under a rollout's salt."""
    if not interaction:
        message = "A request without an id cannot be sampled."
        raise ValueError(message)
    text = f"pilotage-shadow-v1\n{salt}\n{interaction}"
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") * PPM) >> 64


def score_pair(scorer: PairScorer, pair: str, *, stable: Shown, candidate: Shown) -> Scored:
    """Score a pair blind, then again with its answers exchanged."""
    is_first = candidate_first(pair)
    a, b = (candidate, stable) if is_first else (stable, candidate)
    result = _of(scorer.better(a, b), is_candidate_a=is_first)
    exchanged = _of(scorer.better(b, a), is_candidate_a=not is_first)
    return Scored(result=result, is_swapped=exchanged is not result)


def _of(choice: Choice, *, is_candidate_a: bool) -> Result:
    if choice is Choice.TIE:
        return Result.TIE
    return Result.BETTER if (choice is Choice.A) is is_candidate_a else Result.WORSE


def phases_of(plan: Plan) -> tuple[Label, ...]:
    """Return what a plan proves before its first user meets the candidate, in order; empty: nothing."""
    wants_replay = plan.shadow.replay_first and (plan.shadow.enabled or plan.approach is Approach.BLUE_GREEN)
    return (*((Label.REPLAY,) if wants_replay else ()), *((Label.SHADOW,) if plan.shadow.enabled else ()))


def phase_to_begin(plan: Plan, outcomes: Mapping[Label, Judgement | None]) -> Label | None:
    """Return the phase that begins now; None while one runs, after a NO_GO, or when all are over.

    `outcomes` holds the phases that began; None: it runs. A replay without proof does not keep shadow from proving.
    """
    for label in phases_of(plan):
        if label not in outcomes:
            return label
        if outcomes[label] in {None, Judgement.NO_GO}:
            return None
    return None


def is_proven(plan: Plan, outcomes: Mapping[Label, Judgement | None]) -> bool:
    """Tell whether the plan's last phase said GO; a plan without phases has nothing to prove."""
    phases = phases_of(plan)
    return not phases or outcomes.get(phases[-1]) is Judgement.GO


def at_once(plan: Plan) -> Plan:
    """Return a blue-green plan with one flip per space, to its last step; other plans as they are."""
    if plan.approach is not Approach.BLUE_GREEN:
        return plan
    return replace(plan, waves=tuple(replace(wave, steps=wave.steps[-1:]) for wave in plan.waves))
